#include "witness/store_news.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "pg/format/timeline_history.h"
#include "pg/format/wal_file.h"
#include "store/segment_chain.h"
#include "store/tail_proof.h"

namespace standfast::witness {

using base::Error;
using base::ErrorCode;
using base::Result;
using wal::serve::StoreView;

namespace {

constexpr std::uint64_t kMaxHistoryBytes = std::uint64_t{1} << 20U;

}  // namespace

void StoreNews::publish(StoreView view) {
  auto next = std::make_shared<const StoreView>(std::move(view));
  const std::lock_guard lock(mutex_);
  view_ = std::move(next);
  const std::uint64_t one = 1;
  for (const int fd : event_fds_) [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
}

StoreNews::View StoreNews::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

StoreNews::Subscription::Subscription(StoreNews& news, int event_fd) : news_(news), event_fd_(event_fd) {
  const std::lock_guard lock(news_.mutex_);
  news_.event_fds_.insert(event_fd_);
}

StoreNews::Subscription::~Subscription() {
  const std::lock_guard lock(news_.mutex_);
  news_.event_fds_.erase(event_fd_);
}

Result<std::optional<std::string>> read_history(env::FileSystem& files, const std::string& folder,
                                                pg::TimelineId timeline) {
  return store::read_history_text(files, folder, timeline, kMaxHistoryBytes);
}

Result<StoreView> view_of_folder(env::FileSystem& files, const std::string& folder, pg::TimelineId timeline,
                                 pg::Lsn durable_end) {
  StoreView view{.timeline = timeline, .durable_end = durable_end};
  if (timeline == pg::TimelineId(1)) return view;
  const auto text = TRY(read_history(files, folder, timeline));
  if (!text) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" lacks {}", folder, pg::timeline_history_name(timeline)),
                 "Fetch it: standfast wal receive does, or copy it from a server's pg_wal.");
  }
  const auto history = pg::TimelineHistory::parse(timeline, *text);
  if (!history) {
    return Error(ErrorCode::kProtocol,
                 fmt::format("\"{}/{}\" makes no sense", folder, pg::timeline_history_name(timeline)));
  }
  for (const auto& each : history->switches()) view.ancestors.push_back({each.parent, each.at});
  if (!view.ancestors.empty() && durable_end < view.ancestors.back().end) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("what \"{}\" has of timeline {} ends at {}, before the timeline's beginning {}", folder,
                    timeline.value(), durable_end.to_string(), view.ancestors.back().end.to_string()),
        "Let standfast wal receive go on first.");
  }
  return view;
}

Result<std::optional<StoreView>> view_of_store(env::FileSystem& files, const store::WalStore& store) {
  const std::string& folder = store.options().folder;
  auto tail = store.tail();
  while (tail) {
    const auto history = TRY(store::read_history(files, folder, tail->timeline));
    const bool has_parent = history && !history->switches().empty();
    const pg::Lsn begin = has_parent ? history->switches().back().at : pg::Lsn();
    if (tail->proven_end.is_valid() && tail->proven_end >= begin) {
      return std::optional(TRY(view_of_folder(files, folder, tail->timeline, tail->proven_end)));
    }
    if (!has_parent) break;
    const auto parent = TRY(store::prove_tail_of(files, store.options(), history->switches().back().parent));
    tail = parent ? std::optional(parent->tail) : std::nullopt;
    if (tail) tail->proven_end = std::min(tail->proven_end, begin);
  }
  return std::optional<StoreView>();
}

}  // namespace standfast::witness

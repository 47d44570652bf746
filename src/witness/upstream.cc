#include "witness/upstream.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "pg/format/replication_message.h"
#include "store/wal_reader.h"
#include "wal/overlap_comparison.h"
#include "witness/store_news.h"

namespace standfast::witness {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using client::Connection;

/// undefined_file: a segment that was removed, a history that is not there.
constexpr std::string_view kNotThere = "58P01";

class Comparing {
 public:
  Comparing(client::ReplicationConnection& connection, env::FileSystem& files,
            const store::WalStore::Options& folder, const wal::Overlap& overlap, const env::Wait& wait)
      : connection_(connection),
        overlap_(overlap),
        wait_(wait),
        segment_bytes_(folder.segment_bytes),
        view_{.timeline = overlap.timeline, .durable_end = overlap.end},
        reader_(files, folder.folder, folder.segment_bytes),
        comparison_({.start = overlap.start,
                     .timeline = overlap.timeline,
                     .segment_bytes = folder.segment_bytes,
                     .system_id = folder.system_id}) {}

  /// No value: the server or the folder lacks the beginning.
  Result<std::optional<Agreement>> run() {
    if (!TRY(read_ours(overlap_.start, 1))) return std::optional<Agreement>();
    TRY(connection_.start_replication(
        {.slot = std::nullopt, .start = overlap_.start, .timeline = overlap_.timeline}, wait_));
    while (comparison_.position() < overlap_.end) {
      const auto message = TRY(connection_.connection().receive_copy(wait_));
      if (message.event == Connection::CopyEvent::kTimeout) {
        return Error(ErrorCode::kTimeout, "the server did not send the WAL that is to be compared in time");
      }
      if (message.event == Connection::CopyEvent::kEnd) return ended_early();
      const auto parsed = TRY(pg::parse_replication_message(message.data));
      if (const auto* wal = std::get_if<pg::WalData>(&parsed)) TRY(take(*wal));
    }
    TRY(connection_.end_replication(wait_));
    return std::optional(comparison_.compared_bytes() > 0 ? Agreement::kSame : Agreement::kNothingToCompare);
  }

 private:
  Result<std::optional<Agreement>> ended_early() {
    const auto answer = connection_.connection().next_result(wait_);
    if (answer) return Error(ErrorCode::kConnect, "the server ended the stream: it is being stopped");
    if (answer.error().sqlstate != kNotThere || comparison_.position() != overlap_.start)
      return answer.error();
    while (TRY(connection_.connection().next_result(wait_)).kind != Connection::ResultKind::kNone) {
    }
    return std::optional<Agreement>();
  }

  Result<void> take(const pg::WalData& wal) {
    if (wal.start != comparison_.position()) {
      return Error(ErrorCode::kProtocol,
                   fmt::format("the server sent WAL from {} where {} comes next", wal.start.to_string(),
                               comparison_.position().to_string()));
    }
    base::Bytes theirs = wal.data;
    while (!theirs.empty() && comparison_.position() < overlap_.end) {
      const pg::Lsn at = comparison_.position();
      const std::uint64_t room =
          std::min(segment_bytes_ - at.value() % segment_bytes_, overlap_.end.bytes_since(at));
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(room, theirs.size()));
      if (!TRY(read_ours(at, count))) {
        return Error(ErrorCode::kIo,
                     fmt::format("the WAL at {} went away while it was compared", at.to_string()));
      }
      comparison_.feed(ours_, theirs.first(count));
      if (comparison_.difference()) return other_wal(*comparison_.difference());
      theirs = theirs.subspan(count);
    }
    return base::ok();
  }

  Result<bool> read_ours(pg::Lsn at, std::size_t count) {
    ours_.resize(count);
    return TRY(reader_.read(view_, overlap_.timeline, at, ours_)) == store::WalReader::Outcome::kRead;
  }

  Error other_wal(pg::Lsn at) const {
    return {ErrorCode::kPrecondition,
            fmt::format("the server's WAL is not that held here: on timeline {} they differ at {}",
                        overlap_.timeline.value(), at.to_string()),
            "The server was set back to an older state, or is not the one that this folder belongs to. "
            "Connect to "
            "the right one, or take another folder. Keep this one: it may have the only copy of acknowledged "
            "commits."};
  }

  client::ReplicationConnection& connection_;
  const wal::Overlap overlap_;
  const env::Wait wait_;
  const std::uint64_t segment_bytes_;
  const wal::serve::StoreView view_;
  store::WalReader reader_;
  wal::OverlapComparison comparison_;
  std::vector<std::byte> ours_;
};

}  // namespace

Result<Agreement> compare_with_server(client::ReplicationConnection& connection, env::FileSystem& files,
                                      const store::WalStore::Options& folder, const wal::Overlap& overlap,
                                      const env::Wait& wait) {
  wal::Overlap range = overlap;
  while (!range.is_empty()) {
    const auto agreement = TRY(Comparing(connection, files, folder, range, wait).run());
    if (agreement) return *agreement;
    const pg::Lsn last_segment = range.end.segment_start(folder.segment_bytes);
    if (range.start >= last_segment) break;
    range.start = last_segment;
  }
  return Agreement::kNothingToCompare;
}

Result<UpstreamHistory> fetch_history(client::ReplicationConnection& connection, pg::TimelineId timeline,
                                      const env::Wait& wait) {
  std::string text;
  // Timeline 1 has none.
  if (timeline > pg::TimelineId(1)) text = TRY(connection.timeline_history(timeline, wait));
  auto parsed = pg::TimelineHistory::parse(timeline, text);
  if (!parsed) return Error(ErrorCode::kProtocol, "the server's timeline history makes no sense");
  return UpstreamHistory{*std::move(parsed), std::move(text)};
}

Result<void> keep_histories(client::ReplicationConnection& connection, env::FileSystem& files,
                            store::WalStore& store, const UpstreamHistory& history, const env::Wait& wait) {
  const std::string& folder = store.options().folder;
  for (const pg::TimelineSwitch& each : history.parsed.switches()) {
    if (each.parent == pg::TimelineId(1) || TRY(read_history(files, folder, each.parent))) continue;
    const auto text = connection.timeline_history(each.parent, wait);
    if (text) {
      TRY(store.write_history(each.parent, *text));
    } else if (text.error().sqlstate != kNotThere) {
      return text.error();
    }
  }
  const pg::TimelineId own = history.parsed.timeline();
  if (own == pg::TimelineId(1) || TRY(read_history(files, folder, own)) == history.text) return base::ok();
  return store.write_history(own, history.text);
}

}  // namespace standfast::witness

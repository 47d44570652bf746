#include "clone/agent_copy.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <poll.h>

#include "base/check.h"
#include "clone/piece_fetcher.h"
#include "clone/rate_limit.h"
#include "clone/sync_pool.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr base::Milliseconds kProgressInterval(200);
constexpr std::size_t kMaxDamageInMessage = 10;

Error damaged(const Damage& damage) {
  std::string message =
      fmt::format("{} damaged page{} at the source:", damage.count, damage.count == 1 ? "" : "s");
  std::size_t said = 0;
  for (const DamagedPage& page : damage.named) {
    if (said == kMaxDamageInMessage) break;
    message += fmt::format("{} file \"{}\" block {} LSN {}", said == 0 ? "" : ",", page.path, page.block,
                           page.lsn.to_string());
    ++said;
  }
  if (damage.count > said) message += fmt::format(" and {} more", damage.count - said);
  return {ErrorCode::kDamaged, std::move(message),
          "The source's own copy of these pages is damaged. Look into it there first; --allow-damage copies "
          "them as they are."};
}

/// Threads that share one end: the first that fails ends all.
class Crew {
 public:
  /// What the members wait on.
  const env::StopEvent& abandon() const { return abandon_; }

  void start(std::size_t members, const std::function<Result<void>()>& work) {
    at_work_ = members;
    for (std::size_t i = 0; i < members; ++i) threads_.emplace_back([this, work] { note(work()); });
  }

  /// Until all are done, or `stop` is set; `tick` now and then.
  Result<void> wait(const env::StopEvent& stop, const std::function<Result<void>()>& tick) {
    Result<void> ticked;
    while (!threads_.empty() && ticked) {
      const auto ready = env::wait_for(done_.fd(), POLLIN, env::Wait::for_at_most(kProgressInterval, &stop));
      if (ready == env::Ready::kStopped) abandon_.set();
      if (ready != env::Ready::kTimeout) break;
      ticked = tick();
      if (!ticked) abandon_.set();
    }
    join();
    if (!ticked) return ticked;
    if (stop.is_set()) return env::cancelled_error();
    if (failure_) return *failure_;
    return base::ok();
  }

  Crew() = default;
  ~Crew() {
    abandon_.set();
    join();
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

 private:
  void note(Result<void> result) {
    const std::lock_guard lock(mutex_);
    if (!result) {
      if (!failure_) failure_ = std::move(result).error();
      abandon_.set();
    }
    if (--at_work_ == 0) done_.set();
  }

  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  env::StopEvent abandon_;
  env::StopEvent done_;
  std::mutex mutex_;
  std::size_t at_work_ = 0;
  std::optional<Error> failure_;
  std::vector<std::thread> threads_;
};

/// The course of one copy.
class Copy {
 public:
  Copy(const AgentCopyOptions& options, const CopyEnvironment& environment)
      : options_(options), environment_(environment), rate_(options.max_bytes_per_second) {
    CHECK(options.streams > 0);
    CHECK(options.work.stretch_bytes % options.run_bytes == 0 &&
          options.work.stretch_bytes / options.run_bytes <= agent::kMaxHashesInAnswer &&
          options.work.stretch_bytes <= agent::kMaxHashedBytes);
    if (options.sync == SyncFiles::kYes) pool_ = std::make_unique<SyncPool>();
  }

  Result<AgentCopy> run(std::span<const agent::FileEntry> entries) {
    layout_ = TRY(lay_out(entries, options_.places));
    TRY(prepare(environment_.files, layout_, options_.places.modes, options_.sync));
    book_ = std::make_unique<CopyBook>(environment_.files, layout_, options_.work, pool_.get());
    TRY(fetch(plan_units(layout_.files, layout_.control_file, options_.work), options_.streams));
    AgentCopy copy;
    copy.damage = book_->take_damage();
    if (copy.damage.count > 0 && options_.damaged_pages == DamagedPages::kRefused)
      return damaged(copy.damage);
    TRY(make_durable());
    TRY(fetch_control_file());
    copy.files = book_->take_files();
    std::sort(copy.files.begin(), copy.files.end(), [](const CopiedFile& left, const CopiedFile& right) {
      return left.manifest_path < right.manifest_path;
    });
    for (const CopyLayout::Folder& folder : layout_.folders) copy.folders.push_back(folder.place);
    copy.progress = book_->progress();
    copy.control_file_aside = layout_.files[layout_.control_file].place;
    copy.control_file_place = layout_.control_file_place;
    TRY(tell());
    return copy;
  }

 private:
  Result<void> fetch(std::vector<WorkUnit> units, std::size_t streams) {
    streams = std::min(streams, units.size());
    WorkQueue queue(std::move(units));
    Crew crew;
    crew.start(streams, [&] { return fetch_from(queue, crew.abandon()); });
    return crew.wait(environment_.stop, [this] { return tell(); });
  }

  Result<void> fetch_from(WorkQueue& queue, const env::StopEvent& abandon) {
    const auto stream = TRY(environment_.open_stream(abandon));
    const FetchOptions fetch_options{.files = environment_.files,
                                     .layout = layout_,
                                     .book = *book_,
                                     .rate = rate_,
                                     .stop = abandon,
                                     .pages = options_.pages,
                                     .run_bytes = options_.run_bytes,
                                     .direct_from_bytes = options_.direct_from_bytes};
    PieceFetcher fetcher(*stream, fetch_options);
    while (const WorkUnit* unit = queue.next()) {
      if (abandon.is_set()) return env::cancelled_error();
      TRY(fetcher.run(*unit));
    }
    return base::ok();
  }

  Result<void> make_durable() {
    if (!pool_) return base::ok();
    TRY(pool_->finish(environment_.stop));
    for (const CopyLayout::Folder& folder : layout_.folders) {
      if (environment_.stop.is_set()) return env::cancelled_error();
      TRY(environment_.files.sync_directory(folder.place));
    }
    return base::ok();
  }

  Result<void> fetch_control_file() {
    const PlannedFile& control = layout_.files[layout_.control_file];
    std::vector<WorkUnit> units(1);
    units.front().push_back({.file = layout_.control_file, .offset = 0, .length_bytes = control.size_bytes});
    TRY(fetch(std::move(units), 1));
    if (!TRY(environment_.files.inspect(control.place)))
      return Error(ErrorCode::kProtocol, "the agent has no pg_control any more");
    if (!pool_) return base::ok();
    TRY(pool_->finish(environment_.stop));
    return environment_.files.sync_directory(env::parent_of(control.place));
  }

  Result<void> tell() const {
    return options_.on_progress ? options_.on_progress(book_->progress()) : base::ok();
  }

  const AgentCopyOptions& options_;
  const CopyEnvironment& environment_;
  RateLimit rate_;
  CopyLayout layout_;
  std::unique_ptr<SyncPool> pool_;
  std::unique_ptr<CopyBook> book_;
};

}  // namespace

Result<AgentCopy> copy_from_agent(std::span<const agent::FileEntry> entries, const AgentCopyOptions& options,
                                  const CopyEnvironment& environment) {
  return Copy(options, environment).run(entries);
}

Result<void> place_control_file(env::FileSystem& files, const AgentCopy& copy, SyncFiles sync) {
  TRY(files.rename_no_replace(copy.control_file_aside, copy.control_file_place));
  return sync == SyncFiles::kYes ? files.sync_directory(env::parent_of(copy.control_file_place)) : base::ok();
}

}  // namespace standfast::clone

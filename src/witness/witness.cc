#include "witness/witness.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "witness/locked_reporter.h"
#include "witness/served_folder.h"
#include "witness/store_news.h"
#include "witness/witness_options.h"

namespace standfast::witness {
namespace {

using base::Result;

constexpr base::Seconds kRetainEach(30);
constexpr base::Milliseconds kLookIfReadyEach(100);
constexpr base::Milliseconds kStatusEach(5000);
constexpr base::Seconds kTellUnprovenEach(3600);

std::int64_t unix_seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class Witness {
 public:
  Witness(env::FileSystem& files, base::Reporter& reporter, const env::StopEvent& stop, WitnessConfig config,
          WitnessOptions options, const WitnessEvents& events)
      : files_(files),
        reporter_(reporter),
        stop_(stop),
        events_(events),
        config_(std::move(config)),
        options_(std::move(options)) {}

  Result<store::Positions> run() {
    ReceiverOptions receiving = options_.receiver;
    receiving.attempts = Attempts::kWhateverTheServerSays;
    ReceiverHooks hooks;
    hooks.on_store = [this](store::WalStore& store) { return take_store(store); };
    hooks.on_stream = [this](const StreamFacts& facts) -> Result<void> {
      TRY(serve_as(facts));
      tell_stream("streaming");
      return base::ok();
    };
    hooks.on_trouble = [this](const base::Error& error) { tell_stream("not streaming: " + error.message); };
    hooks.on_flushed = [this](const store::Positions& positions) {
      publish(positions.timeline, positions.acknowledged);
    };
    hooks.feedback = [this] { return feedback(); };
    hooks.retire = [this](store::WalStore& store) { return retire(store); };
    Receiver receiver(files_, reporter_, stop_, std::move(receiving), std::move(hooks));
    std::thread attending([&] { attend(receiver); });
    const auto outcome = receiver.run();
    is_over_.set();
    attending.join();
    // What was acknowledged last goes out to who streams, before the server ends.
    end_server();
    if (!outcome) return outcome.error();
    return outcome->positions;
  }

 private:
  const std::string& folder() const { return options_.receiver.folder; }

  Result<void> take_store(store::WalStore& store) {
    std::unique_lock lock(mutex_);
    slots_ = TRY(store::Slots::open(files_, {.folder = folder(),
                                             .segment_bytes = store.options().segment_bytes,
                                             .max_slots = options_.max_slots,
                                             .max_keep_bytes = options_.retention.slot_keep_bytes}));
    lock.unlock();
    auto view = view_of_store(files_, store);
    if (!view) {
      tell_unserved(store.positions().timeline, view.error());
    } else if (*view) {
      news_.publish(**std::move(view));
    }
    const auto facts = TRY(facts_of_folder(files_, folder()));
    return facts ? start_server(*facts) : base::ok();
  }

  /// A folder that was empty tells nothing of its server before the first stream.
  Result<void> serve_as(const StreamFacts& facts) {
    if (server_) return base::ok();
    return start_server({.system_id = facts.system_id,
                         .server_version = facts.server_version,
                         .segment_bytes = facts.segment_bytes,
                         .data_directory_mode = 0700});
  }

  Result<void> start_server(const wal::serve::ServerFacts& facts) {
    const std::lock_guard lock(mutex_);
    ServerOptions serving = options_.server;
    serving.folder = folder();
    serving.facts = facts;
    auto server = TRY(Server::open(files_, news_, *slots_, std::move(serving)));
    for (const net::ListenAddress& address : server->addresses()) {
      reporter_.info(
          fmt::format("serving WAL of system {} on {}", facts.system_id.to_string(), to_string(address)));
    }
    server_ = std::move(server);
    serving_ = std::thread([this, running = server_.get()] {
      const auto ended = running->run(reporter_, stop_serving_);
      if (!ended)
        reporter_.warn(ended.error().message, "WAL is still received. Start the witness again to serve it.");
    });
    return base::ok();
  }

  void end_server() {
    stop_serving_.set();
    if (serving_.joinable()) serving_.join();
  }

  /// What is acknowledged may be served. On a new timeline nothing is before the fork has been reached.
  void publish(pg::TimelineId timeline, pg::Lsn acknowledged) {
    if (!acknowledged.is_valid()) return;
    const StoreNews::View last = news_.view();
    if (last->timeline == timeline) {
      if (last->durable_end >= acknowledged) return;
      wal::serve::StoreView next = *last;
      next.durable_end = acknowledged;
      news_.publish(std::move(next));
      return;
    }
    auto view = view_of_folder(files_, folder(), timeline, acknowledged);
    if (view) {
      news_.publish(*std::move(view));
    } else {
      tell_unserved(timeline, view.error());
    }
  }

  /// Once a timeline, and not at each flush.
  void tell_unserved(pg::TimelineId timeline, const base::Error& error) {
    if (std::exchange(told_unserved_, timeline) != timeline) reporter_.warn(error.message, error.hint);
  }

  std::optional<pg::HotStandbyFeedback> feedback() {
    const std::lock_guard lock(mutex_);
    if (!server_) return std::nullopt;
    return server_->oldest_feedback();
  }

  Result<void> retire(store::WalStore& store) {
    const store::Slots* const slots = slots_to_ask();
    if (slots == nullptr) return base::ok();  // it is still being opened
    const bool is_due = !retained_at_ || base::Clock::now() - *retained_at_ >= kRetainEach;
    if (!retains_now_.exchange(false) && !is_due) return base::ok();
    retained_at_ = base::Clock::now();
    const std::uint64_t segment_bytes = store.options().segment_bytes;
    const auto listed = TRY(store::list_wal_folder(files_, folder(), segment_bytes));
    const StoreNews::View view = news_.view();
    wal::RetentionInput input{.segments = {},
                              .slots = slots->retained(*view),
                              .store = *view,
                              .proof_from = store.proof_from(),
                              .now_unix_seconds = unix_seconds_now(),
                              .segment_bytes = segment_bytes};
    for (const store::SegmentEntry& entry : listed.segments) {
      if (entry.form == store::SegmentForm::kPartial) continue;
      const auto info = TRY(files_.inspect(path_of(entry, segment_bytes)));
      if (info) input.segments.push_back({entry.timeline, entry.start, info->modified_unix_seconds});
    }
    // The bound of a slot is the server's to judge, who tells of it too.
    wal::RetentionRules rules = retention();
    rules.slot_keep_bytes.reset();
    const wal::RetentionPlan plan = wal::plan_retention(rules, input);
    tell_unproven(plan.unproven_bytes);
    return drop(listed, plan.drop, segment_bytes);
  }

  const store::Slots* slots_to_ask() const {
    const std::lock_guard lock(mutex_);
    return slots_.get();
  }

  wal::RetentionRules retention() const {
    const std::lock_guard lock(mutex_);
    return options_.retention;
  }

  std::string path_of(const store::SegmentEntry& entry, std::uint64_t segment_bytes) const {
    return folder() + "/" + store::segment_file_name(entry, segment_bytes);
  }

  Result<void> drop(const store::WalFolder& listed, const std::vector<wal::KeptSegment>& gone,
                    std::uint64_t segment_bytes) {
    for (const wal::KeptSegment& segment : gone) {
      const store::SegmentEntry* entry = listed.find(segment.timeline, segment.start);
      CHECK(entry != nullptr);
      TRY(files_.remove_file(path_of(*entry, segment_bytes)));
    }
    return gone.empty() ? base::ok() : files_.sync_directory(folder());
  }

  void tell_unproven(std::uint64_t bytes) {
    const auto now = base::Clock::now();
    if (bytes == 0 || (told_unproven_at_ && now - *told_unproven_at_ < kTellUnprovenEach)) return;
    told_unproven_at_ = now;
    reporter_.warn(
        fmt::format("{} of WAL are past what is to be kept, and stay: no standby is known to have them",
                    base::format_bytes(bytes)),
        "Give each standby a slot here: what its slot has passed may go.");
  }

  void tell_stream(std::string how) {
    const std::lock_guard lock(mutex_);
    stream_ = std::move(how);
  }

  /// Speaks with whoever runs the witness, in a thread of its own: a stream may wait for a disk or a server.
  void attend(Receiver& receiver) {
    bool is_ready = false;
    bool is_stopping = false;
    std::string told;
    while (!is_over_.is_set()) {
      pollfd fds[] = {{is_over_.fd(), POLLIN, 0},
                      {is_stopping ? -1 : stop_.fd(), POLLIN, 0},
                      {events_.reload_fd, POLLIN, 0}};
      // What ended the wait is found out by asking each.
      static_cast<void>(
          poll(fds, std::size(fds), static_cast<int>((is_ready ? kStatusEach : kLookIfReadyEach).count())));
      if (stop_.is_set() && !std::exchange(is_stopping, true) && events_.on_stopping) events_.on_stopping();
      const std::string line = status_line();
      if (!line.empty() && !is_stopping && !std::exchange(is_ready, true) && events_.on_ready)
        events_.on_ready();
      if (is_asked_to_reload()) {
        if (is_ready && events_.on_reloading) events_.on_reloading();
        reload(receiver);
        if (is_ready && events_.on_ready) events_.on_ready();
      }
      if (!line.empty() && std::exchange(told, line) != line && events_.on_status) events_.on_status(line);
    }
  }

  /// "" before the first attempt to receive has come to something.
  std::string status_line() const {
    const std::lock_guard lock(mutex_);
    if (stream_.empty()) return "";
    const StoreNews::View view = news_.view();
    const std::string acknowledged = view->durable_end.is_valid()
                                         ? fmt::format("acknowledged {} on timeline {}",
                                                       view->durable_end.to_string(), view->timeline.value())
                                         : "nothing acknowledged yet";
    const std::size_t served = server_ ? server_->streams().size() : 0;
    return fmt::format("{}; {}; streaming from here: {}", stream_, acknowledged, served);
  }

  bool is_asked_to_reload() const {
    std::array<std::byte, 512> asked{};  // an eventfd's eight bytes, or a signalfd's records
    return events_.reload_fd >= 0 && read(events_.reload_fd, asked.data(), asked.size()) > 0;
  }

  void reload(Receiver& receiver) {
    auto wanted = events_.read_config ? events_.read_config() : Result<WitnessConfig>(config_);
    if (!wanted) return tell_no_reload(wanted.error());
    ReloadPlan plan = plan_reload(config_, *wanted);
    auto options = options_of(plan.config);
    if (!options) return tell_no_reload(options.error());
    {
      const std::lock_guard lock(mutex_);
      if (server_) {
        if (auto done = server_->reload(options->server); !done) return tell_no_reload(done.error());
      }
      if (slots_) {
        if (auto done = slots_->set_bound(options->retention.slot_keep_bytes); !done)
          return tell_no_reload(done.error());
      }
      options_.server = options->server;
      options_.retention = options->retention;
    }
    retains_now_ = true;
    if (plan.config.conninfo != config_.conninfo) receiver.connect_by(options->receiver.connect);
    config_ = std::move(plan.config);
    reporter_.info(plan.taken_up.empty()
                       ? std::string("users, certificate and key are read again")
                       : fmt::format("users, certificate and key are read again; taken up: {}",
                                     fmt::join(plan.taken_up, ", ")));
    if (plan.needs_restart.empty()) return;
    reporter_.warn(fmt::format("what the configuration says of {} now is not taken up",
                               fmt::join(plan.needs_restart, ", ")),
                   "Restart the witness for it.");
  }

  void tell_no_reload(const base::Error& error) {
    reporter_.warn("all stays as it was: " + error.message, error.hint);
  }

  env::FileSystem& files_;
  LockedReporter reporter_;
  const env::StopEvent& stop_;
  const WitnessEvents& events_;
  WitnessConfig config_;  ///< the attending thread's own

  StoreNews news_;
  env::StopEvent stop_serving_, is_over_;
  std::thread serving_;
  std::atomic<bool> retains_now_ = false;
  mutable std::mutex mutex_;  ///< for all below
  WitnessOptions options_;    ///< of these only `server` and `retention` change
  std::unique_ptr<store::Slots> slots_;
  std::unique_ptr<Server> server_;
  std::string stream_;  ///< "" while nothing can be said of it

  std::optional<pg::TimelineId> told_unserved_;  ///< the receiver's thread's own

  // The keeper's own.
  std::optional<base::Clock::time_point> retained_at_;
  std::optional<base::Clock::time_point> told_unproven_at_;
};

}  // namespace

Result<store::Positions> run_witness(env::FileSystem& files, base::Reporter& reporter,
                                     const env::StopEvent& stop, const WitnessStart& start,
                                     const WitnessEvents& events) {
  WitnessOptions options = TRY(options_of(start.config));
  options.receiver.accept_fork = start.accept_fork;
  return Witness(files, reporter, stop, start.config, std::move(options), events).run();
}

}  // namespace standfast::witness

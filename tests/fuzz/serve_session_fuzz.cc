// A session that serves WAL, under a script: the first byte chooses the store, TLS and whether the login is
// made beforehand; then steps: bytes of the client, or an event. Whatever comes, no WAL is asked for that is
// not durable, one question is open at a time, the outbound buffer is bounded, and the end is the end.
#include <string>

#include "fuzz_input.h"
#include "pg/format/sql_text.h"
#include "wal/serve_session.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;
namespace serve = standfast::wal::serve;
using standfast::wal::ServeSession;

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
/// Beyond the gate: the answers to one message, at most.
constexpr std::size_t kOvershootBytes = 64 * 1024 + ServeSession::kMaxBatchBytes;

ServeSession::Options options(std::uint8_t choice) {
  ServeSession::Options options{
      .facts = {.system_id = pg::SystemId(1), .server_version = "15.18", .segment_bytes = kSegmentBytes}};
  if ((choice & 1U) != 0) {
    options.store = {
        .timeline = pg::TimelineId(3),
        .durable_end = pg::Lsn(0x500100),
        .ancestors = {{pg::TimelineId(1), pg::Lsn(0x301000)}, {pg::TimelineId(2), pg::Lsn(0x400000)}}};
  }
  if ((choice & 2U) != 0) options.tls = ServeSession::Tls::kOffered;
  return options;
}

class Driver {
 public:
  explicit Driver(std::uint8_t choice) : store_(options(choice).store), session_(options(choice), now()) {}

  void log_in() {
    feed(std::string("\0\0\0\x21\0\3\0\0user\0a\0replication\0true\0\0", 33));
    while (is_asked_) answer(0);
    feed(std::string("p\0\0\0\x16SCRAM-SHA-256\0\0\0\0\0", 23));
    while (is_asked_) answer(0);
    feed(std::string("p\0\0\0\4", 5));
    while (is_asked_) answer(0);
  }

  void feed(std::string_view bytes) {
    waiting_ += bytes;
    const std::size_t taken = session_.receive(base::as_bytes(waiting_), now());
    CHECK(taken <= waiting_.size());
    waiting_.erase(0, taken);
    if (waiting_.size() > 65536) waiting_.clear();
    perform();
  }
  void event(std::uint8_t which) {
    switch (which % 8U) {
      case 0:
        seconds_ += 1 + which;
        session_.on_time(now());
        break;
      case 1:
        grow_store(which);
        break;
      case 2:
        switch_timeline();
        break;
      case 3:
        if (which > 250) session_.on_stop(now());
        break;
      case 4:
        if (which > 250) session_.on_input_end();
        break;
      case 5:
      case 6:
        if (is_asked_) answer(which);
        break;
      default:
        session_.on_sent(unsent_bytes_ / 2, now());
        unsent_bytes_ -= unsent_bytes_ / 2;
    }
    perform();
  }

 private:
  serve::Instant now() const { return {base::Clock::time_point{} + base::Seconds(seconds_), seconds_}; }

  void grow_store(unsigned by) {
    if (store_.timeline.value() == 0) store_.timeline = pg::TimelineId(1);
    store_.durable_end = store_.durable_end + by * 5000ULL;
    session_.on_store(store_, now());
  }
  void switch_timeline() {
    if (store_.timeline.value() == 0 || store_.ancestors.size() > 5) return;
    store_.ancestors.push_back(
        {store_.timeline, pg::Lsn(store_.durable_end.value() - store_.durable_end.value() % 3000)});
    store_.timeline = pg::TimelineId(store_.timeline.value() + 1);
    session_.on_store(store_, now());
  }

  void answer(std::uint8_t how) {
    is_asked_ = false;
    const serve::Action question = std::move(question_);
    if (std::holds_alternative<serve::StartTls>(question)) {
      session_.on_tls(serve::ChannelBinding::kAvailable);
    } else if (std::holds_alternative<serve::BeginScram>(question)) {
      how > 250 ? session_.on_scram_refused() : session_.on_scram_challenge(base::as_bytes("r=1"));
    } else if (std::holds_alternative<serve::ContinueScram>(question)) {
      how > 250 ? session_.on_scram_refused() : session_.on_scram_accepted(base::as_bytes("v=2"));
    } else if (std::holds_alternative<serve::ReadHistory>(question)) {
      session_.on_history(how > 200 ? std::nullopt : std::optional<std::string>("1\t0/1\t\n"));
    } else if (std::holds_alternative<serve::ReadWal>(question)) {
      how > 240 ? session_.on_wal_gone() : session_.on_wal_read(now());
    } else {
      const auto outcome = static_cast<serve::SlotOutcome>(how > 200 ? how % 7U : 0);
      holds_slot_ =
          std::holds_alternative<serve::AcquireSlot>(question) && outcome == serve::SlotOutcome::kDone;
      session_.on_slot({.outcome = outcome}, now());
    }
    perform();
  }

  void perform() {
    for (serve::Action& action : session_.take_actions()) {
      CHECK(!has_ended_);
      perform(action);
    }
    CHECK(has_ended_ == session_.has_ended());
    CHECK(unsent_bytes_ <= ServeSession::kInputGateBytes + kOvershootBytes);
    CHECK(!session_.next_wakeup() || !has_ended_);
  }
  void perform(serve::Action& action) {
    if (const auto* send = std::get_if<serve::Send>(&action)) {
      CHECK(!send->bytes.empty());
      unsent_bytes_ += send->bytes.size();
    } else if (const auto* wal = std::get_if<serve::SendWal>(&action)) {
      CHECK(wal->wal_bytes > 0 && wal->wal_bytes <= ServeSession::kMaxBatchBytes);
      unsent_bytes_ += wal->header.size() + wal->wal_bytes;
    } else if (std::holds_alternative<serve::End>(action)) {
      has_ended_ = true;
      is_asked_ = false;
    } else if (std::holds_alternative<serve::ReleaseSlot>(action)) {
      CHECK(holds_slot_);
      holds_slot_ = false;
    } else if (std::holds_alternative<serve::AdvanceSlot>(action)) {
      CHECK(holds_slot_ && std::get<serve::AdvanceSlot>(action).flushed <= store_.durable_end);
    } else if (!std::holds_alternative<serve::LoggedIn>(action) &&
               !std::holds_alternative<serve::StandbyPositions>(action) &&
               !std::holds_alternative<serve::StandbyFeedback>(action)) {
      ask(action);
    }
  }
  void ask(serve::Action& action) {
    CHECK(!is_asked_);
    if (const auto* read = std::get_if<serve::ReadWal>(&action)) {
      CHECK(read->start < read->end && read->end <= store_.durable_end);
      CHECK(read->end.bytes_since(read->start) <= ServeSession::kMaxBatchBytes);
      CHECK(read->start.segment_start(kSegmentBytes) ==
            pg::Lsn(read->end.value() - 1).segment_start(kSegmentBytes));
    }
    if (const auto* acquire = std::get_if<serve::AcquireSlot>(&action))
      CHECK(pg::valid_slot_name(acquire->slot).has_value());
    if (const auto* drop = std::get_if<serve::DropSlot>(&action))
      CHECK(pg::valid_slot_name(drop->slot).has_value());
    is_asked_ = true;
    question_ = std::move(action);
  }

  int seconds_ = 0;
  serve::StoreView store_;
  ServeSession session_;
  std::string waiting_;
  serve::Action question_;
  std::size_t unsent_bytes_ = 0;
  bool is_asked_ = false;
  bool holds_slot_ = false;
  bool has_ended_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view script = standfast::fuzz::as_text(data + 1, size - 1);
  Driver driver(data[0]);
  if ((data[0] & 4U) != 0) driver.log_in();
  while (script.size() >= 2) {
    const auto step = static_cast<std::uint8_t>(script[0]);
    const auto argument = static_cast<std::uint8_t>(script[1]);
    script.remove_prefix(2);
    if (step % 2U == 0) {
      driver.feed(script.substr(0, argument));
      script.remove_prefix(std::min<std::size_t>(argument, script.size()));
    } else {
      driver.event(argument);
    }
  }
  return 0;
}

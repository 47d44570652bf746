#include "setup/verify_checks.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr const char* kReceiverHint =
    "Look into the standby's log for what its WAL receiver says; check primary_conninfo, the network, and "
    "that the "
    "primary runs.";
constexpr const char* kGrantHint = "Log in as standfast_monitor, or GRANT pg_monitor to the role.";

class Checks {
 public:
  explicit Checks(std::string_view source_word) : source(source_word) {}

  void ok(std::string number, std::string name, std::string seen) {
    looked_.checks.push_back({std::move(number), std::move(name), CheckResult::kOk, std::move(seen)});
  }
  void skipped(std::string number, std::string name, std::string why) {
    looked_.checks.push_back({std::move(number), std::move(name), CheckResult::kSkipped, std::move(why)});
  }
  void failed(std::string number, std::string name, std::string seen, ErrorCode code, std::string hint) {
    // A slot that is lost explains why nothing streams.
    if (!looked_.failure || code == ErrorCode::kSlotLost) {
      looked_.failure = Error(code, fmt::format("{}: {}", name, seen), std::move(hint));
    }
    looked_.checks.push_back({std::move(number), std::move(name), CheckResult::kFailed, std::move(seen)});
  }
  LookedAt take() { return std::move(looked_); }

  const std::string_view source;  ///< "primary", or "standby above"

 private:
  LookedAt looked_;
};

bool is_candidate(const ServerFacts& primary, const WalSender& sender) {
  // A witness that still catches up tells what it has on its disk and replays nothing, as one that streams.
  const bool replays_nothing = sender.flush && !sender.replay;
  if (sender.state == "backup" || replays_nothing) return false;
  const Slot* slot = slot_of(primary, sender);
  return slot == nullptr || slot->is_physical;
}

void check_receiver(const PairFacts& pair, Checks& checks) {
  if (!pair.standby) return checks.skipped("3.1", "receiver", pair.why_standby_is_not_asked);
  const std::optional<WalReceiver>& receiver = pair.standby->receiver;
  if (!receiver) {
    return checks.failed("3.1", "receiver", "the standby has no WAL receiver", ErrorCode::kNotStreaming,
                         kReceiverHint);
  }
  if (receiver->status.empty()) {
    return checks.failed("3.1", "receiver", fmt::format("hidden from role \"{}\"", pair.standby->role),
                         ErrorCode::kPermission, kGrantHint);
  }
  if (receiver->status != "streaming") {
    return checks.failed("3.1", "receiver", fmt::format("its state is \"{}\"", receiver->status),
                         ErrorCode::kNotStreaming, kReceiverHint);
  }
  checks.ok("3.1", "receiver",
            fmt::format("streaming from {} port {}", receiver->sender_host, receiver->sender_port));
}

void check_identity(const PairFacts& pair, Checks& checks) {
  if (!pair.standby) {
    checks.skipped("3.1", "system identifier", "compared by the standby itself when it connects");
    checks.skipped(
        "3.1", "timeline",
        fmt::format("{} on the {}", pair.above.timeline ? pair.above.timeline->value() : 0, checks.source));
    return;
  }
  const ServerFacts& primary = pair.above;
  const ServerFacts& standby = *pair.standby;
  if (primary.system_id == standby.system_id) {
    checks.ok("3.1", "system identifier", fmt::format("{} on both sides", primary.system_id.to_string()));
  } else {
    checks.failed("3.1", "system identifier",
                  fmt::format("{} on the {}, {} on the standby", primary.system_id.to_string(), checks.source,
                              standby.system_id.to_string()),
                  ErrorCode::kPrecondition,
                  "The one is no copy of the other: check which servers were meant.");
  }
  const std::uint32_t above = primary.timeline ? primary.timeline->value() : 0;
  const std::uint32_t below = standby.timeline ? standby.timeline->value() : 0;
  if (above == below) return checks.ok("3.1", "timeline", fmt::format("{} on both sides", above));
  checks.failed("3.1", "timeline",
                fmt::format("{} on the {}, {} on the standby", above, checks.source, below),
                ErrorCode::kNotStreaming,
                "If the standby does not follow by itself, copy it again with \"standfast join\".");
}

void check_sender(const PairFacts& pair, const WalSender* sender, Checks& checks) {
  if (sender == nullptr) {
    return checks.failed(
        "3.2", "sender",
        pair.standby_name
            ? fmt::format("the {} has no WAL sender for \"{}\"", checks.source, *pair.standby_name)
            : fmt::format("the {} has no WAL sender for the standby", checks.source),
        ErrorCode::kNotStreaming, "Start the standby, and look into its log if it runs.");
  }
  if (sender->state.empty()) {
    return checks.failed("3.2", "sender", fmt::format("hidden from role \"{}\"", pair.above.role),
                         ErrorCode::kPermission, kGrantHint);
  }
  if (sender->state != "streaming") {
    return checks.failed(
        "3.2", "sender", fmt::format("its state is \"{}\"", sender->state), ErrorCode::kNotStreaming,
        sender->state == "catchup" ? "The standby is catching up; wait, and verify again." : kReceiverHint);
  }
  checks.ok("3.2", "sender",
            fmt::format("streaming to \"{}\" at {}, {}", sender->application_name,
                        sender->client_address.empty() ? "a local socket" : sender->client_address,
                        sender->sync_state));
}

const Slot* slot_named(const ServerFacts& primary, const std::string& name) {
  const auto slot = std::find_if(primary.slots.begin(), primary.slots.end(),
                                 [&](const Slot& some) { return some.name == name; });
  return slot == primary.slots.end() ? nullptr : &*slot;
}

void check_slot(const PairFacts& pair, const WalSender* sender, Checks& checks) {
  const std::string expected =
      pair.standby ? pair.standby->primary_slot_name : pair.standby_name.value_or("");
  const Slot* slot = sender == nullptr ? nullptr : slot_of(pair.above, *sender);
  if (slot == nullptr) slot = slot_named(pair.above, expected);
  if (slot != nullptr && slot->is_lost()) {
    return checks.failed("2.2", "slot", fmt::format("\"{}\" has lost WAL that the standby needs", slot->name),
                         ErrorCode::kSlotLost, "Copy the standby again with \"standfast join\".");
  }
  if (slot != nullptr && slot->is_active) {
    return checks.ok("2.2", "slot",
                     fmt::format("\"{}\" is active{}{}", slot->name,
                                 slot->wal_status.empty() ? "" : ", its WAL ", slot->wal_status));
  }
  if (pair.standby && !expected.empty()) {
    return checks.failed("2.2", "slot",
                         fmt::format("\"{}\" is {}", expected, slot != nullptr ? "not active" : "not there"),
                         ErrorCode::kSlotInactive,
                         "The standby names it as its primary_slot_name; look into the standby's log.");
  }
  checks.skipped("2.2", "slot",
                 sender == nullptr ? "no sender, so none to look at"
                                   : fmt::format("none is used: the {} may remove WAL that the standby still "
                                                 "needs",
                                                 checks.source));
}

/// Each standby above, the nearest first: what comes from the primary passes through it.
void check_way_up(const PairFacts& pair, Checks& checks) {
  std::vector<const ServerFacts*> standbys;
  if (pair.above.is_in_recovery) standbys.push_back(&pair.above);
  for (const ServerFacts& server : pair.further) {
    if (server.is_in_recovery) standbys.push_back(&server);
  }
  for (const ServerFacts* server : standbys) {
    const auto& receiver = server->receiver;
    if (receiver && receiver->status.empty()) {
      checks.skipped("3.1", "way up",
                     fmt::format("{} hides its receiver from role \"{}\"", server->describe(), server->role));
    } else if (!receiver || receiver->status != "streaming") {
      checks.failed("3.1", "way up",
                    fmt::format("{} does not stream from its own upstream", server->describe()),
                    ErrorCode::kNotStreaming,
                    "What is written on the primary stops there: look into that standby's log.");
    } else {
      checks.ok(
          "3.1", "way up",
          fmt::format("{} streams from {} port {}{}", server->describe(), receiver->sender_host,
                      receiver->sender_port, server->is_replay_paused ? "; its own replay is paused" : ""));
    }
  }
}

}  // namespace

const Slot* slot_of(const ServerFacts& primary, const WalSender& sender) {
  const auto slot = std::find_if(primary.slots.begin(), primary.slots.end(), [&](const Slot& some) {
    return some.is_active && some.active_pid == sender.pid;
  });
  return slot == primary.slots.end() ? nullptr : &*slot;
}

Result<std::optional<WalSender>> find_sender(const PairFacts& pair) {
  std::vector<const WalSender*> candidates;
  for (const WalSender& sender : pair.above.senders) {
    if (is_candidate(pair.above, sender)) candidates.push_back(&sender);
  }
  const auto named = [&](std::string_view name) {
    std::vector<const WalSender*> found;
    for (const WalSender* sender : candidates) {
      const Slot* slot = slot_of(pair.above, *sender);
      // A slot serves one standby; a name may be shared.
      if (slot != nullptr && slot->name == name) return std::vector<const WalSender*>{sender};
      if (sender->application_name == name) found.push_back(sender);
    }
    return found;
  };
  std::vector<const WalSender*> fitting = candidates;
  if (pair.standby_name) {
    fitting = named(*pair.standby_name);
  } else if (pair.standby && !pair.standby->primary_slot_name.empty()) {
    fitting = named(pair.standby->primary_slot_name);
    if (fitting.empty()) fitting = named(pair.standby->application_name);
  } else if (pair.standby) {
    fitting = named(pair.standby->application_name);
  }
  if (fitting.empty()) return std::optional<WalSender>();
  if (fitting.size() == 1) return std::optional(*fitting.front());
  std::string names;
  for (const WalSender* sender : fitting) {
    const Slot* slot = slot_of(pair.above, *sender);
    names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ",
                         slot != nullptr ? slot->name : sender->application_name);
  }
  return Error(ErrorCode::kUsage,
               fmt::format("the {} has several standbys: {}",
                           pair.above.is_in_recovery ? "standby above" : "primary", names),
               "Say which one with --standby NAME, or run this on the standby.");
}

Result<LookedAt> look_at_pair(const PairFacts& pair) {
  const std::optional<WalSender> found = TRY(find_sender(pair));
  const WalSender* sender = found ? &*found : nullptr;
  Checks checks(pair.above.is_in_recovery ? "standby above" : "primary");
  check_receiver(pair, checks);
  check_way_up(pair, checks);
  check_identity(pair, checks);
  check_sender(pair, sender, checks);
  check_slot(pair, sender, checks);
  return checks.take();
}

std::optional<Error> reason_to_stop_waiting(const ServerFacts& standby, const WaitState& state) {
  // `head` is what the standby has received and flushed. Short of that, neither a pause nor a delay explains
  // what is missing.
  if (standby.head < state.written) return std::nullopt;
  const std::string received =
      fmt::format("the standby has received and flushed the WAL up to {}", standby.head.to_string());
  if (standby.is_replay_paused) {
    return Error(
        ErrorCode::kReplayPaused, fmt::format("replay is paused; {}", received),
        "SELECT pg_wal_replay_resume() on the standby lets it go on. If nobody paused it, a setting there is "
        "below the primary's: its log names it.");
  }
  if (standby.apply_delay > state.left) {
    return Error(
        ErrorCode::kReplayDelayed,
        fmt::format("the standby replays {} late on purpose (recovery_min_apply_delay); {}",
                    base::format_duration(standby.apply_delay), received),
        "This is as it was set up. To see the marker arrive, verify with a --timeout above the delay.");
  }
  return std::nullopt;
}

}  // namespace standfast::setup

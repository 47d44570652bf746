// What is wrong with a row, with a server, or with two of them together.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/format/sql_text.h"
#include "pg/format/sync_standby_names.h"
#include "setup/members_parts.h"

namespace standfast::setup {

using base::Error;
using base::ErrorCode;
using base::Result;
using std::chrono::milliseconds;

namespace {

/// Most serious first: data that is gone, then what may be gone, then what can still be caught up.
constexpr auto kBySeriousness =
    std::to_array<ErrorCode>({ErrorCode::kSlotLost, ErrorCode::kStandbyUnreachable, ErrorCode::kNotStreaming,
                              ErrorCode::kSlotInactive, ErrorCode::kLagging, ErrorCode::kPermission});

std::size_t rank_of(ErrorCode code) {
  return static_cast<std::size_t>(std::find(kBySeriousness.begin(), kBySeriousness.end(), code) -
                                  kBySeriousness.begin());
}

}  // namespace

Result<MaxLag> parse_max_lag(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t factor;
    bool is_time;
  };
  constexpr std::uint64_t kKibi = 1024;
  static constexpr auto kUnits = std::to_array<Unit>({{"", 1, false},
                                                      {"B", 1, false},
                                                      {"kB", kKibi, false},
                                                      {"MB", kKibi * kKibi, false},
                                                      {"GB", kKibi * kKibi * kKibi, false},
                                                      {"TB", kKibi * kKibi * kKibi * kKibi, false},
                                                      {"ms", 1, true},
                                                      {"s", 1000, true},
                                                      {"min", 60'000, true},
                                                      {"h", 3'600'000, true},
                                                      {"d", 86'400'000, true}});
  const Error refused(ErrorCode::kUsage,
                      fmt::format("--max-lag is not understood: \"{}\"", text.substr(0, 80)),
                      "Give bytes, as 16MB, or a time, as 30s (units: B, kB, MB, GB, TB, ms, s, min, h, d).");
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return refused;
  std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (name.starts_with(' ')) name.remove_prefix(1);
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    // Half the range of a signed number: a limit beyond it limits nothing, and a time fits its type.
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / unit.factor)
      return refused;
    MaxLag limit;
    if (unit.is_time) {
      limit.time = milliseconds(number * unit.factor);
    } else {
      limit.bytes = number * unit.factor;
    }
    return limit;
  }
  return refused;
}

namespace {

std::string way_out_of_idle_slot(const std::string& slot, bool is_witness) {
  const std::string drop =
      fmt::format("drop it: SELECT pg_drop_replication_slot({}).", pg::quote_literal(slot));
  if (is_witness) return "Start its witness, or, if that is gone for good, " + drop;
  return "Start its standby; if it is of a copy that was interrupted, \"standfast status -D DIR\" says so on "
         "that host, and what to do. If neither is there any more, " +
         drop;
}

void judge_slot(const Member& member, std::vector<Finding>& findings) {
  if (!member.slot) return;
  const SlotUse& slot = *member.slot;
  const bool is_witness = member.role == MemberRole::kWitness;
  if (slot.wal_status == "lost") {
    findings.push_back(
        {ErrorCode::kSlotLost,
         fmt::format("slot \"{}\" has lost WAL that its {} needs", slot.name,
                     is_witness ? "witness" : "standby"),
         is_witness
             ? "The witness has a gap: run \"standfast primary setup\" here, which makes the slot anew, and "
               "start "
               "the witness in an empty folder."
             : "The standby must be copied again: run \"standfast join\" there, or \"standfast standby "
               "clone\"; drop the slot first if nothing uses it any more."});
  } else if (!slot.is_active && slot.held_bytes) {
    findings.push_back({ErrorCode::kSlotInactive,
                        fmt::format("slot \"{}\"{} is not in use and holds back {} of WAL", slot.name,
                                    is_witness ? " of a witness" : "", base::format_bytes(*slot.held_bytes)),
                        way_out_of_idle_slot(slot.name, is_witness)});
  }
}

/// Where the hint of a standby that does not stream sends the reader.
std::string hint_for_state(std::string_view state) {
  if (state == "catchup") return "It is catching up; wait, and run this again.";
  if (state == "startup" || state == "starting" || state == "restarting") {
    return "It has just connected; wait a moment and run this again.";
  }
  if (state == "stopping") return "The primary is shutting down.";
  return "Look into the standby's log for what its WAL receiver says, and check that the primary can be "
         "reached "
         "from there.";
}

void judge_streaming(const Member& member, std::vector<Finding>& findings) {
  if (member.role != MemberRole::kStandby || member.state == "streaming") return;
  if (member.state == "hidden") return;  // said once, for the server
  findings.push_back({ErrorCode::kNotStreaming,
                      fmt::format("standby \"{}\" is not streaming (state: {})", member.name, member.state),
                      hint_for_state(member.state)});
}

void judge_lag(const Member& member, const MaxLag& limit, std::vector<Finding>& findings) {
  if (member.role == MemberRole::kBackup || member.role == MemberRole::kPrimary) return;
  const bool too_many_bytes = limit.bytes && member.lag_bytes.value_or(0) > *limit.bytes;
  const bool too_late = limit.time && member.lag_time.value_or(milliseconds(0)) > *limit.time;
  if (!too_many_bytes && !too_late) return;
  const std::string how_far =
      too_many_bytes ? base::format_bytes(*member.lag_bytes) : base::format_duration(*member.lag_time);
  findings.push_back(
      {ErrorCode::kLagging, fmt::format("\"{}\" is {} behind", member.name, how_far),
       "Look at the standby's disk and the network between, and whether its replay is paused or "
       "waits for a query."});
}

/// A limit in time that cannot be judged is said, so that no one takes silence for a good answer.
void note_unknown_lag_time(const Member& member, const MaxLag& limit, std::vector<std::string>& notes) {
  if (member.role != MemberRole::kStandby || !limit.time) return;
  if (member.lag_time || member.lag_bytes.value_or(0) == 0) return;
  notes.push_back(fmt::format(
      "\"{}\" is {} behind; for how long is not known: its primary measures that, when it is asked",
      member.name, base::format_bytes(*member.lag_bytes)));
}

}  // namespace

namespace {

/// It neither streams nor is about to.
bool is_away(const Member& witness) {
  return witness.state == "not connected" || witness.state == "never used" || witness.state == "lost";
}

/// A promotion asks it, listed or not. An idle slot that holds WAL has a finding of its own.
void judge_unlisted_witness(const Member& witness, std::vector<Finding>& findings) {
  if (!is_away(witness) || (witness.slot && (witness.slot->held_bytes || witness.state == "lost"))) return;
  findings.push_back(
      {ErrorCode::kNotStreaming,
       fmt::format(
           "witness \"{}\" does not stream (state: {}), and a promotion would be refused while it cannot "
           "be asked",
           witness.name, witness.state),
       fmt::format("Start it; if it is gone for good: standfast primary setup --remove-witness {}.",
                   witness.name)});
}

}  // namespace

void judge_witnesses(const StatusInput& input, const ServerFacts& primary, StatusReport& report) {
  const auto list = pg::SyncStandbyNames::parse(primary.synchronous_standby_names);
  bool is_any_listed = false;
  for (const Member& member : report.members) {
    if (member.role != MemberRole::kWitness) continue;
    if (!list || !list->names_it(member.name)) {
      judge_unlisted_witness(member, report.findings);
      continue;
    }
    is_any_listed = true;
    if (member.state == "streaming" || member.state == "hidden") continue;
    const std::string way_out = fmt::format("standfast sync disable {}.", member.name);
    report.findings.push_back(
        {ErrorCode::kNotStreaming,
         fmt::format("witness \"{}\" does not stream (state: {}), and commits may wait for it: {}",
                     member.name, member.state, primary.synchronous_standby_names),
         is_away(member) ? "Start it, or take it out of the list: " + way_out
                         : "It is catching up: wait, or take it out of the list meanwhile: " + way_out});
  }
  if (!is_any_listed || input.remote_apply.empty()) return;
  report.notes.push_back(
      fmt::format("synchronous_commit = remote_apply is set for {}: such a commit waits for a standby that "
                  "replays, whatever a witness has",
                  fmt::join(input.remote_apply, ", ")));
}

namespace {

/// Its slot is an unfinished copy's, which has a finding of its own.
bool is_told_of(const Member& member, const StatusInput& input) {
  if (member.role != MemberRole::kSlot || !member.slot || member.slot->wal_status == "lost") return false;
  return std::any_of(input.unfinished.begin(), input.unfinished.end(), [&](const UnfinishedCopy& copy) {
    return copy.facts.slot == member.slot->name &&
           std::any_of(input.servers.begin(), input.servers.end(),
                       [&](const ServerFacts& server) { return server.system_id == copy.facts.system_id; });
  });
}

std::string what_is_unfinished(const clone::Unfinished& copy) {
  const bool is_rejoin = copy.kind == clone::Unfinished::Kind::kRejoin;
  if (copy.is_at_work) {
    return fmt::format("a {} \"{}\" is going on", is_rejoin ? "rejoin of" : "copy into", copy.target);
  }
  std::string text = fmt::format("the {} \"{}\"", is_rejoin ? "rejoin of" : "copy into", copy.target);
  if (copy.begun) text += fmt::format(", begun at {},", *copy.begun);
  text += " did not end";
  if (copy.is_in_pieces) text += ", and no server starts from it";
  return text;
}

std::string way_out_of_unfinished(const clone::Unfinished& copy) {
  if (copy.is_at_work) return "Wait for it, or end it.";
  if (copy.kind == clone::Unfinished::Kind::kRejoin && copy.has_begun) {
    return fmt::format(
        "Run the same command again: it goes on. To copy the source anew instead: standfast standby clone "
        "--replace -D {}.",
        copy.target);
  }
  const std::string_view again = copy.next == clone::NextRun::kGoesOn ? "it goes on with what is there"
                                 : copy.next == clone::NextRun::kRenamesBack
                                     ? "it renames back what it was putting in place, and goes on"
                                     : "it begins anew";
  return fmt::format(
      "Run the same command again: {}. To give it up: standfast standby clone --abandon -D {}.", again,
      copy.target);
}

}  // namespace

void judge_member(const Member& member, const StatusInput& input, StatusReport& report) {
  if (!is_told_of(member, input)) judge_slot(member, report.findings);
  judge_streaming(member, report.findings);
  judge_lag(member, input.max_lag, report.findings);
  note_unknown_lag_time(member, input.max_lag, report.notes);
}

void judge_unfinished(const UnfinishedCopy& copy, std::vector<Finding>& findings) {
  std::string message = what_is_unfinished(copy.facts);
  if (copy.held_bytes.value_or(0) > 0) {
    message += fmt::format("; slot \"{}\" holds back {} of WAL for it", *copy.facts.slot,
                           base::format_bytes(*copy.held_bytes));
  }
  findings.push_back({ErrorCode::kNotStreaming, std::move(message), way_out_of_unfinished(copy.facts)});
}

void judge_pair(const ServerFacts& primary, const ServerFacts& other, std::vector<Finding>& findings) {
  if (other.system_id != primary.system_id) {
    findings.push_back(
        {ErrorCode::kNotStreaming,
         fmt::format("{} is not a copy of {}: the system identifiers are {} and {}", other.describe(),
                     primary.describe(), other.system_id.to_string(), primary.system_id.to_string()),
         "Check the addresses; a standby must be made from a copy of its primary."});
    return;
  }
  if (!other.is_in_recovery) {
    findings.push_back({ErrorCode::kNotStreaming, fmt::format("{} is a primary too", other.describe()),
                        "It was promoted, or started without standby.signal; what is written there does not "
                        "reach the other one. Decide which of them stays, and copy the other one from it."});
  } else if (other.timeline && primary.timeline && *other.timeline != *primary.timeline) {
    findings.push_back(
        {ErrorCode::kNotStreaming,
         fmt::format("{} is on timeline {}, {} on {}", other.describe(), other.timeline->value(),
                     primary.is_in_recovery ? primary.describe() : "its primary", primary.timeline->value()),
         "If the standby does not follow by itself, copy it again with \"standfast join\"."});
  }
}

void add_notes(const ServerFacts& server, std::vector<std::string>& notes) {
  if (server.is_replay_paused) {
    notes.push_back(
        fmt::format("{}: replay is paused; SELECT pg_wal_replay_resume() lets it go on", server.describe()));
  }
  for (const Slot& slot : server.slots) {
    if (slot.wal_status != "unreserved") continue;
    notes.push_back(
        fmt::format("{}: slot \"{}\" is past max_slot_wal_keep_size and loses WAL at the next checkpoint",
                    server.describe(), slot.name));
  }
  if (server.apply_delay.count() > 0) {
    notes.push_back(fmt::format("{}: replays {} late on purpose (recovery_min_apply_delay)",
                                server.describe(), base::format_duration(server.apply_delay)));
  }
}

void judge_rights(const ServerFacts& server, std::vector<Finding>& findings) {
  const bool hides_something = !server.senders.empty() || server.receiver.has_value();
  if (server.sees_everything || !hides_something) return;
  findings.push_back(
      {ErrorCode::kPermission,
       fmt::format("{} hides the state of replication from role \"{}\"", server.describe(), server.role),
       fmt::format("Let it see that: GRANT pg_monitor TO {}, or log in as standfast_monitor.",
                   pg::quote_identifier(server.role))});
}

void note_chains(const std::vector<ServerFacts>& servers, const std::vector<const ServerFacts*>& upstreams,
                 std::vector<std::string>& notes) {
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const ServerFacts& standby = servers[i];
    if (!standby.is_in_recovery) continue;
    for (const WalSender& sender : standby.senders) {
      if (sender.state == "backup") continue;
      const ServerFacts* above = upstreams[i];
      const std::string distance =
          above == nullptr
              ? "how far behind its own upstream is not known here"
              : fmt::format("{} behind the {}", base::format_bytes(above->head.bytes_since(standby.head)),
                            name_below(*above));
      notes.push_back(
          fmt::format("\"{}\" follows the standby \"{}\" (--from-standby), and its lag is counted "
                      "from there; what that one has received is {}",
                      sender.application_name, standby.application_name, distance));
    }
  }
}

void judge_unreachable(const StatusInput& input, const ServerFacts* upstream, StatusReport& report) {
  const bool is_standby = upstream != nullptr && !upstream->is_in_recovery;
  for (const Unreachable& missing : input.unreachable) {
    if (missing.source == Source::kUser) {
      report.findings.push_back({ErrorCode::kStandbyUnreachable,
                                 fmt::format("{} cannot be reached: {}",
                                             is_standby ? "a standby" : missing.what, missing.error.message),
                                 missing.error.hint.empty() ? "Check that it runs." : missing.error.hint});
    } else {
      report.notes.push_back(fmt::format("{} cannot be asked, so this is what the standby knows: {}",
                                         missing.what, missing.error.message));
    }
  }
}

void sort_by_seriousness(std::vector<Finding>& findings) {
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& left, const Finding& right) {
    return rank_of(left.code) < rank_of(right.code);
  });
}

}  // namespace standfast::setup

#include "setup/members.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "pg/format/sql_text.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using std::chrono::milliseconds;

/// Most serious first: data that is gone, then what may be gone, then what can still be caught up.
constexpr auto kBySeriousness =
    std::to_array<ErrorCode>({ErrorCode::kSlotLost, ErrorCode::kStandbyUnreachable, ErrorCode::kNotStreaming,
                              ErrorCode::kSlotInactive, ErrorCode::kLagging, ErrorCode::kPermission});

std::size_t rank_of(ErrorCode code) {
  return static_cast<std::size_t>(std::find(kBySeriousness.begin(), kBySeriousness.end(), code) -
                                  kBySeriousness.begin());
}

std::string host_of(const WalSender& sender) {
  return sender.client_address.empty() ? "local" : sender.client_address;
}

MemberRole role_of(const WalSender& sender, const Slot* slot) {
  if (sender.state == "backup") return MemberRole::kBackup;
  if (slot != nullptr && !slot->is_physical) return MemberRole::kLogical;
  return MemberRole::kStandby;
}

SlotUse slot_use(const Slot& slot, pg::Lsn head) {
  SlotUse use{.name = slot.name,
              .is_active = slot.is_active,
              .held_bytes = {},
              .wal_status = slot.is_lost() ? "lost" : slot.wal_status,
              .safe_wal_bytes = slot.safe_wal_bytes};
  if (slot.restart_lsn) use.held_bytes = head.bytes_since(*slot.restart_lsn);
  return use;
}

/// As the rows below a server name it.
std::string name_below(const ServerFacts& server) {
  if (!server.is_in_recovery) return "primary";
  return fmt::format("standby {}", server.application_name);
}

Member member_of_primary(const ServerFacts& server) {
  Member member;
  member.name = server.cluster_name.empty() ? "primary" : server.cluster_name;
  member.host = server.host.starts_with('/') ? "local" : server.host;
  member.role = MemberRole::kPrimary;
  member.state = "running";
  member.timeline = server.timeline;
  member.write = server.head;
  member.flush = server.head;
  return member;
}

/// Time lag as the sender measured it, but nothing at all when nothing is missing: the server keeps the last
/// measurement for a while after the standby has caught up.
std::optional<milliseconds> lag_time_of(const WalSender& sender, std::optional<std::uint64_t> lag_bytes) {
  if (lag_bytes == std::uint64_t{0}) return milliseconds(0);
  return sender.replay_lag;
}

Member member_of_sender(const WalSender& sender, const ServerFacts& upstream) {
  const auto slot = std::find_if(upstream.slots.begin(), upstream.slots.end(),
                                 [&](const Slot& some) { return some.active_pid == sender.pid; });
  const Slot* own_slot = slot == upstream.slots.end() ? nullptr : &*slot;
  Member member;
  member.name = sender.application_name.empty() ? fmt::format("pid {}", sender.pid) : sender.application_name;
  member.host = host_of(sender);
  member.role = role_of(sender, own_slot);
  member.from = name_below(upstream);
  member.state = sender.state.empty() ? "hidden" : sender.state;
  // A sender that has caught up streams its own server's timeline, never an older one.
  if (sender.state == "streaming") member.timeline = upstream.timeline;
  member.sent = sender.sent;
  member.write = sender.write;
  member.flush = sender.flush;
  member.replay = sender.replay;
  // pg_receivewal and its like replay nothing: for them it is what they hold that counts.
  const std::optional<pg::Lsn> reached = sender.replay ? sender.replay : sender.flush;
  if (reached && member.role != MemberRole::kBackup) member.lag_bytes = upstream.head.bytes_since(*reached);
  member.lag_time = lag_time_of(sender, member.lag_bytes);
  member.sync_state = sender.sync_state;
  if (own_slot != nullptr) member.slot = slot_use(*own_slot, upstream.head);
  return member;
}

std::string state_of_idle_slot(const Slot& slot) {
  if (slot.is_lost()) return "lost";
  return slot.restart_lsn ? "not connected" : "never used";
}

Member member_of_idle_slot(const Slot& slot, const ServerFacts& upstream) {
  Member member;
  member.name = slot.name;
  member.role = slot.is_physical ? MemberRole::kSlot : MemberRole::kLogical;
  member.from = name_below(upstream);
  member.state = state_of_idle_slot(slot);
  member.slot = slot_use(slot, upstream.head);
  return member;
}

/// Whoever streams, or could stream, from this server.
void add_members_below(const ServerFacts& upstream, std::vector<Member>& members) {
  for (const WalSender& sender : upstream.senders) members.push_back(member_of_sender(sender, upstream));
  for (const Slot& slot : upstream.slots) {
    if (!slot.is_active) members.push_back(member_of_idle_slot(slot, upstream));
  }
}

// ---------------------------------------------------------------- a standby that was asked itself

/// Lag by what the standby itself knows: how far its sender had got when it last said so.
void add_own_lag(Member& member, const ServerFacts& standby, std::optional<pg::Lsn> upstream_head) {
  std::optional<pg::Lsn> head = upstream_head;
  if (!head && standby.receiver) head = standby.receiver->latest_end;
  if (!head) head = standby.head;
  if (standby.replay) member.lag_bytes = head->bytes_since(*standby.replay);
  if (member.lag_bytes == std::uint64_t{0}) member.lag_time = milliseconds(0);
}

Member member_of_standby(const ServerFacts& standby, const ServerFacts* upstream) {
  Member member;
  const auto upstream_head = upstream != nullptr ? std::optional(upstream->head) : std::nullopt;
  if (upstream != nullptr) {
    member.from = name_below(*upstream);
  } else if (standby.receiver && !standby.receiver->sender_host.empty()) {
    member.from = fmt::format("{} port {}", standby.receiver->sender_host, standby.receiver->sender_port);
  }
  member.name = standby.application_name;
  member.host = standby.host.starts_with('/') ? "local" : standby.host;
  member.role = MemberRole::kStandby;
  member.state = "not receiving";
  if (standby.receiver) {
    member.state = standby.receiver->status.empty() ? "hidden" : standby.receiver->status;
    member.flush = standby.receiver->flushed;
  }
  // A receiver that has just started counts from the beginning of a segment, below what is there already.
  if (standby.head.is_valid() && member.flush.value_or(pg::Lsn()) < standby.head) member.flush = standby.head;
  member.timeline = standby.timeline;
  member.replay = standby.replay;
  add_own_lag(member, standby, upstream_head);
  return member;
}

Member member_of_server(const ServerFacts& server) {
  return server.is_in_recovery ? member_of_standby(server, nullptr) : member_of_primary(server);
}

/// The row below `upstream` that is this standby: by its slot, else by its name. Names need not be unique;
/// two of one name are told apart by nothing, and then none is taken.
Member* find_row(std::vector<Member>& members, const ServerFacts& standby, const ServerFacts& upstream) {
  const std::string from = name_below(upstream);
  const std::string& slot = standby.receiver && !standby.receiver->slot.empty() ? standby.receiver->slot
                                                                                : standby.primary_slot_name;
  if (!slot.empty()) {
    for (Member& member : members) {
      if (member.from == from && member.slot && member.slot->name == slot) return &member;
    }
  }
  Member* found = nullptr;
  for (Member& member : members) {
    if (member.from != from || member.role != MemberRole::kStandby || member.name != standby.application_name)
      continue;
    if (found != nullptr) return nullptr;
    found = &member;
  }
  return found;
}

/// What the standby knows better than its primary: its timeline, and that it does not receive.
void merge_standby(std::vector<Member>& members, const ServerFacts& standby, const ServerFacts& upstream) {
  Member* row = find_row(members, standby, upstream);
  if (row == nullptr) {
    members.push_back(member_of_standby(standby, &upstream));
    return;
  }
  if (row->role == MemberRole::kSlot) {
    const Member own = member_of_standby(standby, &upstream);
    const auto slot = row->slot;
    *row = own;
    row->slot = slot;
    return;
  }
  row->timeline = standby.timeline;
}

// ---------------------------------------------------------------- judging

void judge_slot(const Member& member, std::vector<Finding>& findings) {
  if (!member.slot) return;
  const SlotUse& slot = *member.slot;
  if (slot.wal_status == "lost") {
    findings.push_back(
        {ErrorCode::kSlotLost, fmt::format("slot \"{}\" has lost WAL that its standby needs", slot.name),
         "The standby must be copied again: run \"standfast join\" there, or \"standfast standby "
         "clone\"; drop the slot first if nothing uses it any more."});
  } else if (!slot.is_active && slot.held_bytes) {
    findings.push_back({ErrorCode::kSlotInactive,
                        fmt::format("slot \"{}\" is not in use and holds back {} of WAL", slot.name,
                                    base::format_bytes(*slot.held_bytes)),
                        fmt::format("Start its standby, or, if that is gone for good, drop it: SELECT "
                                    "pg_drop_replication_slot({}).",
                                    pg::quote_literal(slot.name))});
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

/// Two servers that are asked together must be two sides of one thing. The first is the one above, where one
/// is.
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

bool has_standby(const std::vector<Member>& members) {
  // A slot that holds WAL, or has lost it, has a standby somewhere; its own finding says more.
  return std::any_of(members.begin() + 1, members.end(), [](const Member& member) {
    return member.role == MemberRole::kStandby || (member.slot && member.state != "never used");
  });
}

/// Whether the one has a sender or a slot for the other.
bool serves(const ServerFacts& above, const ServerFacts& standby) {
  if (&above == &standby || above.system_id != standby.system_id) return false;
  std::vector<Member> rows;
  add_members_below(above, rows);
  return find_row(rows, standby, above) != nullptr;
}

/// Whom each server follows, of those that were asked; none for the top, and for one that streams from a
/// server that was not asked. One that streams from nowhere is taken for one that should follow the top: why
/// it does not is a finding.
std::vector<const ServerFacts*> find_upstreams(const std::vector<ServerFacts>& servers,
                                               const ServerFacts* top) {
  std::vector<const ServerFacts*> upstreams;
  for (const ServerFacts& server : servers) {
    const ServerFacts* found = nullptr;
    for (const ServerFacts& above : servers) {
      if (!server.is_in_recovery || !serves(above, server)) continue;
      const bool is_named = server.receiver && server.receiver->sender_host == above.host &&
                            server.receiver->sender_port == above.port;
      if (found == nullptr || is_named) found = &above;
    }
    const bool streams_from_elsewhere = server.receiver && server.receiver->status == "streaming";
    if (found == nullptr && !(server.is_in_recovery && streams_from_elsewhere)) found = top;
    upstreams.push_back(&server == top ? nullptr : found);
  }
  return upstreams;
}

/// The primary; where none was asked, the standby that others follow.
const ServerFacts* find_top(const std::vector<ServerFacts>& servers) {
  for (const ServerFacts& server : servers) {
    if (!server.is_in_recovery) return &server;
  }
  for (const ServerFacts& server : servers) {
    const bool is_below = std::any_of(servers.begin(), servers.end(),
                                      [&](const ServerFacts& above) { return serves(above, server); });
    if (!server.senders.empty() && !is_below) return &server;
  }
  return nullptr;
}

/// The order in which each server comes after the one it follows; what follows itself in a circle comes last.
std::vector<std::size_t> from_the_top(const std::vector<ServerFacts>& servers,
                                      const std::vector<const ServerFacts*>& upstreams) {
  std::vector<std::size_t> order;
  const auto is_placed = [&](const ServerFacts* server) {
    return server == nullptr ||
           std::any_of(order.begin(), order.end(), [&](std::size_t i) { return &servers[i] == server; });
  };
  for (std::size_t round = 0; round < servers.size(); ++round) {
    for (std::size_t i = 0; i < servers.size(); ++i) {
      if (!is_placed(&servers[i]) && is_placed(upstreams[i])) order.push_back(i);
    }
  }
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (!is_placed(&servers[i])) order.push_back(i);
  }
  return order;
}

/// Lag against a standby is not all there is: that one lags too.
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

/// Which role a server has that does not answer is known to nobody, so one code says it of all.
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

}  // namespace

std::string_view describe(MemberRole role) {
  switch (role) {
    case MemberRole::kPrimary:
      return "primary";
    case MemberRole::kStandby:
      return "standby";
    case MemberRole::kLogical:
      return "logical";
    case MemberRole::kBackup:
      return "backup";
    case MemberRole::kSlot:
      return "slot";
  }
  return "";
}

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

int StatusReport::exit_code() const {
  return findings.empty() ? 0 : base::exit_code_of(findings.front().code);
}

StatusReport make_report(const StatusInput& input) {
  StatusReport report;
  const ServerFacts* top = find_top(input.servers);
  const auto upstreams = find_upstreams(input.servers, top);
  for (const std::size_t i : from_the_top(input.servers, upstreams)) {
    const ServerFacts& server = input.servers[i];
    const ServerFacts* above = upstreams[i];
    judge_rights(server, report.findings);
    add_notes(server, report.notes);
    const ServerFacts* compared = above != nullptr || &server == top ? above : top;
    if (compared != nullptr) judge_pair(*compared, server, report.findings);
    if (above != nullptr && server.is_in_recovery && server.system_id == above->system_id) {
      merge_standby(report.members, server, *above);
    } else {
      report.members.push_back(member_of_server(server));
    }
    add_members_below(server, report.members);
  }
  note_chains(input.servers, upstreams, report.notes);
  for (const Member& member : report.members) {
    judge_slot(member, report.findings);
    judge_streaming(member, report.findings);
    judge_lag(member, input.max_lag, report.findings);
    note_unknown_lag_time(member, input.max_lag, report.notes);
  }
  judge_unreachable(input, top, report);
  if (top != nullptr && !top->is_in_recovery && !has_standby(report.members)) {
    report.findings.push_back(
        {ErrorCode::kNotStreaming, "no standby is attached",
         "Run \"standfast join\" on the standby's host, or \"standfast primary setup\" here "
         "first if that was not done yet."});
  }
  std::stable_sort(
      report.findings.begin(), report.findings.end(),
      [](const Finding& left, const Finding& right) { return rank_of(left.code) < rank_of(right.code); });
  report.servers = input.servers;
  return report;
}

}  // namespace standfast::setup

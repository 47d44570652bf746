// Rows of the table: one for each server that was asked, each sender, each slot that nobody uses.
#include <algorithm>

#include <fmt/format.h>

#include "setup/members_parts.h"

namespace standfast::setup {

using std::chrono::milliseconds;

namespace {

std::string host_of(const WalSender& sender) {
  return sender.client_address.empty() ? "local" : sender.client_address;
}

bool is_witness(const Witnesses& witnesses, std::string_view name) {
  return std::any_of(witnesses.begin(), witnesses.end(),
                     [&](const KnownWitness& witness) { return witness.name == name; });
}

MemberRole role_of(const WalSender& sender, const Slot* slot, const Witnesses& witnesses) {
  if (sender.state == "backup") return MemberRole::kBackup;
  if (slot != nullptr && !slot->is_physical) return MemberRole::kLogical;
  if (!sender.replay && is_witness(witnesses, sender.application_name)) return MemberRole::kWitness;
  return sender.replays_nothing() ? MemberRole::kReceiver : MemberRole::kStandby;
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

}  // namespace

std::string name_below(const ServerFacts& server) {
  if (!server.is_in_recovery) return "primary";
  return fmt::format("standby {}", server.application_name);
}

namespace {

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
  return sender.replay ? sender.replay_lag : sender.flush_lag;
}

Member member_of_sender(const WalSender& sender, const ServerFacts& upstream, const Witnesses& witnesses) {
  const auto slot = std::find_if(upstream.slots.begin(), upstream.slots.end(),
                                 [&](const Slot& some) { return some.active_pid == sender.pid; });
  const Slot* own_slot = slot == upstream.slots.end() ? nullptr : &*slot;
  Member member;
  member.name = sender.application_name.empty() ? fmt::format("pid {}", sender.pid) : sender.application_name;
  member.host = host_of(sender);
  member.role = role_of(sender, own_slot, witnesses);
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

Member member_of_idle_slot(const Slot& slot, const ServerFacts& upstream, const Witnesses& witnesses) {
  Member member;
  member.name = slot.name;
  member.role = slot.is_physical ? MemberRole::kSlot : MemberRole::kLogical;
  if (slot.is_physical && is_witness(witnesses, slot.name)) member.role = MemberRole::kWitness;
  member.from = name_below(upstream);
  member.state = state_of_idle_slot(slot);
  member.slot = slot_use(slot, upstream.head);
  return member;
}

}  // namespace

void add_members_below(const ServerFacts& upstream, const Witnesses& witnesses,
                       std::vector<Member>& members) {
  for (const WalSender& sender : upstream.senders)
    members.push_back(member_of_sender(sender, upstream, witnesses));
  for (const Slot& slot : upstream.slots) {
    if (!slot.is_active) members.push_back(member_of_idle_slot(slot, upstream, witnesses));
  }
}

void add_missing_witnesses(const ServerFacts& primary, const Witnesses& witnesses,
                           std::vector<Member>& members) {
  for (const KnownWitness& witness : witnesses) {
    const auto is_it = [&](const Member& member) { return member.name == witness.name; };
    if (std::any_of(members.begin(), members.end(), is_it)) continue;
    Member member;
    member.name = witness.name;
    member.host = witness.address;
    member.role = MemberRole::kWitness;
    member.from = name_below(primary);
    member.state = "not connected";
    members.push_back(std::move(member));
  }
}

namespace {

// ---------------------------------------------------------------- a standby that was asked itself

/// Lag by what the standby itself knows: how far its sender had got when it last said so.
void add_own_lag(Member& member, const ServerFacts& standby, const ServerFacts* upstream) {
  pg::Lsn head = standby.head;
  if (standby.receiver && standby.receiver->latest_end) head = *standby.receiver->latest_end;
  if (upstream != nullptr) head = upstream->head;
  if (standby.replay) member.lag_bytes = head.bytes_since(*standby.replay);
  if (member.lag_bytes == std::uint64_t{0}) member.lag_time = milliseconds(0);
}

Member member_of_standby(const ServerFacts& standby, const ServerFacts* upstream) {
  Member member;
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
  add_own_lag(member, standby, upstream);
  return member;
}

}  // namespace

Member member_of_server(const ServerFacts& server) {
  return server.is_in_recovery ? member_of_standby(server, nullptr) : member_of_primary(server);
}

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

}  // namespace standfast::setup

#include "setup/verify_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::HasSubstr;

constexpr pg::Lsn kHead{0x3013BF8};

WalSender sender_of(std::int64_t pid, std::string name) {
  WalSender sender;
  sender.pid = pid;
  sender.application_name = std::move(name);
  sender.client_address = "10.20.20.2";
  sender.state = "streaming";
  sender.sync_state = "async";
  return sender;
}

Slot slot_for(std::int64_t pid, std::string name) {
  Slot slot;
  slot.name = std::move(name);
  slot.is_active = true;
  slot.active_pid = pid;
  slot.restart_lsn = kHead;
  slot.wal_status = "reserved";
  return slot;
}

PairFacts healthy_pair() {
  PairFacts pair;
  pair.above.system_id = pg::SystemId(7);
  pair.above.timeline = pg::TimelineId(1);
  pair.above.senders = {sender_of(10, "walreceiver")};
  pair.above.slots = {slot_for(10, "pgstandby1")};
  ServerFacts& standby = pair.standby.emplace();
  standby.system_id = pg::SystemId(7);
  standby.timeline = pg::TimelineId(1);
  standby.is_in_recovery = true;
  standby.application_name = "walreceiver";
  standby.primary_slot_name = "pgstandby1";
  standby.head = kHead;
  standby.replay = kHead;
  WalReceiver& receiver = standby.receiver.emplace();
  receiver.status = "streaming";
  receiver.sender_host = "10.20.20.1";
  receiver.sender_port = "5432";
  return pair;
}

WalSender witness_of(std::int64_t pid) {
  WalSender witness = sender_of(pid, "witness1");
  witness.flush = kHead;
  return witness;
}

CheckResult result_of(const LookedAt& looked, const std::string& name) {
  for (const Check& check : looked.checks) {
    if (check.name == name) return check.result;
  }
  ADD_FAILURE() << "no check " << name;
  return CheckResult::kFailed;
}

TEST(FindSender, WitnessThatCatchesUpIsNoSecondStandby) {
  PairFacts pair = healthy_pair();
  pair.standby.reset();
  pair.above.senders[0].flush = pair.above.senders[0].replay = kHead;
  WalSender witness = witness_of(11);
  witness.state = "catchup";
  pair.above.senders.push_back(witness);
  const auto found = find_sender(pair);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ((*found)->pid, 10);
}

TEST(LookAtPair, HealthyPairPassesEveryCheck) {
  const auto looked = look_at_pair(healthy_pair());
  ASSERT_TRUE(looked);
  EXPECT_FALSE(looked->failure);
  EXPECT_EQ(looked->checks.size(), 5U);
  for (const Check& check : looked->checks) EXPECT_EQ(check.result, CheckResult::kOk) << check.name;
}

TEST(LookAtPair, MissingReceiverIsNotStreaming) {
  PairFacts pair = healthy_pair();
  pair.standby->receiver.reset();
  const auto looked = look_at_pair(pair);
  ASSERT_TRUE(looked->failure);
  EXPECT_EQ(looked->failure->code, ErrorCode::kNotStreaming);
  EXPECT_EQ(result_of(*looked, "receiver"), CheckResult::kFailed);
  EXPECT_EQ(result_of(*looked, "sender"), CheckResult::kOk) << "the others are looked at all the same";
}

TEST(LookAtPair, StandbyThatCannotBeAskedIsSkippedAndTheSenderCounts) {
  PairFacts pair = healthy_pair();
  pair.standby.reset();
  pair.why_standby_is_not_asked = "no password";
  const auto looked = look_at_pair(pair);
  EXPECT_FALSE(looked->failure);
  EXPECT_EQ(result_of(*looked, "receiver"), CheckResult::kSkipped);
  EXPECT_EQ(result_of(*looked, "sender"), CheckResult::kOk);
  EXPECT_EQ(result_of(*looked, "slot"), CheckResult::kOk);
}

TEST(LookAtPair, ForeignClusterIsFound) {
  PairFacts pair = healthy_pair();
  pair.standby->system_id = pg::SystemId(8);
  const auto looked = look_at_pair(pair);
  ASSERT_TRUE(looked->failure);
  EXPECT_THAT(looked->failure->message, HasSubstr("system identifier: 7 on the primary, 8"));
}

TEST(LookAtPair, OtherTimelineIsFound) {
  PairFacts pair = healthy_pair();
  pair.standby->timeline = pg::TimelineId(2);
  EXPECT_EQ(result_of(*look_at_pair(pair), "timeline"), CheckResult::kFailed);
}

TEST(LookAtPair, CatchingUpIsNotStreaming) {
  PairFacts pair = healthy_pair();
  pair.above.senders[0].state = "catchup";
  EXPECT_EQ(look_at_pair(pair)->failure->code, ErrorCode::kNotStreaming);
}

TEST(LookAtPair, MaskedViewsArePermission) {
  PairFacts pair = healthy_pair();
  pair.standby->receiver->status = "";
  EXPECT_EQ(look_at_pair(pair)->failure->code, ErrorCode::kPermission);
}

TEST(LookAtPair, NamedSlotThatIsNotInUseFails) {
  PairFacts pair = healthy_pair();
  pair.above.slots[0].active_pid.reset();
  pair.above.slots[0].is_active = false;
  EXPECT_EQ(look_at_pair(pair)->failure->code, ErrorCode::kSlotInactive);
}

TEST(LookAtPair, LostSlotIsTheReasonThatIsGiven) {
  PairFacts pair = healthy_pair();
  pair.standby->receiver.reset();
  pair.above.senders.clear();
  pair.above.slots[0].active_pid.reset();
  pair.above.slots[0].is_active = false;
  pair.above.slots[0].wal_status = "lost";
  EXPECT_EQ(look_at_pair(pair)->failure->code, ErrorCode::kSlotLost);
}

TEST(LookAtPair, NoSlotAtAllIsNoFailure) {
  PairFacts pair = healthy_pair();
  pair.above.slots.clear();
  pair.standby->primary_slot_name = "";
  const auto looked = look_at_pair(pair);
  EXPECT_FALSE(looked->failure);
  EXPECT_EQ(result_of(*looked, "slot"), CheckResult::kSkipped);
}

TEST(FindSender, SlotDecidesAmongStandbysOfOneName) {
  PairFacts pair = healthy_pair();
  pair.above.senders.push_back(sender_of(11, "walreceiver"));
  pair.above.slots.push_back(slot_for(11, "pgstandby2"));
  EXPECT_EQ((*find_sender(pair))->pid, 10);
  pair.standby->primary_slot_name = "pgstandby2";
  EXPECT_EQ((*find_sender(pair))->pid, 11);
}

TEST(FindSender, SeveralStandbysNeedAName) {
  PairFacts pair = healthy_pair();
  pair.standby.reset();
  pair.above.senders.push_back(sender_of(11, "other"));
  const auto found = find_sender(pair);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kUsage);
  EXPECT_THAT(found.error().message, HasSubstr("\"pgstandby1\", \"other\""));
  pair.standby_name = "other";
  EXPECT_EQ((*find_sender(pair))->pid, 11);
  pair.standby_name = "nobody";
  EXPECT_FALSE(*find_sender(pair));
}

TEST(FindSender, BackupsAndLogicalSubscribersAreNoStandbys) {
  PairFacts pair = healthy_pair();
  pair.standby.reset();
  pair.above.senders.push_back(sender_of(11, "pg_basebackup"));
  pair.above.senders.back().state = "backup";
  pair.above.senders.push_back(sender_of(12, "subscription"));
  pair.above.slots.push_back(slot_for(12, "logical"));
  pair.above.slots.back().is_physical = false;
  EXPECT_EQ((*find_sender(pair))->pid, 10);
}

TEST(ReasonToStopWaiting, PausedOrDelayedOnlyOnceTheWalIsThere) {
  ServerFacts standby = *healthy_pair().standby;
  EXPECT_FALSE(reason_to_stop_waiting(standby, {.written = kHead, .left = std::chrono::seconds(5)}));
  standby.is_replay_paused = true;
  EXPECT_EQ(reason_to_stop_waiting(standby, {.written = kHead})->code, ErrorCode::kReplayPaused);
  EXPECT_FALSE(reason_to_stop_waiting(standby, {.written = kHead + 1}))
      << "not received: the pause is no excuse";
  standby.is_replay_paused = false;
  standby.apply_delay = std::chrono::seconds(10);
  EXPECT_EQ(reason_to_stop_waiting(standby, {.written = kHead, .left = std::chrono::seconds(5)})->code,
            ErrorCode::kReplayDelayed);
  EXPECT_FALSE(reason_to_stop_waiting(standby, {.written = kHead, .left = std::chrono::seconds(20)}))
      << "a delay that ends before the deadline is waited for";
}

TEST(Sender, WitnessIsNoStandbyAndNoneIsTakenForOne) {
  PairFacts pair = healthy_pair();
  pair.standby.reset();
  pair.above.senders[0].flush = pair.above.senders[0].replay = kHead;
  pair.above.senders.push_back(witness_of(11));
  const auto found = find_sender(pair);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->pid, 10);
  pair.above.senders = {witness_of(11)};
  EXPECT_FALSE(find_sender(pair).value().has_value());
}

}  // namespace
}  // namespace standfast::setup

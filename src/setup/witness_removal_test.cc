#include "setup/witness_removal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::vector<std::string> kName = {"witness1"};

/// A primary with a standby, and a witness that has stopped streaming.
PrimaryState primary() {
  PrimaryState state;
  state.server = {pg::Version(150000), false, true, "postgres"};
  state.settings["synchronous_standby_names"] = {"", "", false, "default"};
  pg::HbaBlock block;
  block.replication_role = "replicator";
  block.monitor_role = "standfast_monitor";
  block.monitor_database = "standfast";
  block.members = {{"pgstandby1", "10.20.20.2/32", MemberKind::kStandby},
                   {"witness1", "10.20.20.3/32", MemberKind::kWitness}};
  state.hba_text = *pg::with_block("local all all peer\n", block);
  state.hba_block = *pg::find_block(state.hba_text);
  state.witnesses = {{"witness1", "10.20.20.3", 5433}};
  state.slots["pgstandby1"] = state.slots["witness1"] = SlotState{};
  state.tokens["pgstandby1"] = TokenState{};
  state.tokens["witness1"].kind = pg::TokenKind::kWitness;
  return state;
}

RemovalPlan planned(const PrimaryState& state, const std::vector<std::string>& names = kName) {
  auto plan = plan_witness_removal(state, names);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? *std::move(plan) : RemovalPlan();
}

base::Error refused(const PrimaryState& state, const std::vector<std::string>& names = kName) {
  const auto plan = plan_witness_removal(state, names);
  EXPECT_FALSE(plan);
  return plan ? base::Error() : plan.error();
}

TEST(WitnessRemoval, TakesOutAllThatWasMadeForItAndNothingElse) {
  const RemovalPlan plan = planned(primary());
  ASSERT_EQ(plan.witnesses.size(), 1U);
  const WitnessRemoval& witness = plan.witnesses[0];
  EXPECT_TRUE(witness.has_slot && witness.has_row && witness.has_token);
  EXPECT_TRUE(plan.hba_changes);
  EXPECT_THAT(plan.hba_text, Not(HasSubstr("10.20.20.3")));
  EXPECT_THAT(plan.hba_text, HasSubstr("# slot pgstandby1\nhostssl replication"));
  EXPECT_EQ(plan.changes.size(), 4U);
}

TEST(WitnessRemoval, TheLastMemberTakesTheBlockWithIt) {
  PrimaryState state = primary();
  pg::HbaBlock block = *state.hba_block;
  block.members.erase(block.members.begin());
  state.hba_text = *pg::with_block("local all all peer\n", block);
  state.hba_block = block;
  EXPECT_EQ(planned(state).hba_text, "local all all peer\n");
}

TEST(WitnessRemoval, ASecondRunHasNothingToDo) {
  PrimaryState state = primary();
  state.hba_text = planned(state).hba_text;
  state.hba_block = *pg::find_block(state.hba_text);
  state.witnesses.clear();
  state.slots.erase("witness1");
  state.tokens.erase("witness1");
  const RemovalPlan again = planned(state);
  EXPECT_THAT(again.changes, IsEmpty());
  EXPECT_FALSE(again.hba_changes);
  ASSERT_EQ(again.notes.size(), 1U);
  EXPECT_THAT(again.notes[0].line, HasSubstr("no witness \"witness1\" is known"));
}

/// In the order of doing: the line, the slot, the row, the token.
TEST(WitnessRemoval, ARunAfterAKilledOneFinishesIt) {
  PrimaryState state = primary();
  state.hba_text = planned(state).hba_text;
  state.hba_block = *pg::find_block(state.hba_text);
  EXPECT_TRUE(planned(state).witnesses.at(0).has_slot);
  state.slots.erase("witness1");
  EXPECT_TRUE(planned(state).witnesses.at(0).has_row);
  state.witnesses.clear();
  EXPECT_TRUE(planned(state).witnesses.at(0).has_token);
}

TEST(WitnessRemoval, ASlotThatOnlyBearsTheNameStays) {
  PrimaryState state = primary();
  state.slots["mine"] = SlotState{};
  EXPECT_THAT(planned(state, {"mine"}).witnesses, IsEmpty());
}

TEST(WitnessRemoval, NotWhileCommitsWaitForIt) {
  for (const char* list : {"witness1", "ANY 1 (pgstandby1, \"WITNESS1\")"}) {
    PrimaryState state = primary();
    state.settings["synchronous_standby_names"].value = list;
    const base::Error error = refused(state);
    EXPECT_EQ(error.code, ErrorCode::kPrecondition) << list;
    EXPECT_THAT(error.hint, HasSubstr("sync disable witness1"));
    state = primary();
    state.settings["synchronous_standby_names"].configured = list;
    EXPECT_EQ(refused(state).code, ErrorCode::kPrecondition) << "from the next reload on";
  }
  PrimaryState state = primary();
  state.settings["synchronous_standby_names"].value = "pgstandby1";
  EXPECT_THAT(planned(state).witnesses, Not(IsEmpty()));
}

TEST(WitnessRemoval, NotWhileItStreams) {
  PrimaryState state = primary();
  state.slots["witness1"].is_active = true;
  state.slots["witness1"].used_from = "10.20.20.3";
  const base::Error error = refused(state);
  EXPECT_EQ(error.code, ErrorCode::kSlot);
  EXPECT_THAT(error.message, HasSubstr("still streams, from 10.20.20.3"));
}

TEST(WitnessRemoval, WhatIsNoWitnessOrNotHereIsRefused) {
  EXPECT_EQ(refused(primary(), {"pgstandby1"}).code, ErrorCode::kSlot);
  PrimaryState standby = primary();
  standby.server.in_recovery = true;
  EXPECT_EQ(refused(standby).code, ErrorCode::kPrecondition);
  PrimaryState fixed = primary();
  fixed.hba_obstacle = "it is not writable";
  EXPECT_EQ(refused(fixed).code, ErrorCode::kPermission);
}

TEST(WitnessRemoval, GoesWithNothingElse) {
  PrimarySetupOptions options;
  options.remove_witnesses = kName;
  EXPECT_TRUE(wish_of(options));
  options.witnesses = {"10.20.20.3"};
  EXPECT_EQ(wish_of(options).error().code, ErrorCode::kUsage);
  options.witnesses.clear();
  options.remove_witnesses = {"No Name"};
  EXPECT_EQ(wish_of(options).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace standfast::setup

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "setup/primary_look.h"
#include "setup/primary_plan.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::ElementsAre;
using testing::HasSubstr;

/// A server as --init makes it.
PrimaryState server() {
  PrimaryState state = state_of_new_cluster(pg::Version(150000), {}, 5432, std::uint64_t{1} << 36U);
  state.hba_text = "local all all peer\n";
  state.system_id = pg::SystemId(7);
  state.routes = {{"10.20.20.2/32", "10.20.20.1"}, {"10.20.20.3/32", "10.20.20.1"}};
  return state;
}

PrimaryWish wish_for(std::vector<std::string> witnesses, std::vector<std::string> standbys = {}) {
  PrimarySetupOptions options;
  options.witnesses = std::move(witnesses);
  options.standbys = std::move(standbys);
  auto wish = wish_of(options);
  EXPECT_TRUE(wish) << wish.error().message;
  return wish ? *std::move(wish) : PrimaryWish();
}

PrimaryPlan planned(const PrimaryState& state, const PrimaryWish& wish) {
  auto plan = plan_primary(state, wish);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? *std::move(plan) : PrimaryPlan();
}

/// The state after the plan was carried out.
PrimaryState after(PrimaryState state, const PrimaryPlan& plan) {
  RoleState role;
  role.can_login = role.has_replication = role.reads_statistics = role.is_stored = true;
  role.password = PasswordState::kKnown;
  state.replication = role;
  state.monitor = role;
  state.monitor_database = DatabaseState{"standfast_monitor", false, true};
  for (const SettingChange& change : plan.settings) {
    auto& setting = state.settings.find(change.name)->second;
    setting.value = setting.configured = change.to;
  }
  state.hba_text = plan.hba_text;
  state.hba_block = *pg::find_block(state.hba_text);
  for (const KnownWitness& row : plan.database.witnesses) {
    std::erase_if(state.witnesses, [&](const auto& one) { return one.name == row.name; });
    state.witnesses.push_back(row);
  }
  for (const PlannedMember& member : plan.members) {
    state.slots[member.slot] = SlotState{};
    if (!member.is_named) continue;
    TokenState& token = state.tokens[member.slot];
    token.is_readable = token.has_the_passwords = true;
    token.host = member.source_address.value_or("");
    token.port = state.port;
    token.replication_role = plan.replication.name;
    if (member.kind == MemberKind::kWitness) token.kind = pg::TokenKind::kWitness;
  }
  state.tls = false;
  return state;
}

PrimaryState plain_server() {
  PrimaryState state = server();
  state.tls = false;
  return state;
}

TEST(WitnessArgument, AddressPortAndName) {
  const auto whole = parse_witness("10.20.20.3:6000=keeper");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->address.cidr, "10.20.20.3/32");
  EXPECT_EQ(whole->port, 6000);
  EXPECT_EQ(whole->name, "keeper");
  const auto bare = parse_witness("10.20.20.3");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->port, std::nullopt);
  EXPECT_EQ(bare->name, std::nullopt);
  EXPECT_EQ(parse_witness("10.20.20.3=w")->name, "w");
}

TEST(WitnessArgument, Ipv6TakesBracketsForAPort) {
  EXPECT_EQ(parse_witness("fd00:20::3")->address.cidr, "fd00:20::3/128");
  EXPECT_EQ(parse_witness("[fd00:20::3]")->address.cidr, "fd00:20::3/128");
  const auto with_port = parse_witness("[fd00:20::3]:6000=w");
  ASSERT_TRUE(with_port);
  EXPECT_EQ(with_port->address.cidr, "fd00:20::3/128");
  EXPECT_EQ(with_port->port, 6000);
}

TEST(WitnessArgument, WhatMeansNothingIsRefused) {
  for (const char* text :
       {"", "host", "10.20.20.0/24", "10.20.20.3:", "10.20.20.3:0", "10.20.20.3:65536", "10.20.20.3:54x",
        "10.20.20.3=", "10.20.20.3=No Slot", "[fd00:20::3]6000", "[:1"}) {
    const auto wish = parse_witness(text);
    ASSERT_FALSE(wish) << text;
    EXPECT_EQ(wish.error().code, ErrorCode::kUsage) << text;
    EXPECT_FALSE(wish.error().hint.empty()) << text;
  }
}

TEST(WitnessPlan, GetsAReplicationLineASlotATokenAndARow) {
  const PrimaryPlan plan = planned(plain_server(), wish_for({"10.20.20.3"}));
  ASSERT_EQ(plan.members.size(), 1U);
  EXPECT_EQ(plan.members[0].kind, MemberKind::kWitness);
  EXPECT_EQ(plan.members[0].slot, "witness1");
  EXPECT_EQ(plan.members[0].slot_action, SlotAction::kCreate);
  EXPECT_THAT(plan.hba_text, HasSubstr("# witness witness1\nhost replication \"replicator\" 10.20.20.3/32"));
  EXPECT_EQ(plan.hba_text.find("standfast_monitor"), std::string::npos) << "it asks no questions";
  EXPECT_THAT(plan.database.witnesses, ElementsAre(KnownWitness{"witness1", "10.20.20.3", 5433}));
}

TEST(WitnessPlan, SecondRunChangesNothing) {
  const PrimaryPlan first = planned(plain_server(), wish_for({"10.20.20.3:6000"}, {"10.20.20.2"}));
  const PrimaryState state = after(plain_server(), first);
  for (const PrimaryWish& wish : {wish_for({"10.20.20.3:6000"}), wish_for({}), wish_for({"10.20.20.3"}),
                                  wish_for({}, {"10.20.20.2"})}) {
    const PrimaryPlan again = planned(state, wish);
    EXPECT_TRUE(again.changes.empty()) << again.changes.front().what;
    EXPECT_EQ(again.members.size(), 2U);
  }
  EXPECT_EQ(planned(state, wish_for({})).members[1].port, 6000) << "as before";
}

TEST(WitnessPlan, WithoutNamesAllAreNamedAgain) {
  const PrimaryState state =
      after(plain_server(), planned(plain_server(), wish_for({"10.20.20.3"}, {"10.20.20.2"})));
  const PrimaryPlan all = planned(state, wish_for({}));
  EXPECT_TRUE(all.members[0].is_named && all.members[1].is_named);
  const PrimaryPlan one = planned(state, wish_for({"10.20.20.3"}));
  EXPECT_FALSE(one.members[0].is_named);
  EXPECT_TRUE(one.members[1].is_named);
}

TEST(WitnessPlan, OneWhoseRowWasTakenOutByHandIsNotPutBackUnasked) {
  PrimaryState state =
      after(plain_server(), planned(plain_server(), wish_for({"10.20.20.3"}, {"10.20.20.2"})));
  state.witnesses.clear();
  EXPECT_TRUE(planned(state, wish_for({})).database.witnesses.empty());
  EXPECT_EQ(planned(state, wish_for({"10.20.20.3"})).database.witnesses.size(), 1U);
}

TEST(WitnessPlan, OneHostMayBeStandbyAndWitness) {
  const PrimaryPlan plan = planned(plain_server(), wish_for({"10.20.20.2"}, {"10.20.20.2"}));
  ASSERT_EQ(plan.members.size(), 2U);
  EXPECT_EQ(plan.members[0].slot, "pgstandby1");
  EXPECT_EQ(plan.members[1].slot, "witness1");
}

TEST(WitnessPlan, NewAddressOrPortOfANameIsWritten) {
  const PrimaryState state = after(plain_server(), planned(plain_server(), wish_for({"10.20.20.3=w"})));
  const PrimaryPlan moved = planned(state, wish_for({"10.20.20.2:7000=w"}));
  ASSERT_EQ(moved.members.size(), 1U);
  EXPECT_THAT(moved.database.witnesses, ElementsAre(KnownWitness{"w", "10.20.20.2", 7000}));
  EXPECT_THAT(moved.hba_text, HasSubstr("10.20.20.2/32"));
  EXPECT_EQ(moved.hba_text.find("10.20.20.3"), std::string::npos);
}

TEST(WitnessPlan, WhatCannotBeIsRefused) {
  const PrimaryState state = after(plain_server(), planned(plain_server(), wish_for({}, {"10.20.20.2"})));
  EXPECT_EQ(plan_primary(state, wish_for({"10.20.20.3=pgstandby1"})).error().code, ErrorCode::kSlot);
  EXPECT_EQ(plan_primary(state, wish_for({"10.20.20.3:1", "10.20.20.3:2"})).error().code, ErrorCode::kUsage);
  PrimaryState standby = state;
  standby.server.in_recovery = true;
  PrimaryWish wish = wish_for({"10.20.20.3"});
  wish.on_standby = OnStandby::kServe;
  EXPECT_EQ(plan_primary(standby, wish).error().code, ErrorCode::kPrecondition);
}

TEST(WitnessPlan, RemoteApplyIsWarnedOf) {
  PrimaryState state = plain_server();
  state.remote_apply = {"role \"app\""};
  const auto warns = [](const PrimaryPlan& plan) {
    return std::any_of(plan.notes.begin(), plan.notes.end(), [](const PlanNote& note) {
      return note.line.find("remote_apply") != std::string::npos && !note.hint.empty();
    });
  };
  EXPECT_TRUE(warns(planned(state, wish_for({"10.20.20.3"}))));
  EXPECT_FALSE(warns(planned(state, wish_for({}, {"10.20.20.2"}))));
}

TEST(WitnessPlan, TryingTheLoginsFromThisHostAdmitsTheMonitorForAMoment) {
  PrimaryState state = plain_server();
  state.routes = {{"10.20.20.1/32", "10.20.20.1"}};
  const PrimaryPlan plan = planned(state, wish_for({"10.20.20.1"}));
  const auto text = hba_text_for_trying(state, plan, "10.20.20.1");
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("standfast_monitor"));
}

}  // namespace
}  // namespace standfast::setup

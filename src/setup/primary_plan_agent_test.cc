// The part of a plan for the members and the agent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "setup/primary_plan_parts.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kFingerprint(64, 'c');

PlannedMember member(const std::string& slot = "pgstandby1", const std::string& own_address = "10.20.20.1") {
  PlannedMember one;
  one.slot = slot;
  one.address_cidr = "10.20.20.2/32";
  one.source_address = own_address;
  one.is_named = true;
  return one;
}

PrimaryWish wish_for(const std::string& agent = "") {
  PrimaryWish wish;
  wish.agent = *parse_agent_wish(agent);
  return wish;
}

TokenState token_with(std::optional<TokenAgentState> agent) {
  TokenState token;
  token.is_readable = true;
  token.host = "10.20.20.1";
  token.port = 5432;
  token.replication_role = "replicator";
  token.has_the_passwords = true;
  token.agent = std::move(agent);
  return token;
}

/// As a run with --agent leaves it.
PrimaryState set_up_state() {
  PrimaryState state;
  state.port = 5432;
  state.agent = AgentState{.has_authority = true,
                           .ca_sha256 = kFingerprint,
                           .is_member = true,
                           .listen = {{"10.20.20.1", 7432}},
                           .answering = {{"10.20.20.1", 7432}}};
  state.tokens["pgstandby1"] = token_with(
      TokenAgentState{.place = {"10.20.20.1", 7432}, .ca_sha256 = kFingerprint, .is_secret_good = true});
  return state;
}

PrimaryPlan planned(const PrimaryState& state, const PrimaryWish& wish,
                    std::vector<PlannedMember> members = {member()}) {
  PrimaryPlan plan;
  plan.members = std::move(members);
  plan.replication.name = "replicator";
  const auto done = plan_agent(state, wish, plan);
  EXPECT_TRUE(done) << done.error().message;
  plan_tokens(state, wish, plan);
  return plan;
}

base::Error refused(const PrimaryState& state, const PrimaryWish& wish,
                    std::vector<PlannedMember> members = {member()}) {
  PrimaryPlan plan;
  plan.members = std::move(members);
  const auto done = plan_agent(state, wish, plan);
  EXPECT_FALSE(done);
  if (done) return {};
  EXPECT_FALSE(done.error().hint.empty());
  return done.error();
}

std::vector<std::string> told(const PrimaryPlan& plan) {
  std::vector<std::string> lines;
  for (const PlannedChange& change : plan.changes) lines.push_back(change.what + ": " + change.reason);
  return lines;
}

TEST(PlanAgent, WithoutTheFlagNothingOfItIsPlanned) {
  PrimaryState state = set_up_state();
  state.agent.reset();
  state.tokens["pgstandby1"].agent->is_secret_good = false;
  const PrimaryPlan plan = planned(state, PrimaryWish{});
  EXPECT_FALSE(plan.agent);
  EXPECT_TRUE(plan.changes.empty());
}

TEST(PlanAgent, AHostWithoutAnythingGetsAllOfIt) {
  PrimaryState state;
  state.port = 5432;
  state.agent.emplace();
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_TRUE(plan.agent->make_authority);
  EXPECT_TRUE(plan.agent->make_member);
  EXPECT_EQ(plan.agent->start, AgentStart::kStart);
  EXPECT_EQ(to_string(plan.agent->listen), "10.20.20.1:7432");
  EXPECT_THAT(plan.agent->invited, ElementsAre("pgstandby1"));
  EXPECT_EQ(plan.agent->called_at.at("pgstandby1"), (net::HostPort{"10.20.20.1", 7432}));
  EXPECT_THAT(told(plan), ElementsAre(HasSubstr("certificate authority: made"), HasSubstr("this host: a key"),
                                      HasSubstr("agent: started, on 10.20.20.1:7432"),
                                      HasSubstr("token for pgstandby1: written")));
}

TEST(PlanAgent, ASecondRunChangesNothingBeforeAndAfterTheStandbyHasJoined) {
  PrimaryState state = set_up_state();
  EXPECT_TRUE(planned(state, wish_for()).changes.empty());
  state.agent->members = {"host-h1", "pgstandby1"};
  state.tokens["pgstandby1"].agent->is_secret_good = false;
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_TRUE(plan.changes.empty()) << told(plan).front();
  EXPECT_TRUE(plan.agent->invited.empty());
}

TEST(PlanAgent, ASecretThatAdmitsNobodyWhoIsNoMemberIsReplaced) {
  PrimaryState state = set_up_state();
  state.tokens["pgstandby1"].agent->is_secret_good = false;
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_THAT(plan.agent->invited, ElementsAre("pgstandby1"));
  EXPECT_THAT(told(plan), ElementsAre(HasSubstr("does not count any more")));
}

TEST(PlanAgent, ATokenFromBeforeGetsTheAgent) {
  PrimaryState state = set_up_state();
  state.tokens["pgstandby1"].agent.reset();
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_THAT(plan.agent->invited, ElementsAre("pgstandby1"));
  EXPECT_THAT(told(plan), ElementsAre(HasSubstr("it gets the agent's address")));
}

TEST(PlanAgent, AnotherAddressIsAnotherTokenAndAnotherStartButTheSameSecret) {
  const PrimaryPlan plan = planned(set_up_state(), wish_for("10.20.20.1:8000"));
  EXPECT_EQ(plan.agent->start, AgentStart::kRestart);
  EXPECT_TRUE(plan.agent->invited.empty());
  EXPECT_THAT(told(plan), ElementsAre(HasSubstr("started anew, on 10.20.20.1:8000"),
                                      HasSubstr("the agent is at 10.20.20.1:8000 now")));
}

TEST(PlanAgent, AnAgentThatDoesNotAnswerIsStarted) {
  PrimaryState state = set_up_state();
  state.agent->answering.clear();
  EXPECT_EQ(planned(state, wish_for()).agent->start, AgentStart::kStart);
  state = set_up_state();
  state.agent->is_member = false;
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_TRUE(plan.agent->make_member);
  EXPECT_FALSE(plan.agent->make_authority);
  EXPECT_EQ(plan.agent->start, AgentStart::kRestart) << "it shows a certificate that does not count";
}

TEST(PlanAgent, AStandbyThatComesBySomeOtherWayIsListenedToThereAsWell) {
  const PrimaryPlan plan = planned(set_up_state(), wish_for(), {member(), member("pgstandby2", "10.30.0.1")});
  EXPECT_EQ(to_string(plan.agent->listen), "10.20.20.1:7432, 10.30.0.1:7432");
  EXPECT_EQ(plan.agent->start, AgentStart::kRestart);
  EXPECT_EQ(plan.agent->called_at.at("pgstandby2").host, "10.30.0.1");
  EXPECT_THAT(plan.agent->invited, ElementsAre("pgstandby2"));
}

TEST(PlanAgent, AWitnessIsNoMember) {
  PlannedMember witness = member("witness1", "10.40.0.1");
  witness.kind = MemberKind::kWitness;
  const PrimaryPlan plan = planned(set_up_state(), wish_for(), {member(), witness});
  EXPECT_EQ(plan.agent->start, AgentStart::kNone);
  EXPECT_FALSE(plan.agent->called_at.contains("witness1"));
}

TEST(PlanAgent, ThereIsOneAuthorityOfACluster) {
  PrimaryState state;
  state.agent = AgentState{.is_member_elsewhere = true};
  EXPECT_EQ(refused(state, wish_for()).code, ErrorCode::kPrecondition);
  state.agent.emplace();
  state.server.in_recovery = true;
  EXPECT_THAT(refused(state, wish_for()).hint, HasSubstr("join --agent"));
  state.agent->has_authority = true;
  planned(state, wish_for());
}

TEST(PlanAgent, WhoCannotBeAMemberOrBeReachedIsRefused) {
  EXPECT_EQ(refused(set_up_state(), wish_for(), {member("_x")}).code, ErrorCode::kUsage);
  PrimaryState state;
  state.agent.emplace();
  PlannedMember nowhere = member();
  nowhere.source_address.reset();
  EXPECT_THAT(refused(state, wish_for(), {nowhere}).hint, HasSubstr("--agent ADDR"));
}

}  // namespace
}  // namespace standfast::setup

// The parts of a plan for the certificate, the tokens and the firewall.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "setup/primary_plan_parts.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::HasSubstr;

PlannedMember member(const std::string& slot = "pgstandby1") {
  PlannedMember one;
  one.slot = slot;
  one.address_cidr = "10.20.20.2/32";
  one.source_address = "10.20.20.1";
  one.is_named = true;
  return one;
}

PrimaryState state_with_certificate() {
  PrimaryState state;
  state.port = 5432;
  state.tls = true;
  CertificateState certificate;
  certificate.file = "/data/server.crt";
  certificate.leaf.sha256_hex = std::string(64, 'a');
  certificate.leaf.is_self_signed = true;
  state.certificate = certificate;
  return state;
}

PrimaryPlan plan_of(std::vector<PlannedMember> members = {member()}) {
  PrimaryPlan plan;
  plan.members = std::move(members);
  plan.replication.name = "replicator";
  return plan;
}

base::Error refused(const PrimaryState& state, const PrimaryWish& wish = {}) {
  PrimaryPlan plan = plan_of();
  const auto planned = plan_certificate(state, wish, plan);
  EXPECT_FALSE(planned);
  if (planned) return {};
  EXPECT_EQ(planned.error().code, ErrorCode::kCertificate);
  EXPECT_THAT(planned.error().hint, HasSubstr("."));
  return planned.error();
}

TEST(PlanCertificate, WhatNoStandbyCouldVerifyIsRefusedWithWhatToDo) {
  PrimaryState state = state_with_certificate();
  auto& finding = state.certificate->verdict.finding;
  finding = client::ChainFinding{client::ChainProblem::kNoIssuer, "CN = root", "unable to get local issuer"};
  EXPECT_THAT(refused(state).hint, HasSubstr("Name the certificate of the CA with --ca-file"));
  state.certificate->ca_was_given = true;
  EXPECT_THAT(refused(state).hint, HasSubstr("The file of --ca-file has no certificate of that issuer"));
  finding->problem = client::ChainProblem::kExpired;
  EXPECT_THAT(refused(state).hint, HasSubstr("Renew it"));
  finding->problem = client::ChainProblem::kUnfit;
  EXPECT_THAT(refused(state).message, HasSubstr("would not take"));
  finding.reset();
  state.certificate->verdict.missing_der = std::string(100000, 'x');
  EXPECT_THAT(refused(state).message, HasSubstr("too large for a token"));
}

TEST(PlanCertificate, ASelfSignedOneMayHaveAnyNameAndWithoutTlsNoneIsAskedFor) {
  PrimaryPlan plan = plan_of();
  EXPECT_TRUE(plan_certificate(state_with_certificate(), {}, plan));
  PrimaryState plain;
  PrimaryWish wish;
  wish.ca_pem = "-----BEGIN CERTIFICATE-----";
  EXPECT_TRUE(plan_certificate(plain, wish, plan));
  ASSERT_EQ(plan.notes.size(), 1U);
  EXPECT_THAT(plan.notes[0].line, HasSubstr("--ca-file is not used"));
}

TokenState token_of(const PrimaryState& state) {
  TokenState token;
  token.is_readable = true;
  token.host = "10.20.20.1";
  token.port = state.port;
  token.replication_role = "replicator";
  token.has_the_passwords = true;
  token.certificate_sha256 = state.certificate->leaf.sha256_hex;
  return token;
}

std::string token_change(const PrimaryState& state, const PrimaryWish& wish = {},
                         PrimaryPlan plan = plan_of()) {
  plan_tokens(state, wish, plan);
  return plan.changes.empty() ? "" : plan.changes.front().what + ", " + plan.changes.front().reason;
}

TEST(PlanTokens, OneThatSaysWhatItShouldIsLeftAndOneThatLacksIsWritten) {
  PrimaryState state = state_with_certificate();
  EXPECT_THAT(token_change(state), HasSubstr("token for pgstandby1: written"));
  state.tokens["pgstandby1"] = token_of(state);
  EXPECT_EQ(token_change(state), "");
}

TEST(PlanTokens, EveryDifferenceIsARenewalWithItsReason) {
  const auto reason_after = [](auto change) {
    PrimaryState state = state_with_certificate();
    state.tokens["pgstandby1"] = token_of(state);
    PrimaryPlan plan = plan_of();
    PrimaryWish wish;
    change(state, plan, wish);
    return token_change(state, wish, plan);
  };
  using S = PrimaryState;
  using P = PrimaryPlan;
  using W = PrimaryWish;
  EXPECT_THAT(reason_after([](S&, P&, W& wish) { wish.advertised_host = "db1"; }),
              HasSubstr("renewed, the standby is to connect to db1, not to 10.20.20.1"));
  EXPECT_THAT(reason_after([](S& state, P&, W&) { state.port = 5433; }), HasSubstr("the port is 5433"));
  EXPECT_THAT(reason_after([](S& state, P&, W&) { state.certificate->leaf.sha256_hex[0] = 'b'; }),
              HasSubstr("the certificate"));
  EXPECT_THAT(reason_after([](S& state, P&, W&) { state.certificate->verdict.missing_der = "root"; }),
              HasSubstr("the certificate"));
  EXPECT_THAT(reason_after([](S& state, P&, W&) { state.tls = false; }), HasSubstr("ssl is off"));
  EXPECT_THAT(reason_after([](S&, P& plan, W&) { plan.replication.name = "other"; }), HasSubstr("role"));
  EXPECT_THAT(reason_after([](S&, P& plan, W&) { plan.monitor.password = PasswordAction::kReplace; }),
              HasSubstr("a password is another now"));
  EXPECT_THAT(reason_after([](S& state, P&, W&) { state.tokens["pgstandby1"].has_the_passwords = false; }),
              HasSubstr("a password is another now"));
  EXPECT_THAT(reason_after([](S& state, P&, W&) { state.tokens["pgstandby1"].is_readable = false; }),
              HasSubstr("cannot be read"));
}

TEST(PlanTokens, OfAStandbyThatIsNotNamedTheHostStays) {
  PrimaryState state = state_with_certificate();
  state.tokens["pgstandby1"] = token_of(state);
  state.tokens["pgstandby1"].host = "db1.example";
  PlannedMember other = member();
  other.is_named = false;
  EXPECT_EQ(token_change(state, {}, plan_of({other})), "");
  state.port = 5433;
  EXPECT_THAT(token_change(state, {}, plan_of({other})), HasSubstr("renewed"));
  state.tokens.clear();
  EXPECT_EQ(token_change(state, {}, plan_of({other})), "");
}

}  // namespace
}  // namespace standfast::setup

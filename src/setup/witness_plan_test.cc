#include "setup/witness_plan.h"

#include <gtest/gtest.h>

#include "pg/client/scram_verifier.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;
using witness::WitnessConfig;

std::string verifier_of(std::string_view password) {
  return client::to_string(*client::make_scram_verifier(password, "0123456789abcdef", 4096));
}

WitnessBasis basis() {
  WitnessBasis basis{
      .name = "witness1", .role = "replicator", .password = base::Secret("pencil"), .conninfo = {}};
  basis.conninfo.set("host", "10.20.20.1");
  basis.conninfo.set("passfile", "/store/witness1.pgpass");
  return basis;
}

const WitnessPaths kPaths{.config_file = "/store/witness1.witness.toml",
                          .users = "/store/witness1.users",
                          .certificate = "/store/witness1.server.crt",
                          .key = "/store/witness1.server.key"};

WitnessConfig flags() {
  WitnessConfig flags;
  flags.folder = "/srv/wal";
  flags.listen = {"10.20.20.3:5433"};
  flags.keep_bytes = 1024;
  return flags;
}

/// What is there after a plan was carried out.
WitnessSeen seen_after(const WitnessPlan& plan) {
  return {.has_folder = true,
          .has_login = true,
          .has_certificate = plan.make_certificate,
          .has_key = plan.make_certificate,
          .users_text = "replicator:" + verifier_of("pencil") + "\n",
          .config = plan.config};
}

TEST(WitnessPlan, TheFirstTimeAllIsMade) {
  const auto plan = plan_witness(basis(), flags(), kPaths, {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->make_folder && plan->keep_login && plan->write_users && plan->make_certificate &&
              plan->write_config);
  EXPECT_EQ(plan->changes.size(), 5U);
  EXPECT_EQ(plan->config.conninfo, "host=10.20.20.1 passfile=/store/witness1.pgpass");
  EXPECT_EQ(plan->config.name, "witness1");
  EXPECT_EQ(plan->config.users, kPaths.users);
  EXPECT_EQ(plan->config.tls_key, kPaths.key);
  EXPECT_EQ(plan->config.keep_bytes, 1024U);
  for (const std::string& line : plan->changes) EXPECT_EQ(line.find("pencil"), std::string::npos);
}

TEST(WitnessPlan, TheSecondTimeThereIsNothingToDo) {
  const auto first = plan_witness(basis(), flags(), kPaths, {});
  ASSERT_TRUE(first);
  const auto second = plan_witness(basis(), flags(), kPaths, seen_after(*first));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE(second->has_changes());
  EXPECT_EQ(second->config, first->config);
  // What is written already need not be said again.
  const auto third = plan_witness(basis(), {}, kPaths, seen_after(*first));
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_FALSE(third->has_changes());
}

TEST(WitnessPlan, ANewPasswordChangesLoginAndUsersOnly) {
  const auto first = plan_witness(basis(), flags(), kPaths, {});
  ASSERT_TRUE(first);
  WitnessSeen seen = seen_after(*first);
  seen.has_login = false;
  WitnessBasis rotated = basis();
  rotated.password = base::Secret("another");
  const auto plan = plan_witness(rotated, flags(), kPaths, seen);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->keep_login && plan->write_users);
  EXPECT_EQ(plan->changes.size(), 2U);
}

TEST(WitnessPlan, AConfigurationThatSaysSomethingElseIsNotTouched) {
  const auto first = plan_witness(basis(), flags(), kPaths, {});
  ASSERT_TRUE(first);
  WitnessConfig other = flags();
  other.folder = "/elsewhere";
  const auto plan = plan_witness(basis(), other, kPaths, seen_after(*first));
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kPrecondition);
  EXPECT_NE(plan.error().message.find("store.folder"), std::string::npos) << plan.error().message;
  WitnessBasis moved = basis();
  moved.conninfo.set("host", "10.20.20.9");
  const auto of_another = plan_witness(moved, flags(), kPaths, seen_after(*first));
  ASSERT_FALSE(of_another);
  EXPECT_NE(of_another.error().message.find("primary.conninfo"), std::string::npos);
}

TEST(WitnessPlan, FilesOfTheUsersOwnAreHisToFill) {
  WitnessConfig own = flags();
  own.users = "/etc/users";
  own.tls_certificate = "/etc/c";
  own.tls_key = "/etc/k";
  const auto plan = plan_witness(basis(), own, kPaths, {});
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->write_users || plan->make_certificate);
  EXPECT_EQ(plan->config.users, "/etc/users");
  EXPECT_EQ(plan->config.tls_certificate, "/etc/c");
}

TEST(WitnessPlan, HalfOfACertificateIsMadeAnew) {
  const auto first = plan_witness(basis(), flags(), kPaths, {});
  ASSERT_TRUE(first);
  WitnessSeen seen = seen_after(*first);
  seen.has_certificate = false;
  const auto plan = plan_witness(basis(), flags(), kPaths, seen);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->make_certificate);
  EXPECT_EQ(plan->changes.size(), 1U);
}

TEST(WitnessPlan, WhatContradictsTheTokenIsRefused) {
  WitnessConfig other = flags();
  other.name = "witness2";
  const auto plan = plan_witness(basis(), other, kPaths, {});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kUsage);
  other = flags();
  other.conninfo = "host=10.20.20.1";
  EXPECT_FALSE(plan_witness(basis(), other, kPaths, {}));
}

TEST(WitnessUsers, AreLetInByTheirPassword) {
  const std::string text = "# who\nother:" + verifier_of("pencil") + "\nreplicator:" + verifier_of("pencil");
  EXPECT_TRUE(lets_in(text, "replicator", base::Secret("pencil")));
  EXPECT_FALSE(lets_in(text, "replicator", base::Secret("pen")));
  EXPECT_FALSE(lets_in(text, "replicato", base::Secret("pencil")));
  EXPECT_FALSE(lets_in("", "replicator", base::Secret("pencil")));
  EXPECT_FALSE(lets_in("replicator:SCRAM-SHA-256$nonsense", "replicator", base::Secret("pencil")));
}

TEST(WitnessUsers, OnlyTheRolesOwnLineChanges) {
  const std::string old = "replicator:" + verifier_of("old") + "\n";
  const std::string made = "replicator:" + verifier_of("new") + "\n";
  EXPECT_EQ(with_login("", "replicator", verifier_of("new")), made);
  EXPECT_EQ(with_login("# who\n\n" + old + "other:x\n", "replicator", verifier_of("new")),
            "# who\n\n" + made + "other:x\n");
  EXPECT_EQ(with_login("other:x", "replicator", verifier_of("new")), "other:x\n" + made);
  EXPECT_EQ(with_login(old + old, "replicator", verifier_of("new")), made);
}

}  // namespace
}  // namespace standfast::setup

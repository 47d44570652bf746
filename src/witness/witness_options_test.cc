#include "witness/witness_options.h"

#include <gtest/gtest.h>

namespace standfast::witness {
namespace {

WitnessConfig config() {
  return {.conninfo = "host=10.20.20.1 user=replicator",
          .name = "witness1",
          .folder = "/srv/wal",
          .listen = {"10.20.20.3"},
          .users = "/u",
          .tls_certificate = "/c",
          .tls_key = "/k"};
}

TEST(WitnessOptions, OfAConfiguration) {
  const auto options = options_of(config());
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->receiver.slot, "witness1");
  EXPECT_EQ(options->receiver.folder, "/srv/wal");
  EXPECT_EQ(options->server.listen, (std::vector<net::ListenAddress>{{"10.20.20.3", kDefaultWitnessPort}}));
  EXPECT_EQ(options->server.cleartext, Cleartext::kOnLoopback);
  EXPECT_EQ(options->retention.keep_bytes, std::uint64_t{1} << 30U);
  EXPECT_FALSE(options->retention.slot_keep_bytes);
}

TEST(WitnessOptions, WhatIsMissingIsNamed) {
  const auto without = [](auto WitnessConfig::*member) {
    WitnessConfig less = config();
    less.*member = {};
    const auto options = options_of(less);
    return options ? "" : options.error().message;
  };
  EXPECT_NE(without(&WitnessConfig::name).find("no name"), std::string::npos);
  EXPECT_NE(without(&WitnessConfig::conninfo).find("where the primary is"), std::string::npos);
  EXPECT_NE(without(&WitnessConfig::folder).find("no folder"), std::string::npos);
  EXPECT_NE(without(&WitnessConfig::listen).find("where the witness serves"), std::string::npos);
  EXPECT_NE(without(&WitnessConfig::users).find("nobody may log in"), std::string::npos);
  EXPECT_NE(without(&WitnessConfig::tls_key).find("go together"), std::string::npos);
}

TEST(WitnessReload, TheSameChangesNothing) {
  const ReloadPlan plan = plan_reload(config(), config());
  EXPECT_EQ(plan.config, config());
  EXPECT_TRUE(plan.taken_up.empty());
  EXPECT_TRUE(plan.needs_restart.empty());
}

TEST(WitnessReload, WhatMayChangeIsTakenUp) {
  WitnessConfig wanted = config();
  wanted.conninfo = "host=10.20.20.9";
  wanted.keep_bytes = 1;
  wanted.keep_seconds = 2;
  wanted.slot_keep_bytes = 3;
  wanted.users = "/other";
  wanted.tls_certificate.reset();
  wanted.tls_key.reset();
  wanted.allow_cleartext = true;
  const ReloadPlan plan = plan_reload(config(), wanted);
  EXPECT_EQ(plan.config, wanted);
  EXPECT_EQ(plan.taken_up.size(), 8U);
  EXPECT_TRUE(plan.needs_restart.empty());
}

TEST(WitnessReload, WhatMayNotStaysAndIsNamed) {
  WitnessConfig wanted = config();
  wanted.name = "witness2";
  wanted.slot = "other";
  wanted.folder = "/elsewhere";
  wanted.listen = {"127.0.0.1"};
  const ReloadPlan plan = plan_reload(config(), wanted);
  EXPECT_EQ(plan.config, config());
  EXPECT_TRUE(plan.taken_up.empty());
  EXPECT_EQ(plan.needs_restart,
            (std::vector<std::string_view>{"primary.name", "primary.slot", "store.folder", "serve.listen"}));
}

}  // namespace
}  // namespace standfast::witness

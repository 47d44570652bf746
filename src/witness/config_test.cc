#include "witness/config.h"

#include <gtest/gtest.h>

namespace standfast::witness {
namespace {

TEST(WitnessConfig, EveryKeyIsRead) {
  const auto config = parse_witness_config(R"(
[primary]
conninfo = "host=10.20.20.1 user=replicator"
name = "witness1"
slot = "w"
[store]
folder = "/srv/wal"
keep_size = "10GB"
keep_time = "7d"
slot_keep_size = "512MB"
[serve]
listen = ["10.20.20.3:5433", "127.0.0.1"]
users = "/etc/users"
tls_certificate = "/c"
tls_key = "/k"
allow_cleartext = false
)",
                                           "witness.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->conninfo, "host=10.20.20.1 user=replicator");
  EXPECT_EQ(config->name, "witness1");
  EXPECT_EQ(config->slot, "w");
  EXPECT_EQ(config->folder, "/srv/wal");
  EXPECT_EQ(config->keep_bytes, std::uint64_t{10} << 30U);
  EXPECT_EQ(config->keep_seconds, 7 * 86400);
  EXPECT_EQ(config->slot_keep_bytes, std::uint64_t{512} << 20U);
  EXPECT_EQ(config->listen, (std::vector<std::string>{"10.20.20.3:5433", "127.0.0.1"}));
  EXPECT_EQ(config->users, "/etc/users");
  EXPECT_EQ(config->tls_certificate, "/c");
  EXPECT_EQ(config->tls_key, "/k");
  EXPECT_EQ(config->allow_cleartext, false);
}

TEST(WitnessConfig, AnEmptyFileSaysNothing) {
  const auto config = parse_witness_config("", "witness.toml");
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->folder);
  EXPECT_TRUE(config->listen.empty());
}

TEST(WitnessConfig, WhatIsWrongIsNamedWithItsLine) {
  struct Case {
    std::string_view text, in_message;
  };
  const Case cases[] = {
      {"[primary]\nconnifo = \"x\"\n", "line 2: unknown key \"connifo\" of [primary]"},
      {"[other]\n", "line 1: unknown key \"other\""},
      {"[store]\nkeep_size = 10\n", "line 2: keep_size must be a text"},
      {"[store]\nkeep_size = \"10 gigs\"\n", "line 2: keep_size \"10 gigs\" is not understood"},
      {"[store]\nkeep_time = \"-1d\"\n", "keep_time \"-1d\" is not understood"},
      {"[serve]\nlisten = \"x\"\n", "line 2: listen must be a list"},
      {"[serve]\nallow_cleartext = \"yes\"\n", "line 2: allow_cleartext must be true or false"},
      {"primary = 3\n", "line 1: \"primary\" is not a section"},
      {"[primary\n", "line 1"},
  };
  for (const Case& each : cases) {
    const auto config = parse_witness_config(each.text, "/etc/standfast/witness.toml");
    ASSERT_FALSE(config) << each.text;
    EXPECT_EQ(config.error().code, base::ErrorCode::kUsage);
    EXPECT_NE(config.error().message.find(each.in_message), std::string::npos) << config.error().message;
    EXPECT_NE(config.error().message.find("/etc/standfast/witness.toml"), std::string::npos);
    EXPECT_FALSE(config.error().hint.empty());
  }
}

WitnessConfig whole_config() {
  return {.conninfo = "host=10.20.20.1 user='it''s' passfile=/a\\b",
          .name = "witness1",
          .slot = "w",
          .folder = "/srv/w\"al\x01",
          .keep_bytes = std::uint64_t{10} << 30U,
          .slot_keep_bytes = 1536,
          .keep_seconds = 7 * 86400,
          .listen = {"10.20.20.3:5433", "[::1]:5433"},
          .users = "/u",
          .tls_certificate = "/c",
          .tls_key = "/k",
          .allow_cleartext = true};
}

TEST(WitnessConfig, WhatIsWrittenIsReadAgain) {
  const std::string text = render_witness_config(whole_config());
  const auto config = parse_witness_config(text, "witness.toml");
  ASSERT_TRUE(config) << config.error().message << "\n" << text;
  EXPECT_EQ(*config, whole_config()) << text;
  EXPECT_NE(text.find("keep_size = \"10GB\""), std::string::npos) << text;
  EXPECT_NE(text.find("keep_time = \"7d\""), std::string::npos) << text;
  EXPECT_NE(text.find("slot_keep_size = \"1536B\""), std::string::npos) << text;
}

TEST(WitnessConfig, WhatIsNotSetIsNotWritten) {
  EXPECT_EQ(render_witness_config({}), "");
  WitnessConfig config;
  config.keep_bytes = 0;
  config.keep_seconds = 90;
  EXPECT_EQ(render_witness_config(config), "[store]\nkeep_size = \"0B\"\nkeep_time = \"90s\"\n");
}

TEST(WitnessConfig, EachKeyThatDiffersIsNamed) {
  EXPECT_TRUE(differing_keys(whole_config(), whole_config()).empty());
  EXPECT_EQ(differing_keys(whole_config(), {}).size(), 12U);
  WitnessConfig other = whole_config();
  other.keep_seconds.reset();
  other.users = "/other";
  EXPECT_EQ(differing_keys(whole_config(), other),
            (std::vector<std::string_view>{"store.keep_time", "serve.users"}));
}

TEST(WitnessConfig, FlagsWin) {
  WitnessConfig file;
  file.folder = "/a";
  file.name = "w";
  file.listen = {"1"};
  WitnessConfig flags;
  flags.folder = "/b";
  flags.listen = {"2"};
  const WitnessConfig merged = merge(file, flags);
  EXPECT_EQ(merged.folder, "/b");
  EXPECT_EQ(merged.name, "w");
  EXPECT_EQ(merged.listen, std::vector<std::string>{"2"});
}

}  // namespace
}  // namespace standfast::witness

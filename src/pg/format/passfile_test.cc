#include "pg/format/passfile.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

using base::Secret;

PassfileEntry entry(std::string_view line) {
  return parse_passfile_line(line).value();
}

TEST(Passfile, ReadsFieldsWildcardsAndEscapes) {
  const PassfileEntry read = entry("10.20.20.1:*:re\\:plication:us\\\\er:pa\\:ss\\\\word");
  EXPECT_EQ(read.host, "10.20.20.1");
  EXPECT_FALSE(read.port.has_value());
  EXPECT_EQ(read.database, "re:plication");
  EXPECT_EQ(read.user, "us\\er");
  EXPECT_EQ(read.password.reveal(), "pa:ss\\word");
  EXPECT_EQ(entry("\\*:1:2:3:x").host, "*") << "an escaped star is a name";
  EXPECT_EQ(entry("a:1:2:3:x:rest").password.reveal(), "x") << "libpq stops at the next colon";
  EXPECT_EQ(entry("a:1:2:3:*").password.reveal(), "*");
  EXPECT_EQ(entry("a:1:2:3:*:4").password.reveal(), "*");
  EXPECT_EQ(entry("fe80\\:\\:1:1:2:3:").password.reveal(), "");
  EXPECT_EQ(entry("a:1:2:3:x\\").password.reveal(), "x\\") << "a lone backslash at the end is itself";
}

TEST(Passfile, ALineWithoutItsFieldsIsRefusedAndNotQuoted) {
  for (const std::string_view bad : {"", "hunter2", "a:b:c:hunter2", "*:*:*:hunter2\\:x"}) {
    const auto result = parse_passfile_line(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ((result.error().message + result.error().hint).find("hunter2"), std::string::npos);
  }
}

TEST(Passfile, WhatIsWrittenReadsBackAsItWas) {
  for (const std::string_view text : {"a", "*", "#", "a:b", "\\", "\\:", "::", "a*", "", " "}) {
    const std::string name(text);
    const PassfileEntry written{name, std::nullopt, name, name, Secret(name)};
    const Secret line = render_passfile_line(written).value();
    EXPECT_EQ(parse_passfile(line.reveal() + "\n").at(0), written) << line.reveal();
  }
  EXPECT_FALSE(render_passfile_line({"a\n", {}, {}, {}, Secret("x")}).has_value());
  EXPECT_FALSE(render_passfile_line({{}, {}, {}, {}, Secret("x\r")}).has_value());
}

TEST(Passfile, TheFirstLineThatFitsCounts) {
  const auto entries = parse_passfile(
      "# comment: a:b:c:d:e\n"
      "junk\n"
      "\r\n"
      "h1:5432:replication:replicator:first\r\n"
      "*:5432:*:replicator:second\n"
      "h2:*:*:*:\n"
      "*:*:*:*:last");
  EXPECT_EQ(entries.size(), 4U);
  EXPECT_EQ(find_password(entries, {"h1", "5432", "replication", "replicator"})->reveal(), "first");
  EXPECT_EQ(find_password(entries, {"h2", "5432", "x", "replicator"})->reveal(), "second");
  EXPECT_FALSE(find_password(entries, {"h2", "1", "x", "y"}).has_value()) << "an empty password is none";
  EXPECT_EQ(find_password(entries, {"h3", "1", "x", "y"})->reveal(), "last");
}

}  // namespace
}  // namespace standfast::pg

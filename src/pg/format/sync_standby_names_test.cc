#include "pg/format/sync_standby_names.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

using Names = std::vector<std::string>;

TEST(SyncStandbyNames, EveryFormOfTheGrammarIsRead) {
  struct Case {
    std::string_view text;
    SyncMethod method;
    std::uint32_t count;
    Names names;
    std::string_view written;
  };
  const Case cases[] = {
      {"", SyncMethod::kFirst, 1, {}, ""},
      {"a", SyncMethod::kFirst, 1, {"a"}, "\"a\""},
      {"a, \"B c\" ,_x$1", SyncMethod::kFirst, 1, {"a", "B c", "_x$1"}, "\"a\", \"B c\", \"_x$1\""},
      {"*", SyncMethod::kFirst, 1, {"*"}, "*"},
      {"2 (a, b)", SyncMethod::kFirst, 2, {"a", "b"}, "FIRST 2 (\"a\", \"b\")"},
      {"any 1(a,b)", SyncMethod::kAny, 1, {"a", "b"}, "ANY 1 (\"a\", \"b\")"},
      {"FIRST 3 (\"say \"\"hi\"\"\", 7)",
       SyncMethod::kFirst,
       3,
       {"say \"hi\"", "7"},
       "FIRST 3 (\"say \"\"hi\"\"\", \"7\")"},
      {"\"any\"", SyncMethod::kFirst, 1, {"any"}, "\"any\""},
      {"12", SyncMethod::kFirst, 1, {"12"}, "\"12\""},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.text);
    const auto parsed = SyncStandbyNames::parse(each.text);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->method, each.method);
    EXPECT_EQ(parsed->count, each.count);
    EXPECT_EQ(parsed->names, each.names);
    EXPECT_EQ(parsed->to_string(), each.written);
    const auto again = SyncStandbyNames::parse(parsed->to_string());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->names, each.names);
  }
}

TEST(SyncStandbyNames, WhatTheServerRefusesIsNone) {
  for (const std::string_view text : {"a b", "ANY", "ANY (a)", "ANY 0 (a)", "ANY 1 (a", "1 ()", "a,", ",a",
                                      "\"open", "a;b", "99999999999 (a)", "-1 (a)", "\"\""}) {
    EXPECT_FALSE(SyncStandbyNames::parse(text)) << text;
  }
}

TEST(SyncStandbyNames, NamesMatchWithoutCase) {
  const auto names = SyncStandbyNames::parse("ANY 1 (Witness, standby)");
  ASSERT_TRUE(names);
  EXPECT_TRUE(names->names_it("wITNESS"));
  EXPECT_FALSE(names->names_it("wit"));
  EXPECT_FALSE(names->has_wildcard());
}

}  // namespace
}  // namespace standfast::pg

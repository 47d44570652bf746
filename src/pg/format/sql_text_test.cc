#include "pg/format/sql_text.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

TEST(SqlText, IdentifiersAreAlwaysQuoted) {
  EXPECT_EQ(quote_identifier("replicator"), "\"replicator\"");
  EXPECT_EQ(quote_identifier("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
  EXPECT_EQ(quote_identifier(""), "\"\"");
}

TEST(SqlText, LiteralsWithBackslashesDoNotDependOnASetting) {
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\'b"), "E'a\\\\''b'");
  EXPECT_EQ(quote_literal(""), "''");
}

TEST(SqlText, AZeroByteIsABrokenInvariant) {
  EXPECT_DEATH(quote_literal(std::string_view("a\0b", 3)), "npos");
}

TEST(SqlText, SlotNamesAreThoseOfPostgresql) {
  EXPECT_EQ(valid_slot_name("pgstandby1").value(), "pgstandby1");
  EXPECT_EQ(valid_slot_name(std::string(63, 'a')).value(), std::string(63, 'a'));
  for (const std::string& bad : {std::string(), std::string("A"), std::string("a-b"), std::string("a b"),
                                 std::string(64, 'a'), std::string("a\0", 2), std::string("\xC3\xA9")}) {
    EXPECT_EQ(valid_slot_name(bad).error().code, base::ErrorCode::kUsage) << bad;
  }
}

}  // namespace
}  // namespace standfast::pg

#include "clone/rate.h"

#include <gtest/gtest.h>

namespace standfast::clone {
namespace {

TEST(MaxRate, NumbersAreKilobytesUnlessTheySayOtherwise) {
  EXPECT_EQ(*parse_max_rate("32"), 32U << 10U);
  EXPECT_EQ(*parse_max_rate("100k"), 100U << 10U);
  EXPECT_EQ(*parse_max_rate("1.5M"), (3U << 20U) / 2);
  EXPECT_EQ(*parse_max_rate("1024M"), 1U << 30U);
}

TEST(MaxRate, WhatIsOutOfRangeOrNoNumberIsRefused) {
  for (const char* text :
       {"", "0", "31", "31.9k", "1025M", "2000000", "1G", "fast", "-5M", "32 k", "nan", "inf", "32kB"})
    EXPECT_FALSE(parse_max_rate(text)) << text;
}

TEST(TablespaceMapping, PathsAreAbsoluteAndEqualSignsMayBeEscaped) {
  const auto plain = parse_tablespace_mapping("/mnt/old=/mnt/new/");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->from, "/mnt/old");
  EXPECT_EQ(plain->to, "/mnt/new");
  const auto escaped = parse_tablespace_mapping("/mnt/a\\=b=/mnt/c");
  ASSERT_TRUE(escaped);
  EXPECT_EQ(escaped->from, "/mnt/a=b");
  for (const char* text : {"", "/a", "=/b", "/a=", "/a=/b=/c", "a=/b", "/a=b"})
    EXPECT_FALSE(parse_tablespace_mapping(text)) << text;
}

}  // namespace
}  // namespace standfast::clone

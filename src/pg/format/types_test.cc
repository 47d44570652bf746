#include <gtest/gtest.h>

#include "pg/format/lsn.h"
#include "pg/format/versions.h"

namespace standfast::pg {
namespace {

TEST(Lsn, ReadsAndWritesPostgresqlsText) {
  EXPECT_EQ(Lsn::parse("16/B374D848")->value(), 0x16B374D848ULL);
  EXPECT_EQ(Lsn(0x16B374D848ULL).to_string(), "16/B374D848");
  EXPECT_EQ(Lsn(0x3000000).to_string(), "0/3000000");
  for (const char* bad : {"", "/", "1", "1/", "/1", "1/2/3", "g/1", "123456789/1", " 0/1", "-1/1"}) {
    EXPECT_FALSE(Lsn::parse(bad).has_value()) << bad;
  }
}

TEST(Lsn, DistanceIsNeverNegative) {
  EXPECT_EQ(Lsn(10).bytes_since(Lsn(4)), 6U);
  EXPECT_EQ(Lsn(4).bytes_since(Lsn(10)), 0U);
  EXPECT_EQ(Lsn(0x3000123).segment_start(16U << 20U), Lsn(0x3000000));
}

TEST(Version, ReadsWhatProgramsAndFilesSay) {
  EXPECT_EQ(Version::parse("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)")->number(), 150018);
  EXPECT_EQ(Version::parse("12.22")->number(), 120022);
  EXPECT_EQ(Version::parse("15\n")->major(), 15);
  EXPECT_EQ(Version::parse("18devel")->major(), 18);
  EXPECT_FALSE(Version::parse("").has_value());
  EXPECT_FALSE(Version::parse("devel").has_value());
  EXPECT_FALSE(Version::parse("99999999").has_value());
}

}  // namespace
}  // namespace standfast::pg

#include "pg/format/conninfo.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

TEST(Conninfo, ReadsWhatLibpqReads) {
  const Conninfo conninfo =
      Conninfo::parse("  host = 10.20.20.1 port=5432\tuser='it\\'s me'  dbname='' application_name=a\\ b\n")
          .value();
  EXPECT_EQ(conninfo.get("host"), "10.20.20.1");
  EXPECT_EQ(conninfo.get("port"), "5432");
  EXPECT_EQ(conninfo.get("user"), "it's me");
  EXPECT_EQ(conninfo.get("dbname"), "");
  EXPECT_EQ(conninfo.get("application_name"), "a b");
  EXPECT_FALSE(conninfo.get("Host").has_value());
  EXPECT_TRUE(Conninfo::parse("").value().pairs().empty());
  EXPECT_EQ(Conninfo::parse("host=").value().get("host"), "");
  EXPECT_EQ(Conninfo::parse("a=1 a=2").value().get("a"), "2") << "the last one wins";
  EXPECT_EQ(Conninfo::parse("a='1'b=2").value().get("b"), "2") << "libpq needs no blank there either";
}

TEST(Conninfo, RefusesWhatLibpqRefusesAndQuotesNothingOfIt) {
  for (const std::string_view bad :
       {"host", "host 5", "=hunter2", "password='hunter2", "host=a hunter2", "password='hunter2\\'"}) {
    const auto result = Conninfo::parse(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().code, base::ErrorCode::kUsage);
    EXPECT_EQ((result.error().message + result.error().hint).find("hunter2"), std::string::npos);
  }
  EXPECT_FALSE(Conninfo::parse(std::string_view("host=a\0b", 8)).has_value());
}

TEST(Conninfo, QuotesOnlyWhatNeedsIt) {
  Conninfo conninfo;
  conninfo.set("host", "/tmp/with blank");
  conninfo.set("user", "replicator");
  conninfo.set("options", "-c a=b");
  conninfo.set("dbname", "");
  conninfo.set("x", "o'brien\\");
  EXPECT_EQ(conninfo.to_string(),
            "host='/tmp/with blank' user=replicator options='-c a=b' dbname='' x='o\\'brien\\\\'");
  EXPECT_EQ(Conninfo::parse(conninfo.to_string()).value(), conninfo);
}

TEST(Conninfo, SetReplacesInPlaceAndRemoveTakesOut) {
  Conninfo conninfo = Conninfo::parse("a=1 b=2").value();
  conninfo.set("a", "3");
  conninfo.set("c", "4");
  EXPECT_EQ(conninfo.to_string(), "a=3 b=2 c=4");
  EXPECT_TRUE(conninfo.remove("b"));
  EXPECT_FALSE(conninfo.remove("b"));
  EXPECT_EQ(conninfo.to_string(), "a=3 c=4");
}

TEST(Conninfo, MaskedShowsNoPassword) {
  const Conninfo conninfo =
      Conninfo::parse("user=a password='hun ter2' sslpassword=hunter2 scram_client_key=hunter2").value();
  EXPECT_EQ(conninfo.masked(), "user=a password=******** sslpassword=******** scram_client_key=********");
}

}  // namespace
}  // namespace standfast::pg

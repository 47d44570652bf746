#include "pg/format/conf_file.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

ConfFile parsed(std::string_view text) {
  auto file = ConfFile::parse(text);
  EXPECT_TRUE(file.has_value()) << (file.has_value() ? "" : file.error().message);
  return file.has_value() ? *file : ConfFile();
}

TEST(ConfFile, ReadsEveryFormOfValueThatPostgresqlTakes) {
  const ConfFile file = parsed(
      "# a comment\n"
      "\n"
      "listen_addresses = 'localhost, 10.20.20.1'\t# what to listen on\n"
      "port 5433#directly\n"
      "  wal_level=replica\n"
      "shared_buffers = 128MB\n"
      "seq_page_cost = -1.5e3\n"
      "unix_socket_permissions = 0777\n"
      "work_mem=0x1FkB\r\n"
      "datestyle = iso-8859/1:x\n"
      "plpgsql.extra_errors 'all'\n"
      "DateStyle = 'it''s \\'\\n\\t\\101\\\\'\n"
      "fsync = on");
  EXPECT_EQ(file.get("listen_addresses"), "localhost, 10.20.20.1");
  EXPECT_EQ(file.get("PORT"), "5433");
  EXPECT_EQ(file.get("wal_level"), "replica");
  EXPECT_EQ(file.get("shared_buffers"), "128MB");
  EXPECT_EQ(file.get("seq_page_cost"), "-1.5e3");
  EXPECT_EQ(file.get("unix_socket_permissions"), "0777");
  EXPECT_EQ(file.get("work_mem"), "0x1FkB");
  EXPECT_EQ(file.get("plpgsql.extra_errors"), "all");
  EXPECT_EQ(file.get("datestyle"), "it's '\n\tA\\") << "the last one wins, without case";
  EXPECT_EQ(file.get("fsync"), "on");
  EXPECT_FALSE(file.get("fsyn").has_value());
  ASSERT_EQ(file.entries().size(), 11U);
  EXPECT_EQ(file.entries()[0].line_number, 3U);
  EXPECT_EQ(file.entries().back().line_number, 13U);
}

TEST(ConfFile, IncludesAreEntriesButNoSettings) {
  const ConfFile file = parsed("include 'a.conf'\nInclude_If_Exists = 'b.conf'\ninclude_dir 'conf.d'\n");
  ASSERT_EQ(file.entries().size(), 3U);
  EXPECT_EQ(file.entries()[0].kind, ConfEntryKind::kInclude);
  EXPECT_EQ(file.entries()[0].value, "a.conf");
  EXPECT_EQ(file.entries()[1].kind, ConfEntryKind::kIncludeIfExists);
  EXPECT_EQ(file.entries()[2].kind, ConfEntryKind::kIncludeDir);
  EXPECT_FALSE(file.get("include").has_value());
}

TEST(ConfFile, ABadLineIsNamedByItsNumber) {
  struct Case {
    std::string_view text;
    std::string_view line;
  };
  const Case cases[] = {
      {"port = 5432\nport\n", "line 2:"},
      {"port = \n", "line 1:"},
      {"= 5\n", "line 1:"},
      {"5432\n", "line 1:"},
      {"'port' = 5\n", "line 1:"},
      {"port = 5 6\n", "line 1:"},
      {"port == 5\n", "line 1:"},
      {"listen_addresses = 10.20.20.1\n", "line 1:"},
      {"listen_addresses = a.b\n", "line 1:"},
      {"listen_addresses = *\n", "line 1:"},
      {"a = 'open\n", "line 1:"},
      {"a = 'open\\'\n", "line 1:"},
      {"a = 'x' 'y'\n", "line 1:"},
      {"a = 'x''\n", "line 1:"},
      {"a.b.c = 1\n", "line 1:"},
      {"a = 'zero\\000byte'\n", "line 1:"},
      {"work_mem = 1.5GB\n", "line 1:"},
      {"a-b = 1\n", "line 1:"},
  };
  for (const Case& bad : cases) {
    const auto file = ConfFile::parse(bad.text);
    ASSERT_FALSE(file.has_value()) << bad.text;
    EXPECT_EQ(file.error().code, base::ErrorCode::kProtocol);
    EXPECT_TRUE(file.error().message.starts_with(bad.line)) << file.error().message;
  }
  EXPECT_FALSE(ConfFile::parse(std::string_view("a = \0\n", 6)).has_value());
  EXPECT_FALSE(ConfFile::parse(std::string(kMaxConfFileBytes + 1, '\n')).has_value());
}

TEST(ConfFile, AnUntouchedFileComesBackByteForByte) {
  for (const std::string_view text :
       {"", "\n", "#c", "a=1\r\n\r\n# x\r\nb = '2'", "\xEF\xBB\xBF_x = 1\n \t\n"}) {
    EXPECT_EQ(parsed(text).to_text(), text);
  }
}

TEST(ConfFile, SetChangesOnlyTheValueAndTakesOutTheOthers) {
  ConfFile file = parsed("port = 1 # first\r\n# keep\r\n  Port=2\t# second\r\nfsync = on\r\nport 3# third");
  file.set("port", "5433");
  EXPECT_EQ(file.to_text(), "# keep\r\nfsync = on\r\nport '5433'# third");
  EXPECT_EQ(file.get("port"), "5433");
  ASSERT_EQ(file.entries().size(), 2U);
  EXPECT_EQ(file.entries()[1].line_number, 3U);
}

TEST(ConfFile, SetAppendsWithTheLineEndOfTheFile) {
  ConfFile crlf = parsed("a = 1\r\nb = 2");
  crlf.set("c", "x y");
  EXPECT_EQ(crlf.to_text(), "a = 1\r\nb = 2\r\nc = 'x y'\r\n");
  ConfFile empty;
  empty.set("primary_conninfo", "user=replicator password=a\\'b");
  EXPECT_EQ(empty.to_text(), "primary_conninfo = 'user=replicator password=a\\\\''b'\n");
}

TEST(ConfFile, SetTwiceIsSetOnce) {
  ConfFile file = parsed("a = 1\n");
  file.set("b", "'\\");
  const std::string once = file.to_text();
  file.set("B", "'\\");
  EXPECT_EQ(file.to_text(), once);
}

TEST(ConfFile, RemoveTakesOutAllOfThatNameAndSaysSo) {
  ConfFile file = parsed("a = 1\n# note\nA = 2\nb = 3\n");
  EXPECT_TRUE(file.remove("a"));
  EXPECT_EQ(file.to_text(), "# note\nb = 3\n");
  EXPECT_FALSE(file.remove("a"));
  EXPECT_FALSE(file.get("a").has_value());
}

TEST(ConfFile, WhatIsQuotedReadsBackAsItWas) {
  for (const std::string_view value :
       {"", "plain", "it's", "a\\b", "two\nlines\r\n", "''", "\\'", "\x01\xFF#="}) {
    ConfFile file;
    file.set("x.y", value);
    EXPECT_EQ(parsed(file.to_text()).get("x.y"), value);
  }
}

TEST(ConfFile, NamesAreCheckedBeforeTheyAreSet) {
  EXPECT_TRUE(is_setting_name("primary_slot_name"));
  EXPECT_TRUE(is_setting_name("pg_stat_statements.track"));
  for (const std::string_view bad :
       {"", "a b", "1a", "a.b.c", "a=", "include", "include_dir", "a\n", ".a", "a."}) {
    EXPECT_FALSE(is_setting_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace standfast::pg

#include "pg/format/backup_label.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

constexpr std::string_view kLabel15 =
    "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
    "CHECKPOINT LOCATION: 0/2000060\n"
    "BACKUP METHOD: streamed\n"
    "BACKUP FROM: primary\n"
    "START TIME: 2026-11-22 12:20:52 UTC\n"
    "LABEL: pg_basebackup base backup\n"
    "START TIMELINE: 1\n";

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out(text);
  const std::size_t at = out.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return out.replace(at, from.size(), to);
}

TEST(BackupLabel, ReadsWhatAServerWrote) {
  const BackupLabel label = parse_backup_label(kLabel15).value();
  EXPECT_EQ(label.start, Lsn(0x2000028));
  EXPECT_EQ(label.start_wal_file, "000000010000000000000002");
  EXPECT_EQ(label.checkpoint, Lsn(0x2000060));
  EXPECT_EQ(label.method, "streamed");
  EXPECT_EQ(label.from, BackupFrom::kPrimary);
  EXPECT_EQ(label.start_time, "2026-11-22 12:20:52 UTC");
  EXPECT_EQ(label.label, "pg_basebackup base backup");
  EXPECT_EQ(label.start_timeline, TimelineId(1));
  EXPECT_FALSE(label.incremental_from.has_value());
}

TEST(BackupLabel, TheOlderWordForAPrimaryAndAStandbyAreKnown) {
  EXPECT_EQ(parse_backup_label(replaced(kLabel15, "primary", "master"))->from, BackupFrom::kPrimary);
  EXPECT_EQ(parse_backup_label(replaced(kLabel15, "primary", "standby"))->from, BackupFrom::kStandby);
}

TEST(BackupLabel, AnIncrementalBackupIsToldApart) {
  const std::string text =
      std::string(kLabel15) + "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n";
  EXPECT_EQ(parse_backup_label(text)->incremental_from, Lsn(0x1000028));
}

TEST(BackupLabel, ALineThatLacksOrLiesIsAnError) {
  for (const std::string_view line : {"START WAL LOCATION", "CHECKPOINT LOCATION", "BACKUP METHOD",
                                      "BACKUP FROM", "START TIME", "LABEL", "START TIMELINE"}) {
    const auto result = parse_backup_label(replaced(kLabel15, std::string(line) + ": ", "OTHER: "));
    ASSERT_FALSE(result.has_value()) << line;
    EXPECT_NE(result.error().message.find(line), std::string::npos) << result.error().message;
  }
  EXPECT_FALSE(parse_backup_label(replaced(kLabel15, "0/2000028", "0/0")).has_value());
  EXPECT_FALSE(
      parse_backup_label(replaced(kLabel15, "000000010000000000000002", "../../etc/passwd")).has_value());
  EXPECT_FALSE(parse_backup_label(replaced(kLabel15, "TIMELINE: 1", "TIMELINE: 0")).has_value());
  EXPECT_FALSE(parse_backup_label(replaced(kLabel15, "primary", "elsewhere")).has_value());
  EXPECT_FALSE(
      parse_backup_label(replaced(kLabel15, "LABEL: ", "LABEL: x\nSTART TIMELINE: 9\nX: ")).has_value())
      << "a label must not be able to smuggle in a second timeline";
  EXPECT_FALSE(parse_backup_label("").has_value());
  EXPECT_FALSE(parse_backup_label(std::string(kMaxBackupLabelBytes + 1, 'x')).has_value());
}

TEST(TablespaceMap, PathsWithLineEndsAndBackslashesComeBack) {
  const std::vector<TablespaceMapEntry> entries = {{16385, "/srv/ts 1"}, {16386, "/srv/new\nline\\\r/x"}};
  const std::string text = render_tablespace_map(entries);
  EXPECT_EQ(text, "16385 /srv/ts 1\n16386 /srv/new\\\nline\\\\\\\r/x\n");
  EXPECT_EQ(parse_tablespace_map(text).value(), entries);
  EXPECT_TRUE(parse_tablespace_map("").value().empty());
}

TEST(TablespaceMap, WhatIsNoMapIsRefused) {
  for (const std::string_view bad : {"x\n", "16385\n", "16385 \n", " /a\n", "0 /a\n", "99999999999 /a\n",
                                     "16385 /a", "16385 /a\\", "-1 /a\n"}) {
    EXPECT_FALSE(parse_tablespace_map(bad).has_value()) << bad;
  }
  EXPECT_FALSE(parse_tablespace_map(std::string_view("1 /a\0b\n", 7)).has_value());
  EXPECT_FALSE(parse_tablespace_map(std::string_view("1 /a\\\0\n", 7)).has_value())
      << "an escaped zero byte too";
}

}  // namespace
}  // namespace standfast::pg

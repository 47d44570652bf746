#include "clone/manifest_writer.h"

#include <algorithm>

#include "clone/manifest_check.h"
#include "clone/test_support.h"

namespace standfast::clone {
namespace {

constexpr pg::SystemId kSystem(7710978553056627143U);

pg::Lsn lsn(std::string_view text) {
  return *pg::Lsn::parse(text);
}

class ManifestWriter : public testing::FolderTest {
 protected:
  CopiedFile file(const std::string& name, const std::string& content) {
    put(name, content);
    auto copied = copied_file(files_, name, at(name));
    EXPECT_TRUE(copied) << (copied ? "" : copied.error().message);
    return copied ? *copied : CopiedFile{};
  }
  std::string write(int version, std::span<const CopiedFile> copied) {
    const ManifestFacts facts{
        pg::Version(version), kSystem, {{pg::TimelineId(1), lsn("0/2000028"), lsn("0/2000100")}}};
    const auto written =
        write_manifest(files_, {.place = at("backup_manifest"), .sync = SyncFiles::kNo}, facts, copied);
    EXPECT_TRUE(written) << (written ? "" : written.error().message);
    return exists("backup_manifest") ? read("backup_manifest") : "";
  }
  env::StopEvent stop_;
};

/// By the check that a server's own manifest gets.
TEST_F(ManifestWriter, WhatItSaysOfTheFilesHolds) {
  std::vector<CopiedFile> copied = {file("PG_VERSION", "15\n"), file("base/5/1259", std::string(20000, 'x')),
                                    file("empty", "")};
  std::vector<ReceivedFile> received;
  for (const CopiedFile& one : copied) received.push_back({one.manifest_path, one.size_bytes, *one.crc32c});
  const BackupIdentity identity{kSystem, pg::TimelineId(1), lsn("0/2000028"), lsn("0/2000100")};
  for (const int version : {130001, 160001, 170001, 180001}) {
    const std::string text = write(version, copied);
    const auto checked = check_manifest(text, received, identity);
    EXPECT_TRUE(checked) << version << ": " << checked.error().message;
    const auto manifest = pg::parse_manifest(text);
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->version, version >= 170000 ? 2 : 1);
    EXPECT_EQ(manifest->system_id, version >= 170000 ? std::optional(kSystem) : std::nullopt);
    EXPECT_EQ(manifest->files.size(), 3U);
    EXPECT_TRUE(manifest->files[0].last_modified.ends_with(" GMT")) << manifest->files[0].last_modified;
  }
}

TEST_F(ManifestWriter, ThereIsNoneBefore13) {
  EXPECT_EQ(write(120010, {}), "");
  EXPECT_NE(write(130000, {}), "");
}

TEST_F(ManifestWriter, OddNamesAreNamed) {
  const std::string odd = "a \"quoted\\name\"\n\x01";
  const std::string not_utf8 = "caf\xe9";
  std::vector<CopiedFile> copied = {file(odd, "1"), file(not_utf8, "2")};
  const auto manifest = pg::parse_manifest(write(150000, copied));
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->files[0].path, odd);
  EXPECT_EQ(manifest->files[1].path, not_utf8);
}

TEST_F(ManifestWriter, ChecksumsThatLackAreRead) {
  std::vector<CopiedFile> copied = {file("one", std::string(3U << 20U, 'y')), file("two", "2")};
  const auto first = copied[0].crc32c;
  copied[0].crc32c.reset();
  ASSERT_TRUE(complete_checksums(files_, copied, stop_));
  EXPECT_EQ(copied[0].crc32c, first);

  copied[1].crc32c.reset();
  copied[1].size_bytes = 5;
  const auto longer = complete_checksums(files_, copied, stop_);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, base::ErrorCode::kDamaged);

  stop_.set();
  const auto cancelled = complete_checksums(files_, copied, stop_);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, base::ErrorCode::kCancelled);
}

TEST(ManifestWalRanges, LeadFromTheEndToTheStart) {
  const pg::TimelineId one(1);
  const pg::TimelineId three(3);
  const auto same = manifest_wal_ranges({lsn("0/28"), one, lsn("0/100"), one}, std::nullopt);
  ASSERT_TRUE(same);
  ASSERT_EQ(same->size(), 1U);
  EXPECT_EQ(same->front().start, lsn("0/28"));

  const auto history = pg::TimelineHistory::parse(three, "1\t0/3000\tx\n2\t0/5000\tx\n");
  const auto ranges = manifest_wal_ranges({lsn("0/28"), one, lsn("0/9000"), three}, history);
  ASSERT_TRUE(ranges) << ranges.error().message;
  ASSERT_EQ(ranges->size(), 3U);
  EXPECT_EQ((*ranges)[0].timeline, three);
  EXPECT_EQ((*ranges)[0].start, lsn("0/5000"));
  EXPECT_EQ((*ranges)[0].end, lsn("0/9000"));
  EXPECT_EQ((*ranges)[1].start, lsn("0/3000"));
  EXPECT_EQ((*ranges)[1].end, lsn("0/5000"));
  EXPECT_EQ((*ranges)[2].timeline, one);
  EXPECT_EQ((*ranges)[2].start, lsn("0/28"));
  EXPECT_EQ((*ranges)[2].end, lsn("0/3000"));

  EXPECT_FALSE(manifest_wal_ranges({lsn("0/28"), one, lsn("0/9000"), three}, std::nullopt));
  EXPECT_FALSE(manifest_wal_ranges({lsn("0/28"), pg::TimelineId(7), lsn("0/9000"), three}, history));
}

}  // namespace
}  // namespace standfast::clone

#include "clone/manifest_check.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "base/crc32c.h"

namespace standfast::clone {
namespace {

using base::ErrorCode;

const BackupIdentity kBackup{pg::SystemId(7), pg::TimelineId(1), pg::Lsn(0x200'0028), pg::Lsn(0x200'0100)};

std::uint32_t crc_of(std::string_view text) {
  base::Crc32c crc;
  crc.update(base::as_bytes(text));
  return crc.value();
}

std::string entry(const std::string& path, std::string_view content) {
  const std::uint32_t crc = crc_of(content);
  const std::string checksum =
      base::to_hex(base::as_bytes({reinterpret_cast<const char*>(&crc), sizeof crc}));
  return "{ \"Path\": \"" + path + "\", \"Size\": " + std::to_string(content.size()) +
         ", \"Last-Modified\": \"2026-01-31 12:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", "
         "\"Checksum\": \"" +
         checksum + "\" }";
}

/// As a server of 17 writes it, with the sum that it has.
std::string manifest(const std::string& entries, const std::string& end_lsn = "0/2000100",
                     const std::string& system_id = "7") {
  std::string text = "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": " + system_id +
                     ",\n\"Files\": [\n" + entries + "\n],\n\"WAL-Ranges\": [\n" +
                     "{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"" + end_lsn +
                     "\" }\n],\n";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return text + "\"Manifest-Checksum\": \"" + base::to_hex(std::as_bytes(std::span(digest, size))) + "\"}\n";
}

const std::string kEntries = entry("base/5/112", "one") + ",\n" + entry("pg_tblspc/1/x", "");
const std::vector<ReceivedFile> kFiles = {{"base/5/112", 3, crc_of("one")}, {"pg_tblspc/1/x", 0, crc_of("")}};

ErrorCode code_of(const std::string& text, const std::vector<ReceivedFile>& files) {
  const auto checked = check_manifest(text, files, kBackup);
  return checked ? ErrorCode::kFailed : checked.error().code;
}

TEST(ManifestCheck, WhatWasSentIsAccepted) {
  const auto checked = check_manifest(manifest(kEntries), kFiles, kBackup);
  EXPECT_TRUE(checked) << checked.error().message;
}

TEST(ManifestCheck, AFileThatDiffersIsNamed) {
  auto files = kFiles;
  files[0].crc32c ^= 1U;
  auto checked = check_manifest(manifest(kEntries), files, kBackup);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kDamaged);
  EXPECT_NE(checked.error().message.find("base/5/112"), std::string::npos);
  files = kFiles;
  files[1].size_bytes = 1;
  EXPECT_EQ(code_of(manifest(kEntries), files), ErrorCode::kDamaged);
}

TEST(ManifestCheck, AFileTooFewOrTooManyIsDamage) {
  EXPECT_EQ(code_of(manifest(kEntries), {kFiles[0]}), ErrorCode::kDamaged);
  auto files = kFiles;
  files.push_back({"base/5/999", 0, 0});
  EXPECT_EQ(code_of(manifest(kEntries), files), ErrorCode::kDamaged);
}

TEST(ManifestCheck, FetchedWalNeedNotBeInTheManifestButItsStatusIs) {
  auto files = kFiles;
  files.push_back({"pg_wal/000000010000000000000002", 16, 1});
  files.push_back({"pg_wal/archive_status/000000010000000000000002.done", 0, crc_of("")});
  const std::string with_status =
      manifest(kEntries + ",\n" + entry("pg_wal/archive_status/000000010000000000000002.done", ""));
  EXPECT_TRUE(check_manifest(with_status, files, kBackup));
}

TEST(ManifestCheck, AnyChangedByteOfTheManifestIsNoticed) {
  const std::string good = manifest(kEntries);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = bad[i] == '7' ? '8' : '7';
    // Behind the sum itself there is nothing that counts.
    if (i > good.rfind('"')) continue;
    EXPECT_FALSE(check_manifest(bad, kFiles, kBackup)) << i << ": " << good.substr(i, 10);
  }
}

TEST(ManifestCheck, AnotherBackupsManifestIsRefused) {
  EXPECT_EQ(code_of(manifest(kEntries, "0/2000101"), kFiles), ErrorCode::kProtocol);
  EXPECT_EQ(code_of(manifest(kEntries, "0/2000100", "8"), kFiles), ErrorCode::kProtocol);
}

TEST(ControlFileOrder, OnlyWalMayComeAfterIt) {
  const ReceivedFile control{"global/pg_control", 8192, 1};
  const ReceivedFile table{"pg_tblspc/16385/PG_15_202209061/5/16386", 8192, 1};
  const ReceivedFile wal{"pg_wal/000000010000000000000002", 16, 1};
  EXPECT_TRUE(check_control_file_came_last({table, control}));
  EXPECT_TRUE(check_control_file_came_last({table, control, wal}));
  for (const auto& files : {std::vector{control, table}, {control, table, wal}, {table, wal}, {}}) {
    const auto checked = check_control_file_came_last(files);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::kProtocol);
  }
}

}  // namespace
}  // namespace standfast::clone

#include "pg/format/manifest.h"

#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace standfast::pg {
namespace {

using base::ErrorCode;

constexpr std::string_view kVersion1 = R"({ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
{ "Path": "backup_label", "Size": 225, "Last-Modified": "2026-11-22 12:20:52 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "13783f3f" },
{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-11-22 12:20:19 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "8a744722" },
{ "Encoded-Path": "6261642fff", "Size": 0, "Last-Modified": "2026-11-22 12:20:19 GMT" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000138" }
],
"Manifest-Checksum": "5f16a952dd27e3936ff4e95844c87a8b754a8c34bec3d4a5c2d0586b7baff42c"}
)";

constexpr std::string_view kVersion2 = R"({ "PostgreSQL-Backup-Manifest-Version": 2,
"System-Identifier": 7710969628032908341,
"Files": [
{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-11-22 12:20:21 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "7ee29791fc17e986b97128845622b077fb45e349fdb80523fac9dba879b4ad60" }
],
"WAL-Ranges": [
{ "Timeline": 3, "Start-LSN": "1/2000028", "End-LSN": "1/2000158" }
],
"Manifest-Checksum": "7d18aa0366dbc14eb86677924233fc4ab4160731b8c26ad248ea403df445fb9b"}
)";

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out(text);
  const std::size_t at = out.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return out.replace(at, from.size(), to);
}

TEST(Manifest, ReadsVersionOne) {
  const Manifest manifest = parse_manifest(kVersion1).value();
  EXPECT_EQ(manifest.version, 1);
  EXPECT_FALSE(manifest.system_id.has_value());
  ASSERT_EQ(manifest.files.size(), 3U);
  EXPECT_EQ(manifest.files[0].path, "backup_label");
  EXPECT_EQ(manifest.files[0].size_bytes, 225U);
  EXPECT_EQ(manifest.files[0].last_modified, "2026-11-22 12:20:52 GMT");
  EXPECT_EQ(manifest.files[2].path, "bad/\xFF");
  EXPECT_EQ(manifest.files[2].algorithm, ManifestChecksum::kNone);
  ASSERT_EQ(manifest.wal_ranges.size(), 1U);
  EXPECT_EQ(manifest.wal_ranges[0].end, Lsn(0x2000138));
  EXPECT_EQ(manifest.covered_bytes, kVersion1.find("\"Manifest-Checksum\""));
}

TEST(Manifest, ReadsVersionTwoWithItsSystemIdentifier) {
  const Manifest manifest = parse_manifest(kVersion2).value();
  EXPECT_EQ(manifest.version, 2);
  EXPECT_EQ(manifest.system_id, SystemId(7710969628032908341ULL));
  EXPECT_EQ(manifest.files[0].algorithm, ManifestChecksum::kSha256);
  EXPECT_EQ(manifest.files[0].checksum.size(), 32U);
  EXPECT_EQ(manifest.wal_ranges[0].timeline, TimelineId(3));
  EXPECT_EQ(manifest.wal_ranges[0].start, Lsn(0x102000028));
}

TEST(Manifest, ACrcIsWrittenLeastByteFirst) {
  base::Crc32c crc;
  crc.update(base::as_bytes("15\n"));  // what PG_VERSION of that backup held
  EXPECT_EQ(parse_manifest(kVersion1)->files[1].checksum, manifest_crc32c_bytes(crc.value()));
}

TEST(Manifest, PathsThatLeadOutAreRefused) {
  for (const std::string_view bad :
       {"/etc/passwd", "..", "../x", "base/../../x", "base/..", "", "a/../b", "a\\u0000b"}) {
    const auto result = parse_manifest(replaced(kVersion1, "\"PG_VERSION\"", "\"" + std::string(bad) + "\""));
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().code, ErrorCode::kProtocol);
  }
  EXPECT_FALSE(parse_manifest(replaced(kVersion1, "6261642fff", "2e2e2f78")).has_value())
      << "../x in hexadecimal";
  EXPECT_TRUE(parse_manifest(replaced(kVersion1, "PG_VERSION", "base/..x/...")).has_value());
}

TEST(Manifest, ANewVersionIsAVersionError) {
  const auto result = parse_manifest(replaced(kVersion1, "Version\": 1", "Version\": 3"));
  EXPECT_EQ(result.error().code, ErrorCode::kVersion);
}

TEST(Manifest, WhatPostgresqlWouldRefuseIsRefused) {
  struct Case {
    std::string_view from;
    std::string_view to;
  };
  const Case cases[] = {
      {"\"Size\": 3", "\"Size\": -3"},
      {"\"Size\": 3", "\"Size\": 3.5"},
      {"\"Size\": 3", "\"Size\": \"3\""},
      {"\"Size\": 3", "\"Size\": null"},
      {"\"Size\": 3", "\"Size\": 99999999999999999999"},
      {"\"Size\": 3", "\"Size\": 3, \"Size\": 4"},
      {"\"Size\": 3, ", ""},
      {"\"Path\": \"PG_VERSION\", ", ""},
      {"\"Path\": \"PG_VERSION\"", "\"Path\": \"a\", \"Encoded-Path\": \"62\""},
      {"\"Path\": \"PG_VERSION\"", "\"Path\": [\"PG_VERSION\"]"},
      {"\"Path\": \"PG_VERSION\"", "\"Path\": {\"Path\": \"x\"}"},
      {"8a744722", "8a7447"},
      {"8a744722", "8a74472g"},
      {"\"CRC32C\"", "\"MD5\""},
      {", \"Checksum\": \"8a744722\"", ""},
      {"\"Timeline\": 1", "\"Timeline\": 0"},
      {"\"Timeline\": 1", "\"Timeline\": 4294967296"},
      {"\"End-LSN\": \"0/2000138\"", "\"End-LSN\": \"0/1\""},
      {"\"End-LSN\": \"0/2000138\"", "\"End-LSN\": \"x\""},
      {", \"End-LSN\": \"0/2000138\"", ""},
      {"5f16a952", "zf16a952"},
      {"5f16a952", "5f16"},
      {"\"PostgreSQL-Backup-Manifest-Version\": 1,", ""},
      {"Files", "Filez"},
      {"\"WAL-Ranges\": [", "\"Files\": [], \"WAL-Ranges\": ["},
      {"\"Files\": [", "\"Files\": [ 5,"},
      {"\"Files\": [", "\"Files\": [ [],"},
      {"{ \"Path\"", "{ \"Odd\": true, \"Path\""},
  };
  for (const Case& bad : cases) {
    EXPECT_FALSE(parse_manifest(replaced(kVersion1, bad.from, bad.to)).has_value())
        << bad.from << " -> " << bad.to;
  }
  EXPECT_FALSE(
      parse_manifest(replaced(kVersion2, "\"System-Identifier\": 7710969628032908341,\n", "")).has_value());
}

TEST(Manifest, EveryCutIsNoticed) {
  for (std::size_t size = 0; size < kVersion1.size(); ++size) {
    EXPECT_FALSE(parse_manifest(kVersion1.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(parse_manifest(std::string(kVersion1) + "\n").has_value());
  EXPECT_FALSE(parse_manifest(std::string(kVersion1) + "{}\n").has_value());
}

TEST(Manifest, DeepNestingDoesNotReachTheStack) {
  EXPECT_FALSE(parse_manifest(std::string(1U << 20U, '[') + "\n\"Manifest-Checksum\"\n").has_value());
}

}  // namespace
}  // namespace standfast::pg

// backup_manifest (backup/backup_manifest.c, common/parse_manifest.c), versions 1 (13 to 16) and 2 (17 on).
//
// Threading: pure functions on values. Ownership: a Manifest owns its strings.
// Invariants of a parsed manifest: every path is relative, not empty and free of ".." parts; every checksum
// has its algorithm's length; [0, covered_bytes) is what the declared checksum (SHA-256) covers. Fails:
// kProtocol for what is no manifest, kVersion for a version of it that is not known. Whether the declared
// checksum holds is for the caller to compute: this layer has no SHA-256.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/format/lsn.h"

namespace standfast::pg {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{1} << 30U;

enum class ManifestChecksum : std::uint8_t { kNone, kCrc32c, kSha224, kSha256, kSha384, kSha512 };

std::string_view name_of(ManifestChecksum algorithm);  ///< "NONE", "CRC32C", "SHA256", ...
std::size_t checksum_bytes_of(ManifestChecksum algorithm);

struct ManifestFile {
  std::string path;  ///< in the server's encoding
  std::uint64_t size_bytes = 0;
  std::string last_modified;  ///< "2026-01-31 12:00:00 GMT"
  ManifestChecksum algorithm = ManifestChecksum::kNone;
  std::string checksum;  ///< raw bytes
};

struct ManifestWalRange {
  TimelineId timeline;
  Lsn start;
  Lsn end;
};

struct Manifest {
  int version = 1;
  std::optional<SystemId> system_id;  ///< from version 2 on
  std::vector<ManifestFile> files;
  std::vector<ManifestWalRange> wal_ranges;
  std::string declared_sha256_hex;  ///< 64 lower-case hex digits
  std::size_t covered_bytes = 0;    ///< the checksum covers the text from its beginning up to here
};

base::Result<Manifest> parse_manifest(std::string_view text);

/// A CRC-32C as the manifest writes it: the four bytes of the number in memory order, least first.
std::string manifest_crc32c_bytes(std::uint32_t crc);

}  // namespace standfast::pg

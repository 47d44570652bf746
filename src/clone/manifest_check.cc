#include "clone/manifest_check.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "pg/format/manifest.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

Error damaged(std::string message) {
  return {ErrorCode::kDamaged, std::move(message),
          "The copy is not what the server read. Run this again; if it comes back, suspect memory, disk or "
          "network."};
}

std::string sha256_hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_bytes = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &digest_bytes, EVP_sha256(), nullptr) != 1) return "";
  return base::to_hex(std::as_bytes(std::span(digest, digest_bytes)));
}

Result<void> check_file(const pg::ManifestFile& said, const ReceivedFile& got) {
  if (got.size_bytes != said.size_bytes) {
    return damaged(fmt::format("\"{}\" has {} bytes but the server's manifest says {}", said.path,
                               got.size_bytes, said.size_bytes));
  }
  if (said.algorithm != pg::ManifestChecksum::kCrc32c) {
    return Error(
        ErrorCode::kProtocol,
        fmt::format("the manifest's checksum of \"{}\" is not the CRC-32C that was asked for", said.path));
  }
  if (pg::manifest_crc32c_bytes(got.crc32c) != said.checksum)
    return damaged(fmt::format("the checksum of \"{}\" is not that of the server's manifest", said.path));
  return base::ok();
}

/// WAL that came in the archive is not in the manifest; only its archive status is.
bool is_wal(std::string_view path) {
  return path.starts_with("pg_wal/");
}

Result<void> check_identity(const pg::Manifest& manifest, const BackupIdentity& backup) {
  const auto is_this_backup = [&](const pg::ManifestWalRange& range) { return range.end == backup.stop_lsn; };
  const auto begins = [&](const pg::ManifestWalRange& range) { return range.start == backup.start_lsn; };
  const bool same_system = !manifest.system_id || *manifest.system_id == backup.system_id;
  if (same_system && std::ranges::any_of(manifest.wal_ranges, is_this_backup) &&
      std::ranges::any_of(manifest.wal_ranges, begins)) {
    return base::ok();
  }
  return Error(ErrorCode::kProtocol, "the manifest is not that of this backup");
}

}  // namespace

Result<void> check_manifest(const std::string& manifest_text, const std::vector<ReceivedFile>& received,
                            const BackupIdentity& backup) {
  const pg::Manifest manifest = TRY(pg::parse_manifest(manifest_text));
  if (sha256_hex(std::string_view(manifest_text).substr(0, manifest.covered_bytes)) !=
      manifest.declared_sha256_hex)
    return damaged("the manifest's own checksum does not hold");
  TRY(check_identity(manifest, backup));

  std::unordered_map<std::string_view, const ReceivedFile*> by_path;
  by_path.reserve(received.size());
  for (const ReceivedFile& file : received) by_path.emplace(file.path, &file);
  for (const pg::ManifestFile& said : manifest.files) {
    const auto found = by_path.find(said.path);
    if (found == by_path.end())
      return damaged(fmt::format("\"{}\" is in the server's manifest but did not come", said.path));
    TRY(check_file(said, *found->second));
    by_path.erase(found);
  }
  for (const auto& [path, file] : by_path) {
    if (!is_wal(path)) return damaged(fmt::format("\"{}\" came but is not in the server's manifest", path));
  }
  return base::ok();
}

Result<void> check_control_file_came_last(const std::vector<ReceivedFile>& received) {
  const auto last = std::find_if(received.rbegin(), received.rend(),
                                 [](const ReceivedFile& file) { return !file.path.starts_with("pg_wal/"); });
  if (last != received.rend() && last->path == "global/pg_control") return base::ok();
  return Error(ErrorCode::kProtocol, "the standby did not send pg_control as the last file",
               "A copy of a standby cannot be trusted without that. Copy from the primary.");
}

}  // namespace standfast::clone

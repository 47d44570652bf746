// backup_manifest: what is read keeps its promises (paths stay inside, checksums have their length), and
// written out again reads as the same.
#include <string>

#include <fmt/format.h>

#include "base/bytes.h"
#include "fuzz_input.h"
#include "pg/format/manifest.h"

namespace {

namespace base = standfast::base;
using standfast::pg::Manifest;
using standfast::pg::ManifestChecksum;
using standfast::pg::ManifestFile;

void check_promises(const Manifest& manifest, std::string_view text) {
  CHECK(manifest.covered_bytes < text.size());
  CHECK(text[manifest.covered_bytes - 1] == '\n');
  CHECK(manifest.declared_sha256_hex.size() == 64);
  for (const ManifestFile& file : manifest.files) {
    CHECK(!file.path.empty() && file.path.front() != '/');
    CHECK(file.path.find('\0') == std::string::npos);
    CHECK(("/" + file.path + "/").find("/../") == std::string::npos);
    CHECK(file.checksum.size() == standfast::pg::checksum_bytes_of(file.algorithm));
  }
  for (const auto& range : manifest.wal_ranges) CHECK(range.start <= range.end);
}

std::string render(const Manifest& manifest) {
  std::string text = fmt::format("{{\"PostgreSQL-Backup-Manifest-Version\": {},\n", manifest.version);
  if (manifest.system_id) text += fmt::format("\"System-Identifier\": {},\n", manifest.system_id->value());
  text += "\"Files\": [";
  for (std::size_t i = 0; i < manifest.files.size(); ++i) {
    const ManifestFile& file = manifest.files[i];
    text += fmt::format("{}\n{{\"Encoded-Path\": \"{}\", \"Size\": {}", i == 0 ? "" : ",",
                        base::to_hex(base::as_bytes(file.path)), file.size_bytes);
    if (file.algorithm != ManifestChecksum::kNone) {
      text +=
          fmt::format(", \"Checksum-Algorithm\": \"{}\", \"Checksum\": \"{}\"",
                      standfast::pg::name_of(file.algorithm), base::to_hex(base::as_bytes(file.checksum)));
    }
    text += '}';
  }
  text += "],\n\"WAL-Ranges\": [";
  for (std::size_t i = 0; i < manifest.wal_ranges.size(); ++i) {
    const auto& range = manifest.wal_ranges[i];
    text +=
        fmt::format("{}\n{{\"Timeline\": {}, \"Start-LSN\": \"{}\", \"End-LSN\": \"{}\"}}", i == 0 ? "" : ",",
                    range.timeline.value(), range.start.to_string(), range.end.to_string());
  }
  return text + fmt::format("],\n\"Manifest-Checksum\": \"{}\"}}\n", manifest.declared_sha256_hex);
}

void check_same(const Manifest& a, const Manifest& b) {
  CHECK(a.version == b.version && a.system_id == b.system_id);
  CHECK(a.declared_sha256_hex == b.declared_sha256_hex);
  CHECK(a.files.size() == b.files.size() && a.wal_ranges.size() == b.wal_ranges.size());
  for (std::size_t i = 0; i < a.files.size(); ++i) {
    CHECK(a.files[i].path == b.files[i].path && a.files[i].size_bytes == b.files[i].size_bytes);
    CHECK(a.files[i].algorithm == b.files[i].algorithm && a.files[i].checksum == b.files[i].checksum);
  }
  for (std::size_t i = 0; i < a.wal_ranges.size(); ++i) {
    CHECK(a.wal_ranges[i].timeline == b.wal_ranges[i].timeline);
    CHECK(a.wal_ranges[i].start == b.wal_ranges[i].start && a.wal_ranges[i].end == b.wal_ranges[i].end);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  const auto manifest = standfast::pg::parse_manifest(text);
  if (!manifest.has_value()) return 0;
  check_promises(*manifest, text);
  const auto again = standfast::pg::parse_manifest(render(*manifest));
  CHECK(again.has_value());
  check_same(*manifest, *again);
  return 0;
}

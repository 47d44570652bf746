#include "clone/manifest_writer.h"

#include <array>
#include <ctime>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "pg/format/utf8.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20U;

/// As escape_json() does.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        if (static_cast<unsigned char>(c) < ' ') {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string gmt(std::int64_t unix_seconds) {
  const auto time = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  std::array<char, 64> text{};
  if (gmtime_r(&time, &parts) == nullptr) return "1970-01-01 00:00:00 GMT";
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S GMT", &parts);
  return {text.data(), length};
}

std::string line_of(const CopiedFile& file) {
  CHECK(file.crc32c.has_value());
  const std::string& path = file.manifest_path;
  return fmt::format(
      R"({{ {}, "Size": {}, "Last-Modified": "{}", "Checksum-Algorithm": "{}", "Checksum": "{}" }})",
      pg::is_utf8(path) ? "\"Path\": " + quoted(path)
                        : fmt::format(R"("Encoded-Path": "{}")", base::to_hex(base::as_bytes(path))),
      file.size_bytes, gmt(file.modified_unix_seconds), name_of(pg::ManifestChecksum::kCrc32c),
      base::to_hex(base::as_bytes(pg::manifest_crc32c_bytes(*file.crc32c))));
}

struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

/// The text on its way to the file, and its SHA-256.
class ManifestText {
 public:
  explicit ManifestText(env::File& file) : file_(file), digest_(EVP_MD_CTX_new()) {
    is_hashing_ = digest_ && EVP_DigestInit_ex(digest_.get(), EVP_sha256(), nullptr) == 1;
  }

  Result<void> add(std::string_view text) {
    waiting_ += text;
    return waiting_.size() >= kBufferBytes ? flush() : base::ok();
  }

  /// The checksum covers all that came before it.
  Result<void> finish() {
    TRY(flush());
    std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
    unsigned int length = 0;
    if (!is_hashing_ || EVP_DigestFinal_ex(digest_.get(), sum.data(), &length) != 1)
      return Error(ErrorCode::kFailed, "could not compute the SHA-256 of the manifest");
    const auto bytes = std::as_bytes(std::span(sum)).first(length);
    waiting_ = fmt::format("\"Manifest-Checksum\": \"{}\"}}\n", base::to_hex(bytes));
    return flush();
  }

 private:
  Result<void> flush() {
    if (is_hashing_ && EVP_DigestUpdate(digest_.get(), waiting_.data(), waiting_.size()) != 1)
      is_hashing_ = false;
    TRY(file_.write_at(written_bytes_, base::as_bytes(waiting_)));
    written_bytes_ += waiting_.size();
    waiting_.clear();
    return base::ok();
  }

  env::File& file_;
  std::unique_ptr<EVP_MD_CTX, FreeDigest> digest_;
  bool is_hashing_ = false;
  std::string waiting_;
  std::uint64_t written_bytes_ = 0;
};

struct ReadFile {
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32c = 0;
};
Result<ReadFile> read_file(env::FileSystem& files, const std::string& place, std::span<std::byte> buffer,
                           const env::StopEvent* stop) {
  const auto file = TRY(files.open_for_reading(place));
  file->expect_single_pass();
  ReadFile read;
  base::Crc32c crc;
  while (true) {
    if (stop != nullptr && stop->is_set()) return env::cancelled_error();
    const std::size_t count = TRY(file->read_at(read.size_bytes, buffer));
    if (count == 0) break;
    crc.update(buffer.first(count));
    read.size_bytes += count;
  }
  read.crc32c = crc.value();
  return read;
}

}  // namespace

Result<std::vector<pg::ManifestWalRange>> manifest_wal_ranges(
    const BackupSpan& span, const std::optional<pg::TimelineHistory>& history) {
  std::vector<pg::ManifestWalRange> ranges;
  if (span.start_timeline == span.stop_timeline) {
    ranges.push_back({span.stop_timeline, span.start, span.stop});
    return ranges;
  }
  const Error odd(ErrorCode::kProtocol,
                  fmt::format("timeline {}, on which the backup ended, does not come from timeline {}, on "
                              "which it began",
                              span.stop_timeline.value(), span.start_timeline.value()));
  if (!history || history->timeline() != span.stop_timeline) return odd;
  pg::Lsn end = span.stop;
  pg::Lsn begin = history->begin_of(span.stop_timeline).value_or(pg::Lsn());
  ranges.push_back({span.stop_timeline, begin, end});
  const auto& switches = history->switches();
  for (auto parent = switches.rbegin(); parent != switches.rend(); ++parent) {
    const bool is_first = parent->parent == span.start_timeline;
    end = parent->at;
    begin = is_first ? span.start : history->begin_of(parent->parent).value_or(pg::Lsn());
    ranges.push_back({parent->parent, begin, end});
    if (is_first) return ranges;
  }
  return odd;
}

Result<CopiedFile> copied_file(env::FileSystem& files, const std::string& manifest_path,
                               const std::string& place) {
  const auto info = TRY(files.inspect(place));
  if (!info) return Error(ErrorCode::kIo, fmt::format("\"{}\" is not there any more", place));
  std::vector<std::byte> buffer(kBufferBytes);
  const ReadFile read = TRY(read_file(files, place, buffer, nullptr));
  return CopiedFile{.manifest_path = manifest_path,
                    .place = place,
                    .size_bytes = read.size_bytes,
                    .modified_unix_seconds = info->modified_unix_seconds,
                    .crc32c = read.crc32c};
}

Result<void> complete_checksums(env::FileSystem& files, std::span<CopiedFile> copied,
                                const env::StopEvent& stop) {
  std::vector<std::byte> buffer(kBufferBytes);
  for (CopiedFile& file : copied) {
    if (file.crc32c) continue;
    const ReadFile read = TRY(read_file(files, file.place, buffer, &stop));
    if (read.size_bytes != file.size_bytes) {
      return Error(ErrorCode::kDamaged,
                   fmt::format("\"{}\" has {} bytes but {} were written", file.place, read.size_bytes,
                               file.size_bytes),
                   "Something else writes to the copy's folder. Stop it and run this again.");
    }
    file.crc32c = read.crc32c;
  }
  return base::ok();
}

Result<void> write_manifest(env::FileSystem& files, const ManifestTarget& target, const ManifestFacts& facts,
                            std::span<const CopiedFile> copied) {
  if (!facts.version.has_backup_manifest()) return base::ok();
  const auto file = TRY(files.create(target.place, target.mode, env::OnExisting::kReplace));
  ManifestText text(*file);
  const bool names_system = facts.version.manifest_names_its_system();
  TRY(text.add(fmt::format("{{ \"PostgreSQL-Backup-Manifest-Version\": {},\n", names_system ? 2 : 1)));
  if (names_system) TRY(text.add(fmt::format("\"System-Identifier\": {},\n", facts.system_id.value())));
  TRY(text.add("\"Files\": ["));
  std::string_view before = "\n";
  for (const CopiedFile& entry : copied) {
    TRY(text.add(before));
    TRY(text.add(line_of(entry)));
    before = ",\n";
  }
  TRY(text.add("\n],\n\"WAL-Ranges\": ["));
  before = "\n";
  for (const pg::ManifestWalRange& range : facts.wal_ranges) {
    TRY(text.add(fmt::format(R"({}{{ "Timeline": {}, "Start-LSN": "{}", "End-LSN": "{}" }})", before,
                             range.timeline.value(), range.start.to_string(), range.end.to_string())));
    before = ",\n";
  }
  TRY(text.add("\n],\n"));
  TRY(text.finish());
  if (target.sync == SyncFiles::kYes) TRY(file->sync());
  return file->close();
}

}  // namespace standfast::clone

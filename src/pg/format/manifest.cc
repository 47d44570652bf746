#include "pg/format/manifest.h"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kNewestVersion = 2;
constexpr std::size_t kSha256Digits = 64;

struct Algorithm {
  ManifestChecksum value;
  std::string_view name;
  std::size_t checksum_bytes;
};
constexpr std::array<Algorithm, 6> kAlgorithms = {{
    {ManifestChecksum::kNone, "NONE", 0},
    {ManifestChecksum::kCrc32c, "CRC32C", 4},
    {ManifestChecksum::kSha224, "SHA224", 28},
    {ManifestChecksum::kSha256, "SHA256", 32},
    {ManifestChecksum::kSha384, "SHA384", 48},
    {ManifestChecksum::kSha512, "SHA512", 64},
}};

const Algorithm& row_of(ManifestChecksum algorithm) {
  return kAlgorithms.at(static_cast<std::size_t>(algorithm));
}

Error bad_manifest(std::string_view what) {
  return Error(ErrorCode::kProtocol, fmt::format("backup manifest: {}", what));
}

/// A path that stays inside the data directory wherever it is joined to it.
bool is_safe_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string_view::npos) return false;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return false;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return true;
}

/// Takes the events of nlohmann's SAX parser, so that a manifest of a million files is never a tree in
/// memory. A scalar is put where the pair (where we are, last key) says; a wrong type or an unknown key is an
/// error, as it is in PostgreSQL's reader.
class ManifestHandler {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  bool null() { return fail("a null"); }
  bool boolean(bool) { return fail("a truth value"); }
  bool number_integer(number_integer_t) { return fail("a negative number"); }
  bool number_float(number_float_t, const string_t&) { return fail("a fraction"); }
  bool binary(binary_t&) { return fail("binary data"); }

  bool number_unsigned(number_unsigned_t value) {
    switch (place_) {
      case Place::kTop:
        if (key_ == "PostgreSQL-Backup-Manifest-Version") return take_version(value);
        if (key_ == "System-Identifier") return take_system_id(value);
        break;
      case Place::kFile:
        if (key_ == "Size") return once(kSize) && (file_.size_bytes = value, true);
        break;
      case Place::kWalRange:
        if (key_ == "Timeline") return once(kTimeline) && take_timeline(value);
        break;
      case Place::kStart:
      case Place::kFiles:
      case Place::kWalRanges:
      case Place::kDone:
        break;
    }
    return fail("a number where none belongs");
  }

  bool string(string_t& value) {
    switch (place_) {
      case Place::kTop:
        if (key_ == "Manifest-Checksum") return take_manifest_checksum(value);
        break;
      case Place::kFile:
        return file_string(value);
      case Place::kWalRange:
        if (key_ == "Start-LSN") return once(kStartLsn) && take_lsn(value, range_.start);
        if (key_ == "End-LSN") return once(kEndLsn) && take_lsn(value, range_.end);
        break;
      case Place::kStart:
      case Place::kFiles:
      case Place::kWalRanges:
      case Place::kDone:
        break;
    }
    return fail("a string where none belongs");
  }

  bool key(string_t& name) {
    key_.swap(name);
    return true;
  }

  bool start_object(std::size_t) {
    seen_ = 0;
    switch (place_) {
      case Place::kStart:
        place_ = Place::kTop;
        return true;
      case Place::kFiles:
        file_ = {};
        place_ = Place::kFile;
        return true;
      case Place::kWalRanges:
        range_ = {};
        place_ = Place::kWalRange;
        return true;
      case Place::kTop:
      case Place::kFile:
      case Place::kWalRange:
      case Place::kDone:
        break;
    }
    return fail("an object where none belongs");
  }

  bool end_object() {
    switch (place_) {
      case Place::kTop:
        place_ = Place::kDone;
        return true;
      case Place::kFile:
        place_ = Place::kFiles;
        return finish_file();
      case Place::kWalRange:
        place_ = Place::kWalRanges;
        return finish_wal_range();
      case Place::kStart:
      case Place::kFiles:
      case Place::kWalRanges:
      case Place::kDone:
        break;
    }
    return fail("an object that ends where none began");
  }

  bool start_array(std::size_t) {
    if (place_ == Place::kTop && key_ == "Files" && !std::exchange(saw_files_, true)) {
      place_ = Place::kFiles;
      return true;
    }
    if (place_ == Place::kTop && key_ == "WAL-Ranges" && !std::exchange(saw_wal_ranges_, true)) {
      place_ = Place::kWalRanges;
      return true;
    }
    return fail("a list where none belongs");
  }

  bool end_array() {
    place_ = Place::kTop;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    return fail(fmt::format("no json at byte {}", position));
  }

  Result<Manifest> finish() && {
    if (error_) return std::move(*error_);
    if (place_ != Place::kDone) return bad_manifest("it is cut off");
    if (!saw_version_) return bad_manifest("it has no version");
    if (!saw_files_) return bad_manifest("it has no list of files");
    if (manifest_.declared_sha256_hex.empty()) return bad_manifest("it has no checksum of its own");
    if (manifest_.version >= 2 && !manifest_.system_id) return bad_manifest("it has no system identifier");
    return std::move(manifest_);
  }

 private:
  enum class Place : std::uint8_t { kStart, kTop, kFiles, kFile, kWalRanges, kWalRange, kDone };
  enum Field : unsigned {
    kPath = 1U,
    kEncodedPath = 2U,
    kSize = 4U,
    kLastModified = 8U,
    kAlgorithm = 16U,
    kChecksum = 32U,
    kTimeline = 64U,
    kStartLsn = 128U,
    kEndLsn = 256U,
  };

  bool fail(std::string_view what) { return fail(bad_manifest(what)); }
  bool fail(Error error) {
    if (!error_) error_ = std::move(error);
    return false;
  }

  /// Notes a field of the current object; a second one of the same name is an error.
  bool once(Field field) {
    if ((seen_ & field) != 0) return fail("a field stands twice");
    seen_ |= field;
    return true;
  }

  bool take_version(std::uint64_t value) {
    if (std::exchange(saw_version_, true)) return fail("two versions");
    if (value == 0 || value > kNewestVersion) {
      return fail(Error(ErrorCode::kVersion,
                        fmt::format("backup manifest: its version {} is not known", value),
                        "Use a version of standfast that knows this server's version."));
    }
    manifest_.version = static_cast<int>(value);
    return true;
  }

  bool take_system_id(std::uint64_t value) {
    if (manifest_.system_id) return fail("two system identifiers");
    manifest_.system_id = SystemId(value);
    return true;
  }

  bool take_manifest_checksum(string_t& value) {
    std::transform(value.begin(), value.end(), value.begin(),
                   [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (!manifest_.declared_sha256_hex.empty() || value.size() != kSha256Digits ||
        value.find_first_not_of("0123456789abcdef") != std::string::npos) {
      return fail("its own checksum is not understood");
    }
    manifest_.declared_sha256_hex.swap(value);
    return true;
  }

  bool file_string(string_t& value) {
    if (key_ == "Path") return once(kPath) && (file_.path.swap(value), true);
    if (key_ == "Encoded-Path") return once(kEncodedPath) && take_hex(value, file_.path);
    if (key_ == "Last-Modified") return once(kLastModified) && (file_.last_modified.swap(value), true);
    if (key_ == "Checksum-Algorithm") return once(kAlgorithm) && take_algorithm(value);
    if (key_ == "Checksum") return once(kChecksum) && take_hex(value, file_.checksum);
    return fail("a string where none belongs");
  }

  bool take_hex(std::string_view hex, std::string& out) {
    auto bytes = base::from_hex(hex);
    if (!bytes) return fail("something that is not hexadecimal");
    out = std::move(*bytes);
    return true;
  }

  bool take_algorithm(std::string_view name) {
    for (const Algorithm& algorithm : kAlgorithms) {
      if (algorithm.name != name) continue;
      file_.algorithm = algorithm.value;
      return true;
    }
    return fail("a checksum algorithm that is not known");
  }

  bool take_timeline(std::uint64_t value) {
    if (value == 0 || value > UINT32_MAX) return fail("no timeline");
    range_.timeline = TimelineId(static_cast<std::uint32_t>(value));
    return true;
  }

  bool take_lsn(std::string_view text, Lsn& lsn) {
    const auto parsed = Lsn::parse(text);
    if (!parsed) return fail("no WAL position");
    lsn = *parsed;
    return true;
  }

  bool finish_file() {
    const bool has_one_path = ((seen_ & kPath) != 0) != ((seen_ & kEncodedPath) != 0);
    if (!has_one_path || (seen_ & kSize) == 0) return fail("a file without a path or a size");
    if (!is_safe_path(file_.path)) return fail("a path that leads out of the data directory");
    if (((seen_ & kChecksum) != 0) != ((seen_ & kAlgorithm) != 0)) return fail("half of a checksum");
    if (file_.checksum.size() != checksum_bytes_of(file_.algorithm))
      return fail("a checksum of the wrong length");
    manifest_.files.push_back(std::move(file_));
    return true;
  }

  bool finish_wal_range() {
    constexpr unsigned kAll = kTimeline | kStartLsn | kEndLsn;
    if ((seen_ & kAll) != kAll) return fail("a WAL range that lacks something");
    if (range_.end < range_.start) return fail("a WAL range that ends before it starts");
    manifest_.wal_ranges.push_back(range_);
    return true;
  }

  Place place_ = Place::kStart;
  std::string key_;
  unsigned seen_ = 0;  ///< Fields of the current object
  bool saw_version_ = false;
  bool saw_files_ = false;
  bool saw_wal_ranges_ = false;
  ManifestFile file_;
  ManifestWalRange range_;
  Manifest manifest_;
  std::optional<Error> error_;
};

/// The manifest's own checksum covers all lines but the last, which holds it.
Result<std::size_t> covered_bytes_of(std::string_view text) {
  if (!text.ends_with('\n')) return bad_manifest("its last line does not end");
  const std::size_t before_last = text.substr(0, text.size() - 1).rfind('\n');
  if (before_last == std::string_view::npos) return bad_manifest("it is one line");
  if (!text.substr(before_last + 1).starts_with("\"Manifest-Checksum\"")) {
    return bad_manifest("its last line is not its checksum");
  }
  return before_last + 1;
}

}  // namespace

std::string_view name_of(ManifestChecksum algorithm) {
  return row_of(algorithm).name;
}

std::size_t checksum_bytes_of(ManifestChecksum algorithm) {
  return row_of(algorithm).checksum_bytes;
}

Result<Manifest> parse_manifest(std::string_view text) {
  if (text.size() > kMaxManifestBytes) return bad_manifest("it is too large to be one");
  const std::size_t covered = TRY(covered_bytes_of(text));
  ManifestHandler handler;
  try {
    nlohmann::json::sax_parse(text, &handler);
  } catch (const std::exception&) {
    return bad_manifest("it cannot be read");
  }
  Manifest manifest = TRY(std::move(handler).finish());
  manifest.covered_bytes = covered;
  return manifest;
}

std::string manifest_crc32c_bytes(std::uint32_t crc) {
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>((crc >> shift) & 0xFFU));
  return bytes;
}

}  // namespace standfast::pg

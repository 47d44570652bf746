#include "pg/format/tar_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Result;

// Where the fields of a ustar header lie (pgtar.h, enum tarHeaderField).
struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kSize{124, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kTypeFlag = 156;
constexpr Field kLinkName{157, 100};
constexpr Field kMagic{257, 5};
constexpr Field kPrefix{345, 155};

Error malformed(std::string_view what) {
  return {ErrorCode::kProtocol, fmt::format("the backup's archive is malformed: {}", what)};
}

std::string_view text_of(Bytes header, Field field) {
  const std::string_view text = base::as_text(header.subspan(field.offset, field.size));
  return text.substr(0, text.find('\0'));
}

// read_tar_number(): octal digits, or base 256 when the first byte has its high bit set.
std::optional<std::uint64_t> number_of(Bytes header, Field field) {
  const Bytes bytes = header.subspan(field.offset, field.size);
  std::uint64_t value = 0;
  if (bytes[0] == std::byte{0x80}) {
    for (const std::byte byte : bytes.subspan(1)) {
      if ((value >> 55U) != 0) return std::nullopt;
      value = (value << 8U) | std::to_integer<std::uint64_t>(byte);
    }
    return value;
  }
  std::string_view digits = base::as_text(bytes);
  digits = digits.substr(0, digits.find_first_of(std::string_view("\0 ", 2)));
  if (digits.empty()) return std::nullopt;
  for (const char digit : digits) {
    if (digit < '0' || digit > '7') return std::nullopt;
    value = (value << 3U) | static_cast<std::uint64_t>(digit - '0');
  }
  return value;
}

// tarChecksum(): all bytes of the header, its own field taken as blanks.
std::uint64_t checksum_of(Bytes header) {
  std::uint64_t sum = kChecksum.size * static_cast<std::uint64_t>(' ');
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (i < kChecksum.offset || i >= kChecksum.offset + kChecksum.size)
      sum += std::to_integer<std::uint64_t>(header[i]);
  }
  return sum;
}

bool is_sane_path(std::string_view path) {
  if (path.empty()) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

/// The server names folders "./pg_wal/archive_status/": the same without what carries no meaning.
std::string_view without_dot_and_slash(std::string_view path) {
  if (path.starts_with("./")) path.remove_prefix(2);
  if (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text) result += c >= ' ' && c <= '~' ? c : '?';
  return result;
}

std::optional<TarEntryKind> kind_of(char flag) {
  switch (flag) {
    case '0':
    case '\0':
      return TarEntryKind::kFile;
    case '5':
      return TarEntryKind::kDirectory;
    case '2':
      return TarEntryKind::kSymlink;
    default:
      return std::nullopt;
  }
}

Result<TarEntry> parse_header(Bytes header) {
  if (number_of(header, kChecksum) != checksum_of(header))
    return malformed("the sum of a header does not hold");
  if (text_of(header, kMagic) != "ustar") return malformed("a header that is not ustar");
  TarEntry entry;
  const std::string prefix(text_of(header, kPrefix));
  const std::string name = (prefix.empty() ? "" : prefix + "/") + std::string(text_of(header, kName));
  entry.path = without_dot_and_slash(name);
  if (!is_sane_path(entry.path)) return malformed("the path \"" + printable(name) + "\"");
  const char flag = static_cast<char>(header[kTypeFlag]);
  const auto kind = kind_of(flag);
  if (!kind) {
    return malformed(
        fmt::format("\"{}\" is of kind {:#04x}", printable(entry.path), static_cast<unsigned>(flag)));
  }
  entry.kind = *kind;
  const auto size = number_of(header, kSize);
  const auto mode = number_of(header, kMode);
  if (!size || !mode) return malformed("the size or mode of \"" + printable(entry.path) + "\"");
  if (entry.kind != TarEntryKind::kFile && *size != 0) {
    return malformed("\"" + printable(entry.path) + "\" is no file but has content");
  }
  entry.size_bytes = *size;
  entry.mode = static_cast<std::uint32_t>(*mode & 07777U);
  if (entry.kind == TarEntryKind::kSymlink) {
    entry.link_target = text_of(header, kLinkName);
    if (entry.link_target.empty())
      return malformed("the link \"" + printable(entry.path) + "\" points nowhere");
  }
  return entry;
}

bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

Result<void> TarReader::push(Bytes bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::kHeader:
        TRY(take_header(bytes));
        break;
      case State::kData: {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(data_left_bytes_, bytes.size()));
        TRY(handler_.entry_bytes(bytes.first(count)));
        bytes = bytes.subspan(count);
        data_left_bytes_ -= count;
        if (data_left_bytes_ == 0) TRY(end_data());
        break;
      }
      case State::kPadding: {
        const std::size_t count = std::min(padding_left_bytes_, bytes.size());
        bytes = bytes.subspan(count);
        padding_left_bytes_ -= count;
        if (padding_left_bytes_ == 0) state_ = State::kHeader;
        break;
      }
      case State::kTrailer:
        if (!all_zero(bytes)) return malformed("something follows its end");
        return base::ok();
    }
  }
  return base::ok();
}

Result<void> TarReader::take_header(Bytes& bytes) {
  const std::size_t count = std::min(kTarBlockBytes - header_filled_bytes_, bytes.size());
  std::memcpy(header_.data() + header_filled_bytes_, bytes.data(), count);
  header_filled_bytes_ += count;
  bytes = bytes.subspan(count);
  if (header_filled_bytes_ < kTarBlockBytes) return base::ok();
  header_filled_bytes_ = 0;
  if (all_zero(header_)) {
    state_ = State::kTrailer;
    return base::ok();
  }
  return begin_entry();
}

Result<void> TarReader::begin_entry() {
  const TarEntry entry = TRY(parse_header(header_));
  path_ = entry.path;
  data_left_bytes_ = entry.size_bytes;
  padding_left_bytes_ = (kTarBlockBytes - entry.size_bytes % kTarBlockBytes) % kTarBlockBytes;
  TRY(handler_.begin_entry(entry));
  if (data_left_bytes_ == 0) return end_data();
  state_ = State::kData;
  return base::ok();
}

Result<void> TarReader::end_data() {
  state_ = padding_left_bytes_ > 0 ? State::kPadding : State::kHeader;
  return handler_.end_entry();
}

Result<void> TarReader::finish() {
  const bool between_entries = state_ == State::kHeader && header_filled_bytes_ == 0;
  if (between_entries || state_ == State::kTrailer) return base::ok();
  return malformed(path_.empty() ? "it is cut off"
                                 : "it is cut off in or after \"" + printable(path_) + "\"");
}

}  // namespace standfast::pg

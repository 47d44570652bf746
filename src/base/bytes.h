// Views of bytes, and integers in network byte order as PostgreSQL's protocol sends them (libpq/pqformat.c).
//
// ByteReader never reads past its view: a read that does not fit gives no value and moves nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace standfast::base {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : rest_(bytes) {}

  std::size_t remaining() const { return rest_.size(); }
  std::optional<std::uint8_t> u8();
  std::optional<std::uint16_t> u16_be();
  std::optional<std::uint32_t> u32_be();
  std::optional<std::uint64_t> u64_be();
  std::optional<std::uint16_t> u16_le();
  std::optional<std::uint32_t> u32_le();
  std::optional<std::uint64_t> u64_le();
  /// A string that ends with a zero byte, which is consumed and not part of the value.
  std::optional<std::string_view> c_string();
  std::optional<Bytes> take(std::size_t count);
  Bytes rest() const { return rest_; }

 private:
  Bytes rest_;
};

void append_u8(std::string& out, std::uint8_t value);
void append_u32_be(std::string& out, std::uint32_t value);
void append_u64_be(std::string& out, std::uint64_t value);

std::string to_hex(Bytes bytes);  ///< lower case
std::optional<std::string> from_hex(std::string_view text);
/// Base64 with the URL alphabet and no padding (RFC 4648 section 5); decoding refuses anything else.
std::string to_base64url(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace standfast::base

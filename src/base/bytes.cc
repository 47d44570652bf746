#include "base/bytes.h"

#include <array>
#include <cstring>

namespace standfast::base {
namespace {

enum class Order { kBig, kLittle };

template <typename T>
std::optional<T> read_integer(Bytes& rest, Order order) {
  if (rest.size() < sizeof(T)) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    const std::size_t index = order == Order::kBig ? i : sizeof(T) - 1 - i;
    value = (value << 8U) | std::to_integer<std::uint64_t>(rest[index]);
  }
  rest = rest.subspan(sizeof(T));
  return static_cast<T>(value);
}

template <typename T>
void append_big_endian(std::string& out, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) out.push_back(static_cast<char>((value >> (8U * i)) & 0xFFU));
}

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<std::uint8_t> ByteReader::u8() {
  return read_integer<std::uint8_t>(rest_, Order::kBig);
}
std::optional<std::uint16_t> ByteReader::u16_be() {
  return read_integer<std::uint16_t>(rest_, Order::kBig);
}
std::optional<std::uint32_t> ByteReader::u32_be() {
  return read_integer<std::uint32_t>(rest_, Order::kBig);
}
std::optional<std::uint64_t> ByteReader::u64_be() {
  return read_integer<std::uint64_t>(rest_, Order::kBig);
}
std::optional<std::uint16_t> ByteReader::u16_le() {
  return read_integer<std::uint16_t>(rest_, Order::kLittle);
}
std::optional<std::uint32_t> ByteReader::u32_le() {
  return read_integer<std::uint32_t>(rest_, Order::kLittle);
}
std::optional<std::uint64_t> ByteReader::u64_le() {
  return read_integer<std::uint64_t>(rest_, Order::kLittle);
}

std::optional<std::string_view> ByteReader::c_string() {
  const std::string_view text = as_text(rest_);
  const std::size_t end = text.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  rest_ = rest_.subspan(end + 1);
  return text.substr(0, end);
}

std::optional<Bytes> ByteReader::take(std::size_t count) {
  if (rest_.size() < count) return std::nullopt;
  const Bytes taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

void append_u8(std::string& out, std::uint8_t value) {
  out.push_back(static_cast<char>(value));
}
void append_u32_be(std::string& out, std::uint32_t value) {
  append_big_endian(out, value);
}
void append_u64_be(std::string& out, std::uint64_t value) {
  append_big_endian(out, value);
}

std::string to_hex(Bytes bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    out.push_back(kHexDigits[value >> 4U]);
    out.push_back(kHexDigits[value & 15U]);
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return out;
}

std::string to_base64url(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() * 4 + 2) / 3);
  unsigned buffer = 0;
  unsigned bits = 0;
  for (const char byte : bytes) {
    buffer = (buffer << 8U) | static_cast<unsigned char>(byte);
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      out.push_back(kBase64Digits[(buffer >> bits) & 63U]);
    }
    buffer &= (1U << bits) - 1U;
  }
  if (bits > 0) out.push_back(kBase64Digits[(buffer << (6 - bits)) & 63U]);
  return out;
}

std::optional<std::string> from_base64url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  unsigned buffer = 0;
  unsigned bits = 0;
  for (const char digit : text) {
    const std::size_t value = kBase64Digits.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    buffer = (buffer << 6U) | static_cast<unsigned>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>((buffer >> bits) & 0xFFU));
      buffer &= (1U << bits) - 1U;
    }
  }
  if (buffer != 0) return std::nullopt;  // bits that no byte owns: not what to_base64url wrote
  return out;
}

}  // namespace standfast::base

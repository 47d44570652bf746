#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace standfast::base {
namespace {

constexpr std::uint32_t kReflectedPolynomial = 0x82F63B78U;

using Table = std::array<std::uint32_t, 256>;

/// kTables[n][byte]: what `byte` becomes when n more bytes of zero follow it, so that eight are taken at
/// once.
constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? kReflectedPolynomial : 0U);
    tables[0][byte] = crc;
  }
  for (std::size_t n = 1; n < tables.size(); ++n)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[n - 1][byte];
      tables[n][byte] = (before >> 8U) ^ tables[0][before & 0xFFU];
    }
  return tables;
}
constexpr auto kTables = make_tables();

std::uint32_t update_portable(std::uint32_t crc, Bytes bytes) {
  const auto byte_at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  while (bytes.size() >= 8) {
    crc = kTables[7][(crc ^ byte_at(0)) & 0xFFU] ^ kTables[6][((crc >> 8U) ^ byte_at(1)) & 0xFFU] ^
          kTables[5][((crc >> 16U) ^ byte_at(2)) & 0xFFU] ^ kTables[4][(crc >> 24U) ^ byte_at(3)] ^
          kTables[3][byte_at(4)] ^ kTables[2][byte_at(5)] ^ kTables[1][byte_at(6)] ^ kTables[0][byte_at(7)];
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes)
    crc = (crc >> 8U) ^ kTables[0][(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFFU];
  return crc;
}

/// The product of two polynomials modulo the CRC's, lowest power in the highest bit.
constexpr std::uint32_t multiply(std::uint32_t left, std::uint32_t right) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 1U << 31U; bit != 0; bit >>= 1U) {
    if ((left & bit) != 0) product ^= right;
    right = (right >> 1U) ^ ((right & 1U) != 0 ? kReflectedPolynomial : 0U);
  }
  return product;
}

/// What that many bytes of zero multiply a CRC with.
constexpr std::uint32_t power_of_zeros(std::uint64_t bytes) {
  std::uint32_t power = 1U << 31U;          // x^0
  std::uint32_t square = 1U << (31U - 8U);  // x^8, a byte of zeros
  for (; bytes != 0; bytes >>= 1U) {
    if ((bytes & 1U) != 0) power = multiply(power, square);
    square = multiply(square, square);
  }
  return power;
}

#if defined(__x86_64__) || defined(__ARM_FEATURE_CRC32)

#if defined(__x86_64__)
#define STANDFAST_CRC_TARGET __attribute__((target("sse4.2")))
STANDFAST_CRC_TARGET inline std::uint64_t step(std::uint64_t crc, std::uint64_t word) {
  return _mm_crc32_u64(crc, word);
}
STANDFAST_CRC_TARGET inline std::uint32_t step(std::uint32_t crc, std::uint8_t byte) {
  return _mm_crc32_u8(crc, byte);
}
const bool kHaveInstruction = __builtin_cpu_supports("sse4.2") != 0;
#else
#define STANDFAST_CRC_TARGET
inline std::uint64_t step(std::uint64_t crc, std::uint64_t word) {
  return __crc32cd(static_cast<std::uint32_t>(crc), word);
}
inline std::uint32_t step(std::uint32_t crc, std::uint8_t byte) {
  return __crc32cb(crc, byte);
}
constexpr bool kHaveInstruction = true;
#endif

/// What a CRC becomes when some number of zero bytes follow, by a table for each of its bytes.
class Shift {
 public:
  constexpr explicit Shift(std::size_t zero_bytes) {
    const std::uint32_t power = power_of_zeros(zero_bytes);
    for (std::uint32_t place = 0; place < 4; ++place)
      for (std::uint32_t byte = 0; byte < 256; ++byte)
        tables_[place][byte] = multiply(power, byte << (8U * place));
  }
  std::uint32_t operator()(std::uint32_t crc) const {
    return tables_[0][crc & 0xFFU] ^ tables_[1][(crc >> 8U) & 0xFFU] ^ tables_[2][(crc >> 16U) & 0xFFU] ^
           tables_[3][crc >> 24U];
  }

 private:
  std::array<Table, 4> tables_{};
};

std::uint64_t word_at(const std::byte* from) {
  std::uint64_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}

/// The instruction gives its result after three cycles but can begin each cycle, so three lanes are computed
/// side by side and put together.
template <std::size_t kLaneBytes>
STANDFAST_CRC_TARGET std::uint32_t update_three_lanes(std::uint32_t crc, Bytes& bytes) {
  static constexpr Shift kShift(kLaneBytes);
  while (bytes.size() >= 3 * kLaneBytes) {
    std::uint64_t first = crc;
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    const std::byte* from = bytes.data();
    for (std::size_t i = 0; i < kLaneBytes; i += sizeof(std::uint64_t)) {
      first = step(first, word_at(from + i));
      second = step(second, word_at(from + kLaneBytes + i));
      third = step(third, word_at(from + 2 * kLaneBytes + i));
    }
    crc = kShift(static_cast<std::uint32_t>(first)) ^ static_cast<std::uint32_t>(second);
    crc = kShift(crc) ^ static_cast<std::uint32_t>(third);
    bytes = bytes.subspan(3 * kLaneBytes);
  }
  return crc;
}

STANDFAST_CRC_TARGET std::uint32_t update_by_instruction(std::uint32_t crc, Bytes bytes) {
  crc = update_three_lanes<2048>(crc, bytes);
  crc = update_three_lanes<256>(crc, bytes);
  std::uint64_t wide = crc;
  while (bytes.size() >= sizeof(std::uint64_t)) {
    wide = step(wide, word_at(bytes.data()));
    bytes = bytes.subspan(sizeof(std::uint64_t));
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  for (const std::byte byte : bytes) narrow = step(narrow, std::to_integer<std::uint8_t>(byte));
  return narrow;
}

#undef STANDFAST_CRC_TARGET
#endif

}  // namespace

void Crc32c::update(Bytes bytes) {
#if defined(__x86_64__) || defined(__ARM_FEATURE_CRC32)
  if (kHaveInstruction) {
    state_ = update_by_instruction(state_, bytes);
    return;
  }
#endif
  state_ = update_portable(state_, bytes);
}

void Crc32c::update_portably(Bytes bytes) {
  state_ = update_portable(state_, bytes);
}

Crc32cJoin::Crc32cJoin(std::uint64_t second_bytes) : shift_(power_of_zeros(second_bytes)) {}

// The first part's CRC goes on through the zeros in place of the second; what all ones at its start and at
// its end would add is in the second's CRC already.
std::uint32_t Crc32cJoin::operator()(std::uint32_t first, std::uint32_t second) const {
  return multiply(shift_, first) ^ second;
}

}  // namespace standfast::base

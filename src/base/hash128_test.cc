#include "base/hash128.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace standfast::base {
namespace {

/// The input that the vectors of xxHash's own sanity check are made of.
std::string vector_input(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint64_t state = 2654435761U;
  for (char& byte : bytes) {
    byte = static_cast<char>(state >> 56U);
    state *= 11400714785074694797U;
  }
  return bytes;
}

struct Vector {
  std::size_t size;
  Hash128 hash;
};
/// One for each way that the algorithm goes, by length; without a seed, as ours is.
constexpr Vector kVectors[] = {
    {0, {0x99AA06D3014798D8, 0x6001C324468D497F}},    {1, {0xA6CD5E9392000F6A, 0xC44BDFF4074EECDB}},
    {6, {0x082AFE0B8162D12A, 0x3E7039BDDA43CFC6}},    {12, {0x6E3EFD8FC7802B18, 0x061A192713F69AD9}},
    {24, {0x0CE966E4678D3761, 0x1E7044D28B1B901D}},   {48, {0xA002AC4E5478227E, 0xF942219AED80F67B}},
    {81, {0x4952F58181AB0042, 0x5E8BAFB9F95FB803}},   {222, {0x337E09641B948717, 0xF1AEBD597CEC6B3A}},
    {403, {0x1B6DE21E332DD73D, 0xCDEB804D65C6DEA4}},  {512, {0x18D2D110DCC9BCA1, 0x617E49599013CB6B}},
    {2048, {0xF736557FD47073A5, 0xDD59E2C3A5F038E0}}, {2240, {0xCCB134FBFA7CE49D, 0x6E73A90539CF2948}},
    {2367, {0xE89C0F6FF369B427, 0xCB37AEB9E5D361ED}},
};

TEST(Hash128, IsTheAlgorithmsOwn) {
  for (const Vector& vector : kVectors)
    EXPECT_EQ(hash128(as_bytes(vector_input(vector.size))), vector.hash) << vector.size << " bytes";
  EXPECT_EQ(hash128({}), kVectors[0].hash);
}

TEST(Hash128, DoesNotDependOnTheAlignment) {
  for (std::size_t shift = 1; shift < 9; ++shift) {
    const std::string shifted = std::string(shift, 'x') + vector_input(2240);
    EXPECT_EQ(hash128(as_bytes(shifted).subspan(shift)), hash128(as_bytes(vector_input(2240)))) << shift;
  }
}

}  // namespace
}  // namespace standfast::base

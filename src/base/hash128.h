// XXH128, for telling whether two blocks are equal: 128 bits, so that among all blocks that will ever be
// compared no two different ones are expected to agree by chance. Not against someone who makes them agree.
//
// Threading: pure. The value does not depend on the machine (XXH128_canonicalFromHash).
#pragma once

#include <compare>
#include <cstdint>

#include "base/bytes.h"

namespace standfast::base {

struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const Hash128&) const = default;
};

Hash128 hash128(Bytes bytes);

}  // namespace standfast::base

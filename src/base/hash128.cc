#include "base/hash128.h"

#if defined(__x86_64__)
// The library has it for each width of vectors, and takes what this CPU can do.
#include <xxh_x86dispatch.h>
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

namespace standfast::base {

Hash128 hash128(Bytes bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

}  // namespace standfast::base

#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace standfast::base {

void check_failed(const char* condition, const char* detail, const char* file, int line) {
  std::fprintf(stderr, "standfast: broken invariant at %s:%d: %s%s%s\n", file, line, condition,
               *detail != '\0' ? ": " : "", detail);
  std::fflush(stderr);
  std::abort();
}

}  // namespace standfast::base

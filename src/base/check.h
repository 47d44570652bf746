// Broken invariants abort, in release builds too: a program that guards commits must not go on with a state
// it does not understand.
#pragma once

namespace standfast::base {
[[noreturn]] void check_failed(const char* condition, const char* detail, const char* file, int line);
}

#define CHECK(condition)                               \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::standfast::base::check_failed(#condition, "", __FILE__, __LINE__))

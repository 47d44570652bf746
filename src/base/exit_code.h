// From a program's exit code back to what it means, for whoever starts this program again.
#pragma once

#include <optional>

#include "base/result.h"

namespace standfast::base {

/// No value: none of the error table's.
std::optional<ErrorCode> code_of_exit(int exit_code);

}  // namespace standfast::base

#include "base/exit_code.h"

namespace standfast::base {

std::optional<ErrorCode> code_of_exit(int exit_code) {
#define STANDFAST_CODE(code, number, name, text) \
  if (exit_code == (number)) return ErrorCode::code;
  STANDFAST_ERROR_TABLE(STANDFAST_CODE)
#undef STANDFAST_CODE
  return std::nullopt;
}

}  // namespace standfast::base

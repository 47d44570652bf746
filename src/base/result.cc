#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace standfast::base {

int exit_code_of(ErrorCode code) {
  switch (code) {
#define STANDFAST_CASE(code_name, exit_code, name, text) \
  case ErrorCode::code_name:                             \
    return exit_code;
    STANDFAST_ERROR_TABLE(STANDFAST_CASE)
#undef STANDFAST_CASE
  }
  return 1;
}

std::string_view name_of(ErrorCode code) {
  switch (code) {
#define STANDFAST_CASE(code_name, exit_code, name, text) \
  case ErrorCode::code_name:                             \
    return name;
    STANDFAST_ERROR_TABLE(STANDFAST_CASE)
#undef STANDFAST_CASE
  }
  return "failed";
}

std::string_view description_of(ErrorCode code) {
  switch (code) {
#define STANDFAST_CASE(code_name, exit_code, name, text) \
  case ErrorCode::code_name:                             \
    return text;
    STANDFAST_ERROR_TABLE(STANDFAST_CASE)
#undef STANDFAST_CASE
  }
  return "";
}

Error Error::with_context(std::string_view context) const& {
  Error copy = *this;
  return std::move(copy).with_context(context);
}

Error Error::with_context(std::string_view context) && {
  message = std::string(context) + ": " + message;
  return std::move(*this);
}

Error Error::with_hint(std::string new_hint) && {
  hint = std::move(new_hint);
  return std::move(*this);
}

Error error_from_errno(int error_number, std::string_view action) {
  char buffer[256];
  Error error;
  error.message = std::string(action) + ": " + strerror_r(error_number, buffer, sizeof buffer);
  error.os_errno = error_number;
  switch (error_number) {
    case EACCES:
    case EPERM:
      error.code = ErrorCode::kPermission;
      break;
    case ENOSPC:
    case EDQUOT:
      error.code = ErrorCode::kDiskFull;
      error.hint = "Free some room on that disk, then run the command again.";
      break;
    default:
      error.code = ErrorCode::kIo;
  }
  return error;
}

}  // namespace standfast::base

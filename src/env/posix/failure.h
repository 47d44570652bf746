// What a call to the system that has just failed comes to.
//
// Threading: any; reads errno.
#pragma once

#include <cerrno>
#include <string>

#include "base/result.h"

namespace standfast::env {

/// `action` as in "could not ACTION PATH".
inline base::Error failure(const char* action, const std::string& path) {
  const int error_number = errno;
  return base::error_from_errno(error_number, std::string("could not ") + action + " \"" + path + "\"");
}

}  // namespace standfast::env

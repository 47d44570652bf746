#include "net/openssl.h"

#include <fmt/format.h>
#include <openssl/err.h>

namespace standfast::net {

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown TLS error" : reason;
}

base::Error openssl_failed(const char* what) {
  return {base::ErrorCode::kFailed, fmt::format("could not {}: {}", what, take_openssl_error())};
}

}  // namespace standfast::net

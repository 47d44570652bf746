// Whether a password is the one a role has, told from pg_authid.rolpassword alone: no login is tried, nothing
// is sent (libpq/crypt.c).
//
// Threading: pure functions; new_password() asks the kernel for randomness. Fails: kProtocol for a stored
// value that is none of PostgreSQL's; no error holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace standfast::setup {

/// Of letters and digits: 190 bits.
inline constexpr std::size_t kPasswordLength = 32;

enum class PasswordMatch : std::uint8_t {
  kNo,
  kYes,
  kYesAsMd5,  ///< right, but stored in a form that scram-sha-256 in pg_hba.conf does not take
};

/// `stored` is rolpassword, empty for a role without one. A password must be printable ASCII, where
/// SASLprep changes nothing.
base::Result<PasswordMatch> match_password(const base::Secret& stored, const std::string& role,
                                           const base::Secret& password);

/// Letters and digits only, so that no file or statement needs to escape it.
base::Result<base::Secret> new_password();

/// A password somebody chose: printable ASCII without blanks at its ends, at most 256 bytes; kUsage
/// otherwise.
base::Result<void> check_password(const base::Secret& password);

}  // namespace standfast::setup

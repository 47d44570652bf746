// Files that root reads because somebody else's file names them. A path is judged by what is opened, not by
// what was there a moment before.
//
// Threading: any thread. Invariant: nothing is waited for (a pipe), and nothing is read but a regular file of
// that user, or one of root's that he may read too. Fails: kPermission for every other file, kIo.
#pragma once

#include <cstdint>
#include <string>

#include <sys/types.h>

#include "base/result.h"

namespace standfast::env {

struct TrustedOwner {
  uid_t user = 0;
  gid_t group = 0;
};

/// The whole file, at most `max_bytes` (else kIo); links are followed.
base::Result<std::string> read_trusted_file(const std::string& path, const TrustedOwner& owner,
                                            std::uint64_t max_bytes);

}  // namespace standfast::env

// How many files, sockets and events this process may have open at once (RLIMIT_NOFILE).
//
// Threading: at a start. The limit is the process's; children get it too. Fails: kPrecondition where the
// system's administrator allows fewer; nothing has been changed then.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace standfast::env {

/// Raises the limit where it is lower. It is never lowered.
base::Result<void> allow_open_files(std::uint64_t count);

}  // namespace standfast::env

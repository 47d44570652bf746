// What pg_basebackup's option arguments mean, as text of the command line (bin/pg_basebackup/pg_basebackup.c
// parse_max_rate() and tablespace_list_append()).
//
// Pure functions. Fail: kUsage.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "clone/clone.h"

namespace standfast::clone {

inline constexpr std::uint64_t kMinRateBytesPerSecond = std::uint64_t{32} << 10U;
inline constexpr std::uint64_t kMaxRateBytesPerSecond = std::uint64_t{1} << 30U;

/// "RATE" in kB/s, or with the suffix k or M; from 32 kB/s to 1 GB/s.
base::Result<std::uint64_t> parse_max_rate(std::string_view text);

/// "OLDDIR=NEWDIR", both absolute; a '=' in a path is written "\=".
base::Result<TablespaceMapping> parse_tablespace_mapping(std::string_view text);

}  // namespace standfast::clone

// The value of an option that is a position in the WAL.
//
// Pure. Fails with kUsage.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "pg/format/lsn.h"

namespace standfast::cli {

/// No value: the option was not given.
base::Result<std::optional<pg::Lsn>> parse_lsn_argument(std::string_view option, const std::string& text);

}  // namespace standfast::cli

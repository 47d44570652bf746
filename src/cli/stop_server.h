// --stop: the server of a directory that is to be replaced or changed.
//
// Threading: one thread. Fails: as server/control.h and server/installation.h.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/command.h"

namespace standfast::cli {

/// `bin_directory`: of PostgreSQL's programs; empty: they are found.
base::Result<void> stop_server_in(CommandContext& context, const std::string& data_directory,
                                  const std::string& bin_directory);

}  // namespace standfast::cli

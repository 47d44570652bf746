// Which data directory a command is about when it is not named: -D first, then PGDATA as PostgreSQL's own
// programs have it, then the one cluster that is found on this host.
//
// Called in Command::prepare(), as whoever started the program: it must be known whose the directory is
// before root becomes its owner. Only looks. What is found is said. Threading: one thread. Fails with kUsage
// when none or several are found, and as server/cluster_search.h and new_place.h do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "pg/server/cluster_search.h"
#include "pg/server/new_place.h"

namespace standfast::cli {

/// What -D or PGDATA name; "" for neither. A folder of configuration files is replaced by its data directory.
base::Result<std::string> named_data_directory(const std::string& option, CommandContext& context);

/// That, else the one cluster there is, or the one with that port.
base::Result<std::string> take_data_directory(const std::string& option, std::optional<std::uint16_t> port,
                                              CommandContext& context);

/// The clusters that root does not take without -D.
void say_claims(const std::vector<server::FoundCluster>& found, CommandContext& context);

struct NewClusterArguments {
  std::string data_directory = {};                ///< -D
  std::string cluster = {};                       ///< --cluster
  std::optional<std::string> bin_directory = {};  ///< --pg-bin
};
/// For a cluster that may have to be made. With kNewest one that is there is taken before a new one is made.
base::Result<server::NewPlace> take_new_place(const NewClusterArguments& arguments,
                                              server::OnSeveralMajors on_several, CommandContext& context);

/// From 1 to 65535; kUsage otherwise.
base::Result<std::uint16_t> port_of(const std::string& text);

}  // namespace standfast::cli

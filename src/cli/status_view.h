// A status report as a table, as psql's expanded views, and as json.
//
// Threading: pure functions. What servers say is cleaned of control characters on the way (table.h).
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "setup/members.h"

namespace standfast::cli {

/// The table of members, or, where it is wider than the terminal, a record for each, as psql's \x auto; then
/// the notes. No width: as wide as it needs.
std::string render_members(const setup::StatusReport& report, std::optional<int> width_columns);
/// A record for each copy and rejoin that did not end.
std::string render_unfinished(const std::vector<setup::UnfinishedCopy>& unfinished);
/// pg_replication_slots, pg_stat_wal_receiver and pg_stat_replication, expanded.
std::string render_views(const std::vector<setup::ViewRows>& views);
/// "all is well", or each finding with its hint.
std::string render_findings(const setup::StatusReport& report);
nlohmann::ordered_json status_as_json(const setup::StatusReport& report);

}  // namespace standfast::cli

// The table that verify writes its markers to: standfast.marker in the database "standfast".
//
// The monitor role owns the database, and its password lies on every standby. So that this role can never
// make a superuser run code of its own, schema and table belong to a superuser and the monitor may only read,
// insert and delete rows; a superuser's session looks at who owns them before it uses them, with nothing but
// pg_catalog in its search path.
//
// Threading: one thread. Fails: as statements do; kPrecondition for a schema or table that somebody else put
// there.
#pragma once

#include <string_view>

#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"

namespace standfast::setup {

/// As a superuser, connected to the monitor's database. Making it again changes nothing.
base::Result<void> make_marker_table(client::Connection& in_database, const env::Wait& wait);

/// Whether it is there, a plain table, and it and its schema belong to superusers.
base::Result<bool> has_marker_table(client::Connection& in_database, const env::Wait& wait);

/// Whether this table of the schema is there, a plain one, and it and the schema belong to superusers.
base::Result<bool> is_table_of_superusers(client::Connection& in_database, std::string_view table,
                                          const env::Wait& wait);

/// Nothing that another role made may stand in the way of what this session names without a schema.
base::Result<void> pin_search_path(client::Connection& connection, const env::Wait& wait);

}  // namespace standfast::setup

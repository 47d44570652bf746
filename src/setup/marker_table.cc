#include "setup/marker_table.h"

#include <string>

#include <fmt/format.h>

#include "setup/names.h"

namespace standfast::setup {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<void> pin_search_path(client::Connection& connection, const env::Wait& wait) {
  return connection.execute("SET search_path = pg_catalog", wait);
}

Result<bool> has_marker_table(client::Connection& in_database, const env::Wait& wait) {
  return is_table_of_superusers(in_database, kMarkerTable, wait);
}

Result<bool> is_table_of_superusers(client::Connection& in_database, std::string_view table,
                                    const env::Wait& wait) {
  const client::Rows rows = TRY(in_database.query(
      fmt::format("SELECT 1 FROM pg_catalog.pg_class AS t "
                  "JOIN pg_catalog.pg_namespace AS s ON s.oid OPERATOR(pg_catalog.=) t.relnamespace "
                  "JOIN pg_catalog.pg_roles AS o ON o.oid OPERATOR(pg_catalog.=) t.relowner "
                  "JOIN pg_catalog.pg_roles AS p ON p.oid OPERATOR(pg_catalog.=) s.nspowner "
                  "WHERE s.nspname OPERATOR(pg_catalog.=) '{}' AND t.relname OPERATOR(pg_catalog.=) '{}' "
                  "AND t.relkind OPERATOR(pg_catalog.=) 'r' AND o.rolsuper AND p.rolsuper",
                  kMarkerSchema, table),
      wait));
  return rows.count() > 0;
}

Result<void> make_marker_table(client::Connection& in_database, const env::Wait& wait) {
  TRY(pin_search_path(in_database, wait));
  TRY(in_database.execute("BEGIN", wait));
  const auto make = [&]() -> Result<void> {
    TRY(in_database.execute(fmt::format("CREATE SCHEMA IF NOT EXISTS {}", kMarkerSchema), wait));
    TRY(in_database.execute(
        fmt::format("CREATE TABLE IF NOT EXISTS {}.{} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                    "token text NOT NULL, written_at timestamptz NOT NULL DEFAULT now())",
                    kMarkerSchema, kMarkerTable),
        wait));
    if (!TRY(has_marker_table(in_database, wait))) {
      return Error(
          ErrorCode::kPrecondition,
          fmt::format("\"{}.{}\" in the database \"{}\" was not made by a superuser", kMarkerSchema,
                      kMarkerTable, kMonitorDatabase),
          fmt::format("Find out who made it; then drop the database \"{}\" and run this again, which "
                      "makes it anew.",
                      kMonitorDatabase));
    }
    return in_database.execute(
        fmt::format("GRANT USAGE ON SCHEMA {0} TO {2}; GRANT SELECT, INSERT, DELETE ON {0}.{1} TO {2}",
                    kMarkerSchema, kMarkerTable, kMonitorRole),
        wait);
  };
  if (auto made = make(); !made) {
    static_cast<void>(in_database.execute("ROLLBACK", wait));
    return made;
  }
  return in_database.execute("COMMIT", wait);
}

}  // namespace standfast::setup

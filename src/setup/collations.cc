#include "setup/collations.h"

#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include "setup/icu_version.h"

namespace standfast::setup {
namespace {

using base::Result;

// C, POSIX and C.* sort by bytes whatever the library. Without a database's own version, any collation of
// the library that has one tells it.
constexpr std::string_view kNotByBytes = "NOT (lower({0}) IN ('c', 'posix') OR lower({0}) LIKE 'c.%')";

std::string first_version(std::string_view condition) {
  return fmt::format(
      "SELECT pg_collation_actual_version(oid) FROM pg_collation WHERE {} AND "
      "pg_collation_actual_version(oid) IS NOT NULL ORDER BY collname LIMIT 1",
      condition);
}

Result<std::optional<std::string>> optional_value(client::Connection& server, const std::string& sql,
                                                  const env::Wait& wait) {
  const auto rows = TRY(server.query(sql, wait));
  if (rows.count() == 0 || rows.is_null(0, 0)) return std::optional<std::string>();
  return std::optional(std::string(rows.text(0, 0)));
}

Result<std::vector<std::string>> names(client::Connection& server, const std::string& sql,
                                       const env::Wait& wait) {
  const auto rows = TRY(server.query(sql, wait));
  std::vector<std::string> found;
  for (int row = 0; row < rows.count(); ++row) found.emplace_back(rows.text(row, 0));
  return found;
}

}  // namespace

Result<CollationFacts> read_collations(client::Connection& server, const env::Wait& wait) {
  const pg::Version version = server.server_version();
  const bool by_database = version.databases_have_collation_versions();
  const std::string by_libc = by_database ? "datlocprovider = 'c' AND " : "";
  const std::string databases_by_libc =
      " FROM pg_database WHERE datallowconn AND " + by_libc + fmt::format(kNotByBytes, "datcollate");
  CollationFacts facts;
  facts.libc_databases = TRY(names(server, "SELECT datname" + databases_by_libc + " ORDER BY 1", wait));
  if (by_database) {
    facts.libc = TRY(optional_value(
        server, "SELECT pg_database_collation_actual_version(oid)" + databases_by_libc + " LIMIT 1", wait));
    facts.icu_databases = TRY(names(
        server, "SELECT datname FROM pg_database WHERE datallowconn AND datlocprovider = 'i' ORDER BY 1",
        wait));
  }
  if (!facts.libc && version.tells_libc_collation_versions()) {
    facts.libc = TRY(optional_value(server, first_version("collprovider = 'c'"), wait));
  }
  facts.icu =
      TRY(optional_value(server, first_version("collprovider = 'i' AND collname = 'und-x-icu'"), wait));
  return facts;
}

CollationFacts collations_of_host(env::FileSystem& files, const server::Installation& installation,
                                  const env::Wait& wait) {
  CollationFacts facts;
#ifdef __GLIBC__
  facts.libc = gnu_get_libc_version();
#endif
  facts.icu = icu_collator_version(files, installation, wait);
  return facts;
}

}  // namespace standfast::setup

#include "setup/witness_table.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "base/number.h"
#include "pg/format/hba_file.h"
#include "pg/format/sql_text.h"
#include "setup/marker_table.h"
#include "setup/names.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

void take_row(const client::Rows& rows, int row, WitnessTable& table) {
  KnownWitness witness{.name = std::string(rows.text(row, 0)), .address = std::string(rows.text(row, 1))};
  witness.port = base::parse_number<std::uint16_t>(rows.text(row, 2)).value_or(0);
  const auto address = pg::parse_standby_address(witness.address);
  if (witness.port != 0 && address && !address->is_network && pg::valid_slot_name(witness.name)) {
    table.witnesses.push_back(std::move(witness));
    return;
  }
  constexpr std::size_t kMostShown = 80;
  table.unsound.push_back({witness.name.substr(0, kMostShown),
                           fmt::format("its row in {}.{} is not understood: address \"{}\", port {}",
                                       kMarkerSchema, kWitnessTable, witness.address.substr(0, kMostShown),
                                       rows.text(row, 2).substr(0, kMostShown))});
}

Result<bool> is_there(client::Connection& in_database, const env::Wait& wait) {
  return TRY(in_database.query_value(
             fmt::format("SELECT to_regclass('{}.{}') IS NOT NULL", kMarkerSchema, kWitnessTable), wait)) ==
         "t";
}

Result<void> make_table(client::Connection& in_database, const env::Wait& wait) {
  TRY(in_database.execute(fmt::format("CREATE SCHEMA IF NOT EXISTS {0}; "
                                      "CREATE TABLE IF NOT EXISTS {0}.{1} (name text PRIMARY KEY, address "
                                      "text NOT NULL, port integer NOT NULL)",
                                      kMarkerSchema, kWitnessTable),
                          wait));
  if (!TRY(is_table_of_superusers(in_database, kWitnessTable, wait))) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}.{}\" in the database \"{}\" was not made by a superuser", kMarkerSchema,
                             kWitnessTable, kMonitorDatabase),
                 "Find out who made it; then drop it and run this again, which makes it anew.");
  }
  return in_database.execute(fmt::format("GRANT USAGE ON SCHEMA {0} TO {2}; GRANT SELECT ON {0}.{1} TO {2}",
                                         kMarkerSchema, kWitnessTable, kMonitorRole),
                             wait);
}

}  // namespace

Result<WitnessTable> read_witness_table(client::Connection& in_database, const env::Wait& wait) {
  WitnessTable table;
  TRY(pin_search_path(in_database, wait));
  if (!TRY(is_there(in_database, wait))) return table;
  const std::string name = fmt::format("{}.{}", kMarkerSchema, kWitnessTable);
  if (!TRY(is_table_of_superusers(in_database, kWitnessTable, wait))) {
    table.unsound.push_back({"", fmt::format("the table {} was not made by a superuser", name)});
    return table;
  }
  const client::Rows rows = TRY(in_database.query(
      fmt::format("SELECT name, address, port FROM {} ORDER BY name LIMIT {}", name, kMostWitnesses + 1),
      wait));
  const int count = std::min(rows.count(), static_cast<int>(kMostWitnesses));
  for (int row = 0; row < count; ++row) take_row(rows, row, table);
  if (count < rows.count())
    table.unsound.push_back({"", fmt::format("the table {} has more than {} rows", name, kMostWitnesses)});
  return table;
}

Result<std::vector<KnownWitness>> read_witnesses(client::Connection& in_database, const env::Wait& wait) {
  return TRY(read_witness_table(in_database, wait)).witnesses;
}

Result<void> write_witnesses(client::Connection& in_database, const std::vector<KnownWitness>& witnesses,
                             const env::Wait& wait) {
  TRY(pin_search_path(in_database, wait));
  TRY(in_database.execute("BEGIN", wait));
  const auto write = [&]() -> Result<void> {
    TRY(make_table(in_database, wait));
    for (const KnownWitness& witness : witnesses) {
      const std::array<std::optional<std::string>, 3> parameters{witness.name, witness.address,
                                                                 std::to_string(witness.port)};
      TRY(in_database.query(fmt::format("INSERT INTO {}.{} (name, address, port) VALUES ($1, $2, $3::int) ON "
                                        "CONFLICT (name) DO UPDATE SET address = excluded.address, port = "
                                        "excluded.port",
                                        kMarkerSchema, kWitnessTable),
                            parameters, wait));
    }
    return base::ok();
  };
  if (auto written = write(); !written) {
    static_cast<void>(in_database.execute("ROLLBACK", wait));
    return written;
  }
  return in_database.execute("COMMIT", wait);
}

Result<void> remove_witness(client::Connection& in_database, const std::string& name, const env::Wait& wait) {
  TRY(pin_search_path(in_database, wait));
  if (!TRY(is_table_of_superusers(in_database, kWitnessTable, wait))) return base::ok();
  const std::array<std::optional<std::string>, 1> parameters{name};
  TRY(in_database.query(fmt::format("DELETE FROM {}.{} WHERE name = $1", kMarkerSchema, kWitnessTable),
                        parameters, wait));
  return base::ok();
}

}  // namespace standfast::setup

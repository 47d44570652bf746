// The table standfast.witness in the database "standfast": which hosts keep this cluster's WAL, so that every
// standby knows them by replication when the primary is dead.
//
// As the marker's (marker_table.h) it belongs to a superuser; the monitor may only read it.
//
// Threading: one thread. Fails: as statements do; kPrecondition for a table that somebody else put there. A
// database or a table that is missing means that no witness is known.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"

namespace standfast::setup {

inline constexpr std::size_t kMostWitnesses = 64;

struct KnownWitness {
  std::string name;     ///< its application_name, and its slot on the primary
  std::string address;  ///< where it serves: one address, without a prefix
  std::uint16_t port = 0;
  bool operator==(const KnownWitness&) const = default;
};

struct WitnessTable {
  /// What is there and cannot be understood; a name is missing where it is the whole table.
  struct Unsound {
    std::string name;
    std::string why;
  };
  std::vector<KnownWitness> witnesses;  ///< by name
  std::vector<Unsound> unsound = {};
};
/// On a connection to the database "standfast". A table that no superuser made is unsound, not missing.
base::Result<WitnessTable> read_witness_table(client::Connection& in_database, const env::Wait& wait);
/// The sound rows of it.
base::Result<std::vector<KnownWitness>> read_witnesses(client::Connection& in_database,
                                                       const env::Wait& wait);

/// As a superuser. Makes the table where it is missing; a row of that name is replaced.
base::Result<void> write_witnesses(client::Connection& in_database,
                                   const std::vector<KnownWitness>& witnesses, const env::Wait& wait);

/// As a superuser. A row that is not there is fine.
base::Result<void> remove_witness(client::Connection& in_database, const std::string& name,
                                  const env::Wait& wait);

}  // namespace standfast::setup

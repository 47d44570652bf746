// Both sides of a pair, connected: from one side the other is found.
//
// Threading: one thread. Fails: as connections do; kPrecondition when two servers are not a primary and a
// standby; kUsage when it is not clear which standby is meant.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/client/connection.h"
#include "setup/environment.h"
#include "setup/server_facts.h"
#include "setup/verify_checks.h"

namespace standfast::setup {

struct Side {
  client::ConnectOptions options;
  client::Connection connection;
  ServerFacts facts;

  static base::Result<Side> open(client::ConnectOptions options, const env::Wait& wait);
  /// To another database of the same server.
  base::Result<client::Connection> open_database(const std::string& database, const env::Wait& wait) const;
  base::Result<void> refresh(const env::Wait& wait);
};

struct Pair {
  Side primary;
  std::optional<Side> standby = {};
  std::string why_standby_is_not_asked = {};
  std::optional<std::string> standby_name = {};

  PairFacts facts() const;
};

/// Opens one or two servers, tells them apart, and finds a standby's primary. A primary's standby is looked
/// for by look_for_standby(), once a sender shows where it is.
base::Result<Pair> open_pair(const std::vector<client::ConnectOptions>& servers,
                             const SetupEnvironment& environment);

/// Where the sender streams to, at the primary's own port, as the monitor role with the password of this
/// host's store. On failure the pair stays without a standby and says why.
void look_for_standby(Pair& pair, const SetupEnvironment& environment);

}  // namespace standfast::setup

// Both sides of a pair, connected: from one side the other is found. Where a standby follows a standby, the
// servers above that one as well, up to the primary or as far as they can be asked from here.
//
// Threading: one thread. Fails: as connections do; kPrecondition when two servers are not one above the
// other; kUsage when it is not clear which standby is meant. That a server further up cannot be asked is no
// failure: the pair says why.
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

/// Of a chain of standbys; one that is longer goes round in a circle.
inline constexpr std::size_t kMostHops = 8;

struct Pair {
  Side above;                        ///< what the standby follows: the primary, or a standby itself
  std::vector<Side> further = {};    ///< above that, the last one the furthest that could be asked
  std::string why_not_further = {};  ///< why the last one's own upstream is not asked
  std::optional<Side> standby = {};
  std::string why_standby_is_not_asked = {};
  std::optional<std::string> standby_name = {};

  PairFacts facts() const;
  /// The server at the top, where it takes writes; none when it could not be asked.
  Side* primary();
};

/// Opens one or two servers, tells them apart, and finds a standby's primary. A primary's standby is looked
/// for by look_for_standby(), once a sender shows where it is.
base::Result<Pair> open_pair(const std::vector<client::ConnectOptions>& servers,
                             const SetupEnvironment& environment);

/// How the server above a standby is asked. One that another host's settings name gets this host's password
/// of the monitor role only over TLS and with channel binding, by which it proves that it knows it already.
base::Result<client::ConnectOptions> login_above(const ServerFacts& standby,
                                                 const SetupEnvironment& environment);

/// Where the sender streams to, at the primary's own port, as the monitor role with the password of this
/// host's store. On failure the pair stays without a standby and says why.
void look_for_standby(Pair& pair, const SetupEnvironment& environment);

}  // namespace standfast::setup

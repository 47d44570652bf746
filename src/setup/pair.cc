#include "setup/pair.h"

#include <utility>

#include <fmt/format.h>

#include "pg/client/secret_store.h"
#include "setup/names.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kConnectTimeout{15};
/// To a host that a firewall may hide: the proof does not depend on it.
constexpr base::Seconds kStandbyConnectTimeout{5};

Result<Pair> tell_apart(Side first, Side second) {
  if (!first.facts.is_in_recovery && !second.facts.is_in_recovery) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("neither {} nor {} is a standby", first.facts.describe(), second.facts.describe()),
        "One of them was promoted, or never joined. Decide which stays the primary, and join the other one "
        "anew.");
  }
  if (first.facts.is_in_recovery && second.facts.is_in_recovery) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("neither {} nor {} is a primary", first.facts.describe(), second.facts.describe()),
        "A marker can only be written on a primary: give that one.");
  }
  if (first.facts.is_in_recovery) std::swap(first, second);
  return Pair{.primary = std::move(first), .standby = std::move(second)};
}

Result<Pair> with_its_primary(Side standby, const SetupEnvironment& environment) {
  const client::ConnectOptions options = TRY(monitor_of_primary(standby.facts));
  auto primary = Side::open(options, environment.wait_at_most(kConnectTimeout));
  if (!primary) {
    Error error = std::move(primary).error().with_context("the primary, by the standby's primary_conninfo");
    if (error.code == ErrorCode::kAuthentication) {
      error.hint =
          "Run \"standfast primary setup\" on the primary, which makes the role standfast_monitor, and join "
          "with its token; or give the primary with -d.";
    }
    if (!standby.facts.is_behind_local_socket) {
      error.hint =
          "Give the primary with -d as well: files that another host's primary_conninfo names are not opened "
          "here.";
    }
    return error;
  }
  return tell_apart(*std::move(primary), std::move(standby));
}

/// The server reached at the sender's address has to be the standby itself, and not whatever listens there.
Result<void> must_be_the_standby(const ServerFacts& found, const Pair& pair, const WalSender& sender) {
  if (!found.is_in_recovery || found.system_id != pair.primary.facts.system_id) {
    return Error(ErrorCode::kPrecondition, "another server answers there");
  }
  const Slot* slot = slot_of(pair.primary.facts, sender);
  const bool is_same = slot != nullptr ? found.primary_slot_name == slot->name
                                       : found.application_name == sender.application_name;
  if (!is_same) return Error(ErrorCode::kPrecondition, "another standby answers there");
  return base::ok();
}

Result<Side> open_standby(const Pair& pair, const WalSender& sender, const SetupEnvironment& environment) {
  if (sender.client_address.empty()) {
    return Error(ErrorCode::kPrecondition,
                 "it streams through a local socket, which does not tell where it is");
  }
  const pg::SystemId system_id = pair.primary.facts.system_id;
  const auto store = TRY(client::SecretStore::locate(environment.files));
  if (!TRY(store.read(system_id, kPrimaryPassfile))) {
    return Error(ErrorCode::kPrecondition, "the monitor role's password is not in this user's store");
  }
  client::ConnectOptions options;
  options.set("host", sender.client_address).set("port", pair.primary.facts.port);
  options.set("user", std::string(kMonitorRole)).set("dbname", std::string(kMonitorDatabase));
  options.set("passfile", store.path_of(system_id, kPrimaryPassfile));
  // Nothing pins that host's certificate. Channel binding makes it prove that it knows the password, and
  // keeps it from asking for the password itself.
  options.set("sslmode", "require").set("channel_binding", "require");
  auto side = TRY(Side::open(options, environment.wait_at_most(kStandbyConnectTimeout)));
  TRY(must_be_the_standby(side.facts, pair, sender));
  return side;
}

}  // namespace

Result<Side> Side::open(client::ConnectOptions options, const env::Wait& wait) {
  auto connection = TRY(client::Connection::open(options, wait));
  ServerFacts facts = TRY(read_server_facts(connection, wait));
  return Side{.options = std::move(options), .connection = std::move(connection), .facts = std::move(facts)};
}

Result<client::Connection> Side::open_database(const std::string& database, const env::Wait& wait) const {
  client::ConnectOptions other = options;
  other.set("dbname", database);
  return client::Connection::open(other, wait);
}

Result<void> Side::refresh(const env::Wait& wait) {
  if (!connection.is_open()) connection = TRY(client::Connection::open(options, wait));
  facts = TRY(read_server_facts(connection, wait));
  return base::ok();
}

PairFacts Pair::facts() const {
  PairFacts known{.primary = primary.facts};
  if (standby) known.standby = standby->facts;
  known.why_standby_is_not_asked = why_standby_is_not_asked;
  known.standby_name = standby_name;
  return known;
}

Result<Pair> open_pair(const std::vector<client::ConnectOptions>& servers,
                       const SetupEnvironment& environment) {
  constexpr std::size_t kSides = 2;
  if (servers.empty() || servers.size() > kSides) {
    return Error(ErrorCode::kUsage, "verify looks at one primary and one standby",
                 "Name one side, and the other is found, or both.");
  }
  std::vector<Side> sides;
  for (const client::ConnectOptions& server : servers) {
    sides.push_back(TRY(Side::open(server, environment.wait_at_most(kConnectTimeout))));
  }
  if (sides.size() == kSides) return tell_apart(std::move(sides[0]), std::move(sides[1]));
  if (sides[0].facts.is_in_recovery) return with_its_primary(std::move(sides[0]), environment);
  return Pair{.primary = std::move(sides[0]), .why_standby_is_not_asked = "no standby is attached"};
}

void look_for_standby(Pair& pair, const SetupEnvironment& environment) {
  if (pair.standby) return;
  const auto sender = find_sender(pair.facts());
  if (!sender || !*sender) return;
  auto standby = open_standby(pair, **sender, environment);
  if (standby) {
    pair.standby = *std::move(standby);
    pair.why_standby_is_not_asked.clear();
  } else {
    pair.why_standby_is_not_asked =
        fmt::format("the standby is not asked itself: {}", standby.error().message);
  }
}

}  // namespace standfast::setup

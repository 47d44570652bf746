#include "setup/pair.h"

#include <utility>

#include <fmt/format.h>

#include "pg/client/secret_store.h"
#include "setup/names.h"
#include "setup/store_passwords.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kConnectTimeout{15};
/// To a host that a firewall may hide: the proof does not depend on it.
constexpr base::Seconds kStandbyConnectTimeout{5};
/// The same, to what is above a standby.
constexpr base::Seconds kFurtherConnectTimeout{5};

/// The standby is served by a sender or a slot of the other one.
bool is_directly_below(const ServerFacts& above, const ServerFacts& standby) {
  PairFacts pair{.above = above};
  pair.standby = standby;
  const auto sender = find_sender(pair);
  return !sender || sender->has_value();
}

Side* top_of(Pair& pair) {
  return pair.further.empty() ? &pair.above : &pair.further.back();
}

/// Adds what is above the pair, as far as it can be asked.
void climb(Pair& pair, const SetupEnvironment& environment) {
  while (top_of(pair)->facts.is_in_recovery && pair.further.size() < kMostHops) {
    const ServerFacts& top = top_of(pair)->facts;
    const auto options = login_above(top, environment);
    auto side = options ? Side::open(*options, environment.wait_at_most(kFurtherConnectTimeout))
                        : Result<Side>(options.error());
    if (side && side->facts.system_id != top.system_id)
      side = Error(ErrorCode::kPrecondition, "another cluster answers there");
    if (!side) {
      pair.why_not_further =
          fmt::format("what {} follows{} cannot be asked from here: {}", top.describe(),
                      top.receiver && !top.receiver->sender_host.empty()
                          ? fmt::format(", {} port {},", top.receiver->sender_host, top.receiver->sender_port)
                          : "",
                      side.error().message);
      return;
    }
    pair.further.push_back(*std::move(side));
  }
}

/// With a server of the user's between the primary and the standby that were given.
Result<std::optional<Pair>> with_the_one_between(Side& primary, Side& standby,
                                                 const SetupEnvironment& environment) {
  if (is_directly_below(primary.facts, standby.facts)) return std::optional<Pair>();
  const auto options = login_above(standby.facts, environment);
  if (!options) return std::optional<Pair>();
  auto between = Side::open(*options, environment.wait_at_most(kFurtherConnectTimeout));
  if (!between || !between->facts.is_in_recovery) return std::optional<Pair>();
  Pair pair{.above = *std::move(between)};
  pair.standby = std::move(standby);
  if (is_directly_below(primary.facts, pair.above.facts)) {
    pair.further.push_back(std::move(primary));
  } else {
    climb(pair, environment);
  }
  return std::optional(std::move(pair));
}

Result<Pair> two_standbys(Side first, Side second, const SetupEnvironment& environment) {
  const auto has_it = [](const Side& above, const Side& below) {
    return !above.facts.senders.empty() && is_directly_below(above.facts, below.facts);
  };
  if (has_it(second, first)) std::swap(first, second);
  if (!has_it(first, second)) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("neither {} nor {} is a primary", first.facts.describe(), second.facts.describe()),
        "Neither of them follows the other one, and a marker can only be written on a primary: give that "
        "one.");
  }
  Pair pair{.above = std::move(first)};
  pair.standby = std::move(second);
  climb(pair, environment);
  return pair;
}

Result<Pair> tell_apart(Side first, Side second, const SetupEnvironment& environment) {
  if (!first.facts.is_in_recovery && !second.facts.is_in_recovery) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("neither {} nor {} is a standby", first.facts.describe(), second.facts.describe()),
        "One of them was promoted, or never joined. Decide which stays the primary, and join the other one "
        "anew.");
  }
  if (first.facts.is_in_recovery && second.facts.is_in_recovery)
    return two_standbys(std::move(first), std::move(second), environment);
  if (first.facts.is_in_recovery) std::swap(first, second);
  if (auto pair = TRY(with_the_one_between(first, second, environment))) return *std::move(pair);
  Pair pair{.above = std::move(first)};
  pair.standby = std::move(second);
  return pair;
}

Result<Pair> with_its_primary(Side standby, const SetupEnvironment& environment) {
  const client::ConnectOptions options = TRY(login_above(standby.facts, environment));
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
  // What its settings name is what it follows, whether it is connected there just now or not.
  if (!primary->facts.is_in_recovery) return tell_apart(*std::move(primary), std::move(standby), environment);
  Pair pair{.above = *std::move(primary)};
  pair.standby = std::move(standby);
  climb(pair, environment);
  return pair;
}

/// The server reached at the sender's address has to be the standby itself, and not whatever listens there.
Result<void> must_be_the_standby(const ServerFacts& found, const Pair& pair, const WalSender& sender) {
  if (!found.is_in_recovery || found.system_id != pair.above.facts.system_id) {
    return Error(ErrorCode::kPrecondition, "another server answers there");
  }
  const Slot* slot = slot_of(pair.above.facts, sender);
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
  const pg::SystemId system_id = pair.above.facts.system_id;
  const auto store = TRY(client::SecretStore::locate(environment.files));
  if (!TRY(store.read(system_id, kPrimaryPassfile))) {
    return Error(ErrorCode::kPrecondition, "the monitor role's password is not in this user's store");
  }
  client::ConnectOptions options;
  options.set("host", sender.client_address).set("port", pair.above.facts.port);
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
  PairFacts known{.above = above.facts};
  for (const Side& side : further) known.further.push_back(side.facts);
  if (standby) known.standby = standby->facts;
  known.why_standby_is_not_asked = why_standby_is_not_asked;
  known.standby_name = standby_name;
  return known;
}

Side* Pair::primary() {
  Side* top = top_of(*this);
  return top->facts.is_in_recovery ? nullptr : top;
}

Result<client::ConnectOptions> login_above(const ServerFacts& standby, const SetupEnvironment& environment) {
  client::ConnectOptions options = TRY(monitor_of_primary(standby));
  if (standby.is_behind_local_socket) return options;
  const auto store = TRY(client::SecretStore::locate(environment.files));
  for (const auto& entry : TRY(passwords_in_store(environment.files, store, standby.system_id))) {
    if (entry.user != kMonitorRole) continue;
    options.password = entry.password;
    options.set("sslmode", "require").set("channel_binding", "require");
    break;
  }
  return options;
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
  if (sides.size() == kSides) return tell_apart(std::move(sides[0]), std::move(sides[1]), environment);
  if (sides[0].facts.is_in_recovery) return with_its_primary(std::move(sides[0]), environment);
  Pair pair{.above = std::move(sides[0])};
  pair.why_standby_is_not_asked = "no standby is attached";
  return pair;
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

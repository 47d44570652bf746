// A standby that gets from a witness the WAL that its primary can no longer give: its primary_conninfo points
// at the witness until it has that, and is as it was before afterwards.
//
// Threading: one thread. Ownership: borrows its arguments, which outlive it.
// Invariants: no password is ever in a setting: it lies in a passfile of the store. What the settings were is
// in the store before they change, so that what a killed run left is put back by the next one.
// Fails with: kTimeout when nothing comes any more, kPrecondition where the settings cannot be changed, and
// as statements, files and server/control.h do. Follows: replication/walreceiver.c;
// access/transam/xlogrecovery.c, WaitForWALToBecomeAvailable().
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "pg/client/secret_store.h"
#include "setup/promotion_witnesses.h"
#include "setup/standby_control.h"

namespace standfast::setup {

/// Where the settings lie as they were before a promotion that is under way or was broken off; none: there is
/// no such thing. `port` is the standby's.
std::optional<std::string> leftover_of_promotion(pg::SystemId system_id, const std::string& port,
                                                 env::FileSystem& files);
std::string describe_leftover(const std::string& path);

class WitnessStream {
 public:
  /// kLater: the settings count when the server looks at them next, which one that becomes a primary need
  /// not.
  enum class TakeUp : std::uint8_t { kNow, kLater };

  WitnessStream(Standby& standby, const StandbyOptions& options, const ServerFacts& facts,
                const client::SecretStore& store, const SetupEnvironment& environment);

  /// Puts back what a killed run has left; whether there was anything.
  base::Result<bool> put_back_leftover(client::Connection& connection);

  /// A delayed replay goes on at once, as a promotion would let it.
  base::Result<void> lift_delay(client::Connection& connection);
  /// Comes back when the standby holds all up to the witness's position, on its timeline. `connection` is the
  /// standby's, and opened anew where its server had to restart.
  base::Result<ServerFacts> catch_up(const WitnessBefore& witness, const ReplicationLogin& login,
                                     client::Connection& connection);
  /// Whatever came of it. Nothing to do where nothing was changed.
  base::Result<void> put_back(client::Connection& connection, TakeUp take_up);
  bool is_changed() const { return before_.has_value(); }
  std::string path_of_settings_before() const;

 private:
  using Settings = std::map<std::string, std::optional<std::string>>;  ///< no value: not in the file
  using Order = std::span<const char* const>;

  base::Result<Settings> settings_of_file() const;
  base::Result<void> keep(const std::optional<std::string>& conninfo_now,
                          const std::optional<std::string>& conninfo_next);
  base::Result<void> set(client::Connection& connection, const Settings& settings, Order order,
                         TakeUp take_up) const;
  base::Result<void> take_up(client::Connection& connection) const;
  base::Result<ServerFacts> wait_until_reached(const WalPosition& target,
                                               client::Connection& connection) const;
  base::Result<void> forget() const;
  std::string file_name(std::string_view suffix) const;

  Standby& standby_;
  const StandbyOptions& options_;
  const client::SecretStore& store_;
  const SetupEnvironment& environment_;
  pg::SystemId system_id_;
  pg::Version version_;
  std::string port_;
  bool is_delayed_ = false;
  std::optional<Settings> before_;  ///< once something was changed
  std::string pointed_at_;          ///< by this run
};

}  // namespace standfast::setup

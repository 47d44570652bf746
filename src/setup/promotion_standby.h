// The server of a standby during its promotion: asked again and again, and changed for a while (where it
// streams from, a delay, a pause), which put_back() undoes however it ended.
//
// Threading: one thread. Ownership: borrows its arguments, which outlive it.
// Fails with: kTimeout (its replay stands still), and as connections, statements and witness_stream.h do.
// Follows: access/transam/xlogrecovery.c, WaitForWALToBecomeAvailable() and recoveryPausesHere().
#pragma once

#include <optional>

#include "base/result.h"
#include "pg/client/secret_store.h"
#include "setup/promotion_look.h"
#include "setup/witness_stream.h"

namespace standfast::setup {

enum class Promoted : std::uint8_t { kNo, kToldTo };

class StandbySession {
 public:
  StandbySession(const StandbyOptions& options, Standby& standby, const SetupEnvironment& environment)
      : options_(options), standby_(standby), environment_(environment) {}

  /// Connects where it has to. From then on facts() and connection() have what it says.
  base::Result<void> ask();
  const ServerFacts& facts() const { return facts_; }
  client::Connection& connection() { return *connection_; }
  std::optional<WalPosition> position() const;

  /// Of a promotion that was killed.
  base::Result<void> undo_killed_run();
  base::Result<std::optional<base::Error>> reason_to_stay_paused();
  base::Result<void> resume_if_paused();
  base::Result<void> replay_what_was_received();
  base::Result<ServerFacts> catch_up(const WitnessBefore& witness, const ReplicationLogin& login);
  /// Says what it cannot put back. A server that was told to become a primary is not restarted any more.
  void put_back(Promoted promoted);

 private:
  base::Result<void> read();
  void ask_for_its_timeline();

  const StandbyOptions& options_;
  Standby& standby_;
  const SetupEnvironment& environment_;
  ServerFacts facts_;
  std::optional<client::Connection> connection_;
  std::optional<client::SecretStore> store_;
  std::optional<WitnessStream> stream_;
  bool is_resumed_ = false;
};

}  // namespace standfast::setup

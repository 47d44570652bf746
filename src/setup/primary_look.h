// Reads the state of a running server, of its host and of the secret store, and changes nothing.
//
// Threading: one thread. Fails with: what refuse_unfit_server() says, before it asks what only a superuser
// may know; kPrecondition when the server is not that of the data directory; and what connections and files
// fail with.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/client/secret_store.h"
#include "pg/server/cluster.h"
#include "setup/file_access.h"
#include "setup/primary_plan.h"
#include "setup/primary_state.h"
#include "setup/role_passwords.h"

namespace standfast::setup {

struct PrimaryLook {
  PrimaryState state;
  std::string hba_path;  ///< the file itself, links resolved
  FileAccess hba_access;
  RolePasswords passwords;
  PasswordFile password_file;
  std::string trusted_pem = {};  ///< certificates that a standby may be given beside what the server sends
};

/// kPrivate: it was started by this program for this program (pg/server/private_server.h), so where it
/// listens now means nothing, and whatever the files say will be in force when it is started next.
enum class ServerReach : std::uint8_t { kPublic, kPrivate };

class PrimaryLooker {
 public:
  PrimaryLooker(env::FileSystem& files, const server::Cluster& cluster, const client::SecretStore& store,
                client::Connection& admin, ServerReach reach, const env::Wait& wait)
      : files_(files), cluster_(cluster), store_(store), admin_(admin), reach_(reach), wait_(wait) {}

  /// `given` is the replication role's password, where the user gave one.
  base::Result<PrimaryLook> look(const PrimaryWish& wish, const std::optional<base::Secret>& given);

 private:
  base::Result<ServerBasics> basics();
  base::Result<void> check_data_directory();
  base::Result<void> read_settings(PrimaryState& state);
  base::Result<void> read_configuration_errors(PrimaryState& state);
  base::Result<std::optional<std::string>> obstacle_to_alter_system(pg::Version version);
  base::Result<void> read_hba(PrimaryLook& look);
  base::Result<void> read_roles(PrimaryLook& look, const std::optional<base::Secret>& given);
  base::Result<std::optional<RoleState>> read_role(const std::string& name, base::Secret& verifier);
  base::Result<void> read_database(PrimaryState& state);
  base::Result<void> look_into_database(DatabaseState& database, std::vector<KnownWitness>& witnesses);
  base::Result<void> read_slots(PrimaryState& state);
  base::Result<void> read_host(PrimaryState& state, const PrimaryWish& wish);
  base::Result<void> read_tokens(PrimaryLook& look);
  base::Result<void> read_certificate(PrimaryLook& look, const PrimaryWish& wish);
  base::Result<std::string> client_ca_pem();
  std::string in_data_directory(const std::string& path) const;
  base::Result<std::string> read_through_links(const std::string& path);
  base::Result<std::string> value(const std::string& sql) { return admin_.query_value(sql, wait_); }

  env::FileSystem& files_;
  const server::Cluster& cluster_;
  const client::SecretStore& store_;
  client::Connection& admin_;
  ServerReach reach_;
  env::Wait wait_;
};

/// Where this host would speak to the standbys from: those that are named, and those of earlier runs.
std::vector<Route> find_routes(const PrimaryWish& wish, const std::optional<pg::HbaBlock>& block,
                               std::uint16_t port);

/// What a cluster fresh from initdb with Standfast's options is like, for a plan before there is one.
PrimaryState state_of_new_cluster(pg::Version version, const PrimaryWish& wish, std::uint16_t port,
                                  std::uint64_t disk_free_bytes);

}  // namespace standfast::setup

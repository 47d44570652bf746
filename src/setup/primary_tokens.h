// The tokens of standbys and witnesses: made, kept in the secret store, renewed when a password changes.
//
// Threading: one thread. Ownership: borrows the store. Fails with: kToken for a host name that a token cannot
// hold, and as the store does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "pg/client/secret_store.h"
#include "pg/format/token.h"
#include "setup/primary_plan.h"
#include "setup/primary_setup.h"

namespace standfast::setup {

/// What the tokens of all standbys of one primary have in common.
struct TokenBasis {
  pg::SystemId system_id;
  std::uint16_t port = 0;
  std::string replication_role;
  base::Secret replication_password;
  base::Secret monitor_password;
  std::optional<std::string> certificate_sha256;
  std::string ca_der = {};
};

struct WrittenToken {
  base::Secret text;
  std::string path;
  client::SecretStore::Written written;
};
/// Whose token it is.
struct TokenHolder {
  pg::TokenKind kind = pg::TokenKind::kStandby;
  std::string slot;
  std::string host;  ///< what it connects to
  std::optional<pg::TokenAgent> agent = {};
};
base::Result<WrittenToken> write_token(const client::SecretStore& store, const TokenBasis& basis,
                                       const TokenHolder& holder);

/// What the token that is there says of the agent. No value: nothing, or there is none that can be read.
base::Result<std::optional<pg::TokenAgent>> agent_of_token(const client::SecretStore& store,
                                                           pg::SystemId system_id, const std::string& slot);

/// The token of a standby that is not named in this run keeps its host and agent, and gets the passwords and
/// the certificate of now. No value when there is none, or none that can be read: then there is nothing to
/// renew.
base::Result<std::optional<WrittenToken>> renew_token(const client::SecretStore& store,
                                                      const TokenBasis& basis, const std::string& slot);

struct ManualWay {
  std::string slot;
  std::string host;
  std::uint16_t port = 0;
  std::string replication_role;
  std::string password_path;                    ///< on this host
  std::optional<std::string> certificate_path;  ///< on this host; none without TLS
  std::string listen = {};                      ///< of a witness: where it is to serve, HOST:PORT
};
/// What to do on the standby without a token: the seed's own commands. Holds no password.
std::vector<std::string> manual_commands(const ManualWay& way);
/// The same of a witness. Its certificate is named too: a standby that follows its primary over TLS asks a
/// witness over TLS or not at all. PostgreSQL's own receiver is the last resort, because it serves nothing.
std::vector<std::string> manual_witness_commands(const ManualWay& way);

}  // namespace standfast::setup

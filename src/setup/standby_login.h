// How a standby or a witness logs in at its primary: the certificate is compared with the token's fingerprint
// before anything else is said, kept as the one that connections verify, and the passwords go into a passfile
// of the store.
//
// Threading: one thread. Fails with kCertificate when the server shows another certificate, and as
// connections do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/client/connection.h"
#include "pg/client/secret_store.h"
#include "pg/format/token.h"
#include "pg/format/versions.h"
#include "setup/environment.h"

namespace standfast::setup {

/// A witness has no monitor.
struct StandbyLogin {
  std::optional<std::string> passfile;          ///< none while it is tried: the token's passwords are used
  std::optional<std::string> certificate_file;  ///< none: the primary has no TLS
  std::string certificate_pem;                  ///< what is in it
  std::vector<std::string> new_names;           ///< files of the store that were not there before

  /// As the replication role, without replication=true, for the libpq that will read it.
  client::ConnectOptions replication(const pg::Token& token, pg::Version libpq) const;
  client::ConnectOptions monitor(const pg::Token& token) const;
  /// How strictly that libpq is to verify the certificate (client::sslmode_for()).
  std::string sslmode(const pg::Token& token, pg::Version libpq) const;
};

/// Compares the certificate and tries both logins. Nothing is kept but that certificate, under a name of its
/// own, until forget_trial(): a token that is out of date must not take the place of what a running standby
/// logs in with.
base::Result<StandbyLogin> try_standby_login(const pg::Token& token, const client::SecretStore& store,
                                             const SetupEnvironment& environment);
void forget_trial(const pg::Token& token, const client::SecretStore& store);

/// Writes the passfile and the certificate of a login that was tried.
base::Result<StandbyLogin> keep_standby_login(const StandbyLogin& tried, const pg::Token& token,
                                              const client::SecretStore& store);
/// The one that an earlier run kept, if it is just what this token says; nobody is asked.
base::Result<std::optional<StandbyLogin>> find_kept_login(const pg::Token& token,
                                                          const client::SecretStore& store);
/// Takes away what keep_standby_login() added, for a join that did not come about.
void forget_standby_login(const StandbyLogin& login, const pg::Token& token,
                          const client::SecretStore& store);

}  // namespace standfast::setup

// What `standfast witness --token-file` does before the witness starts: all that it needs on its host, so
// that each later start needs no token.
//
//   <store>/<system identifier>/<name>.pgpass, .crt      how it logs in at the primary, as a standby does
//   <store>/<system identifier>/<name>.users             the replication role, for whoever streams from it
//   <store>/<system identifier>/<name>.server.crt, .key  self-signed, to serve with; who logs in with
//                                                        SCRAM-SHA-256-PLUS needs to trust no certificate
//   the folder for the WAL, and the configuration, which is written last
//
// Run again it changes nothing, and asks nobody; killed at any point, the next run goes on. A configuration
// that is there already is not overwritten.
//
// Threading: one thread. Fails, before anything was changed: kToken, kUsage, kPrecondition (a configuration
// or a folder that is another one's), kCertificate and kAuthentication as connections do, kPermission, kIo,
// kDiskFull.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/format/token.h"
#include "setup/environment.h"
#include "setup/primary_setup.h"
#include "witness/config.h"

namespace standfast::setup {

struct WitnessSetupOptions {
  pg::Token token;
  witness::WitnessConfig flags;                 ///< what the user said on the command line
  std::optional<std::string> config_file = {};  ///< else in the secret store
  RunMode mode = RunMode::kApply;
};

struct WitnessSetupOutcome {
  witness::WitnessConfig config;
  std::string config_file;
  std::vector<std::string> changes = {};
};
/// kToken.
base::Result<void> refuse_token_of_standby(const pg::Token& token);
base::Result<WitnessSetupOutcome> set_up_witness(const WitnessSetupOptions& options,
                                                 const SetupEnvironment& environment);

/// The configuration that an earlier run left in this user's secret store. No value: none did. kUsage when
/// there are several.
base::Result<std::optional<std::string>> find_witness_configuration(env::FileSystem& files);

}  // namespace standfast::setup

// Makes the configuration in a copied data directory that of this standby: what belongs to the primary's host
// goes out, what this host needs comes in, nothing is below the primary.
//
// Works on the staging folder, before it is put in place. Threading: one thread.
// Fails with kInUse (the port, or another server's socket), kPrecondition, kProtocol (a configuration file
// that cannot be read), kIo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/server/installation.h"
#include "setup/environment.h"
#include "setup/join_checks.h"

namespace standfast::setup {

struct SettleOptions {
  std::string staging;
  std::string target;  ///< where the copy will lie
  std::string primary_host;
  std::uint16_t primary_port = 5432;
  std::optional<std::uint16_t> port = {};
  std::optional<std::string> socket_directory = {};
  std::optional<std::string> listen_addresses = {};
};

struct Settled {
  std::vector<std::string> taken_out;  ///< names
  std::vector<std::string> given;      ///< "name = value: reason"
};

base::Result<Settled> settle_configuration(const SettleOptions& options,
                                           const server::Installation& installation,
                                           const PrimaryFacts& primary, const SetupEnvironment& environment);

struct ConfiguredPlace {
  std::string configuration_directory;  ///< of postgresql.conf
  std::string data_directory;           ///< of postgresql.auto.conf
};
/// The value a server started there would have (postgres -C).
base::Result<std::string> configured_value(const server::Installation& installation,
                                           const ConfiguredPlace& place, const std::string& name,
                                           const env::Wait& wait);

}  // namespace standfast::setup

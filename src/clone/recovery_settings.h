// What makes a copy a standby of its source: standby.signal, primary_conninfo and primary_slot_name
// (fe_utils/recovery_gen.c GenerateRecoveryConfig()).
//
// Threading: one thread. Fails: kIo, kPermission, kProtocol for a postgresql.auto.conf that is not
// understood. Invariant: no password is written into the data directory. One that was typed, or came by the
// environment or a connection string, goes into a passfile of the secret store, and primary_conninfo names
// that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/tree_writer.h"
#include "env/file_system.h"
#include "pg/client/connection.h"
#include "pg/format/conninfo.h"
#include "pg/format/lsn.h"

namespace standfast::clone {

struct StandbyIdentity {
  std::string application_name;
  std::optional<std::string> slot = {};
};

struct RecoverySettings {
  pg::Conninfo primary_conninfo;
  std::optional<std::string> primary_slot_name = {};
};

/// How to reach the source as this connection did: of all that libpq resolved only what differs from its
/// built-in defaults, so that an older libpq, the standby's, understands it; without secrets. Pure.
pg::Conninfo primary_conninfo_from(const std::vector<client::ResolvedOption>& options,
                                   const StandbyIdentity& identity,
                                   const std::optional<std::string>& passfile);

/// The same for whoever connects again.
std::string conninfo_without_secrets(const client::Connection& connection);

/// The passfile the standby will use: one given or found by libpq, or one written here; none if the server
/// asks for no password.
base::Result<std::optional<std::string>> settle_passfile(env::FileSystem& files,
                                                         const client::Connection& connection,
                                                         pg::SystemId system_id,
                                                         const std::string& application_name,
                                                         const std::string& target);

base::Result<void> write_recovery_settings(env::FileSystem& files, const std::string& data_folder,
                                           const RecoverySettings& settings, const TreeModes& modes);

std::string host_name();

}  // namespace standfast::clone

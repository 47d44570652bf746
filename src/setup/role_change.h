// Creates and corrects the two roles and the monitor's database. The statements carry SCRAM verifiers, never
// passwords, and go through a session that the server logs nothing of.
//
// Threading: one thread. Ownership: borrows the connection, which is the caller's own for this and closed by
// him after it. Invariant: both roles change in one transaction. Fails with: kSql, kPermission and what a
// connection fails with; no error holds a statement or a secret. Follows: commands/user.c CreateRole().
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "setup/primary_plan.h"

namespace standfast::setup {

/// For the rest of this session the server writes no statement, duration or plan to its log, shows none in
/// pg_stat_activity and counts none in pg_stat_statements. Settings that this server does not have are passed
/// over; one that cannot be changed is an error.
base::Result<void> quiet_session(client::Connection& admin, const env::Wait& wait);

struct RoleChange {
  const RolePlan& role;
  std::string attributes;                       ///< of a new role: "LOGIN REPLICATION"
  const std::optional<base::Secret>& password;  ///< there when the plan gives the role one
};

/// In a quiet session.
base::Result<void> change_roles(client::Connection& admin, const RoleChange& replication,
                                const RoleChange& monitor, const env::Wait& wait);

base::Result<void> create_monitor_database(client::Connection& admin, const env::Wait& wait);
base::Result<void> shut_public_out(client::Connection& admin, const env::Wait& wait);

}  // namespace standfast::setup

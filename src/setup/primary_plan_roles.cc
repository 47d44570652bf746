#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "pg/format/sql_text.h"
#include "setup/names.h"
#include "setup/primary_plan_parts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

enum class RoleKind : std::uint8_t { kReplication, kMonitor };

Result<void> refuse_unfit_role(const std::string& name, const RoleState& role, RoleKind kind) {
  const auto refuse = [&](std::string_view what, std::string hint) {
    return Error(ErrorCode::kPrecondition, fmt::format("role \"{}\" exists and {}", name, what),
                 std::move(hint));
  };
  const std::string other =
      kind == RoleKind::kReplication ? " Or choose another name with --replication-role." : "";
  const std::string identifier = pg::quote_identifier(name);
  if (role.is_superuser) {
    return refuse("is a superuser, which a standby's login must not be",
                  fmt::format("Make it an ordinary role: ALTER ROLE {} NOSUPERUSER.{}", identifier, other));
  }
  if (!role.can_login)
    return refuse("may not log in", fmt::format("ALTER ROLE {} LOGIN.{}", identifier, other));
  if (kind == RoleKind::kReplication && !role.has_replication) {
    return refuse("may not replicate", fmt::format("ALTER ROLE {} REPLICATION.{}", identifier, other));
  }
  if (role.is_expired) {
    return refuse("is no longer valid",
                  fmt::format("ALTER ROLE {} VALID UNTIL 'infinity'.{}", identifier, other));
  }
  return base::ok();
}

Error unknown_password(const std::string& name, PasswordState state) {
  switch (state) {
    case PasswordState::kGivenDiffers:
      return {ErrorCode::kPrecondition,
              fmt::format("the password that was given is not the one role \"{}\" has", name),
              "Give the right one, or give the role this one with --rotate-password; standbys that log in "
              "with the old one then need a new token."};
    case PasswordState::kChanged:
      return {ErrorCode::kPrecondition,
              fmt::format("the password of role \"{}\" was changed since the last run", name),
              "Give the new one with -W or --password-file, or make another with --rotate-password; standbys "
              "that log in with the old one then need a new token."};
    case PasswordState::kUnknown:
    case PasswordState::kKnown:
    case PasswordState::kKnownAsMd5:
      break;
  }
  return {ErrorCode::kPrecondition,
          fmt::format("role \"{}\" exists, and its password is not known here", name),
          "Give the role a new one with --rotate-password (whoever logs in with the old one then needs it), "
          "or, if it is the replication role's, give the present one with -W or --password-file."};
}

Result<RolePlan> plan_role(const std::string& name, const std::optional<RoleState>& role, RoleKind kind,
                           PasswordRotation rotation, bool password_given) {
  RolePlan plan;
  plan.name = name;
  if (!role) {
    plan.create = true;
    plan.password = PasswordAction::kReplace;
    plan.grant_monitor = kind == RoleKind::kMonitor;
    return plan;
  }
  TRY(refuse_unfit_role(name, *role, kind));
  plan.grant_monitor = kind == RoleKind::kMonitor && !role->reads_statistics;
  const bool known = role->password == PasswordState::kKnown || role->password == PasswordState::kKnownAsMd5;
  // A password that the user gave and that the role has is what he wants, rotation or not.
  if (rotation == PasswordRotation::kYes && !(known && password_given)) {
    plan.password = PasswordAction::kReplace;
  } else if (!known) {
    return unknown_password(name, role->password);
  } else if (role->password == PasswordState::kKnownAsMd5) {
    plan.password = PasswordAction::kStoreAsScram;
  } else if (!role->is_stored) {
    plan.password = PasswordAction::kStore;
  }
  return plan;
}

void describe_role(const RolePlan& role, RoleKind kind, std::vector<PlannedChange>& changes) {
  const auto add = [&](std::string what, std::string reason) {
    changes.push_back({ChangeKind::kRole, "1.2", fmt::format("role {}: {}", role.name, std::move(what)),
                       std::move(reason)});
  };
  const std::string purpose = kind == RoleKind::kReplication
                                  ? "standbys log in as it to copy and to stream"
                                  : "reads the statistics for status, writes the markers of verify";
  if (role.create) {
    add(kind == RoleKind::kReplication ? "created with LOGIN REPLICATION"
                                       : "created with LOGIN, in pg_monitor",
        purpose);
    return;
  }
  switch (role.password) {
    case PasswordAction::kKeep:
      break;
    case PasswordAction::kStore:
      add("its password put into the secret store", "later runs and the tokens need it");
      break;
    case PasswordAction::kStoreAsScram:
      add("its password stored as SCRAM-SHA-256", "it is stored as MD5, which pg_hba.conf will not take");
      break;
    case PasswordAction::kReplace:
      add("a new password", "--rotate-password");
      break;
  }
  if (role.grant_monitor) add("GRANT pg_monitor", purpose);
}

}  // namespace

Result<void> plan_roles(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  const std::string monitor_name(kMonitorRole);
  if (state.replication_role == monitor_name) {
    return Error(ErrorCode::kUsage, fmt::format("\"{}\" is the name of the other role", monitor_name),
                 "Choose another name with --replication-role.");
  }
  const bool foreign_members =
      std::any_of(plan.members.begin(), plan.members.end(), [](const auto& one) { return !one.is_named; });
  if (state.hba_block && state.hba_block->replication_role != state.replication_role && foreign_members) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("other standbys of this server log in as role \"{}\"", state.hba_block->replication_role),
        "Leave --replication-role out; or name every standby, and give each its new token.");
  }
  plan.replication = TRY(plan_role(state.replication_role, state.replication, RoleKind::kReplication,
                                   wish.rotation, wish.password_given));
  plan.monitor = TRY(plan_role(monitor_name, state.monitor, RoleKind::kMonitor, wish.rotation, false));
  describe_role(plan.replication, RoleKind::kReplication, plan.changes);
  describe_role(plan.monitor, RoleKind::kMonitor, plan.changes);
  if (plan.replication.password == PasswordAction::kReplace && !plan.replication.create) {
    plan.notes.push_back(
        {"standbys that log in with the old password go on until their connection breaks, and not after it",
         "Give each of them its new token: run \"standfast join\" there, or put the new password into its "
         "passfile."});
  }
  return base::ok();
}

Result<void> plan_database(const PrimaryState& state, PrimaryPlan& plan) {
  const auto& database = state.monitor_database;
  const std::string name(kMonitorDatabase);
  if (database && database->owner != kMonitorRole) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("a database \"{}\" exists and belongs to \"{}\"", name, database->owner),
        fmt::format("Rename it, or, if it is left from an earlier setup: ALTER DATABASE {0} OWNER TO "
                    "{1}.",
                    pg::quote_identifier(name), pg::quote_identifier(kMonitorRole)));
  }
  plan.database.create = !database;
  plan.database.shut_out_public = !database || database->public_may_connect;
  plan.database.create_table = !database || !database->has_marker_table;
  if (plan.database.create) {
    plan.changes.push_back({ChangeKind::kDatabase, "1.2",
                            fmt::format("database {}: created, owned by {}", name, kMonitorRole),
                            "holds the markers of verify, nothing else"});
  } else if (plan.database.shut_out_public || plan.database.create_table) {
    plan.changes.push_back({ChangeKind::kDatabase, "1.2", fmt::format("database {}: completed", name),
                            "an earlier run did not finish it, or its table was dropped"});
  }
  return base::ok();
}

}  // namespace standfast::setup

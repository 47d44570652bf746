// The passwords of the two roles in the secret store, and which of them the server's roles really have.
//
//   primary.pgpass.next   written first, when roles get new passwords
//   (the roles are changed)
//   primary.pgpass        then; and the other is removed
//
// so that a run killed in between leaves both, and the next one sees by the stored verifiers which holds.
//
// Threading: one thread. Ownership: borrows the store. Fails as the store does. Nothing here is printed.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "pg/client/secret_store.h"
#include "pg/format/passfile.h"
#include "setup/primary_state.h"

namespace standfast::setup {

/// None where neither the user nor the store told one.
struct RolePasswords {
  std::optional<base::Secret> replication;
  std::optional<base::Secret> monitor;
};

class PasswordFile {
 public:
  static base::Result<PasswordFile> read(const client::SecretStore& store, pg::SystemId system_id);

  /// Passwords that count as candidates, after those of the files above.
  void also_try(std::vector<pg::PassfileEntry> entries) { others_ = std::move(entries); }
  /// The latest first.
  std::vector<base::Secret> candidates(const std::string& role) const;
  /// Whether a later run finds this password for the role.
  bool holds(const std::string& role, const base::Secret& password) const;

  /// What the files should say, before the roles change ...
  void announce(const std::string& role, const base::Secret& password);
  base::Result<void> write_announced();
  /// ... and after it.
  base::Result<void> settle();

 private:
  PasswordFile(const client::SecretStore& store, pg::SystemId system_id)
      : store_(&store), system_id_(system_id) {}

  const client::SecretStore* store_;
  pg::SystemId system_id_;
  std::vector<pg::PassfileEntry> current_;
  std::vector<pg::PassfileEntry> next_;
  std::vector<pg::PassfileEntry> wanted_;
  std::vector<pg::PassfileEntry> others_;
};

/// What one finds by a role's stored verifier and the passwords that may be its own.
struct PasswordFinding {
  PasswordState state = PasswordState::kUnknown;
  std::optional<base::Secret> password;  ///< the one it has, with kKnown and kKnownAsMd5
};
PasswordFinding find_password_of(const std::string& role, const base::Secret& stored,
                                 const std::optional<base::Secret>& given,
                                 const std::vector<base::Secret>& candidates);

}  // namespace standfast::setup

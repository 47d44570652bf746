// What a witness needs on its host besides its token, and what of it is there already: a value, made of
// values.
//
// Threading: pure functions. Invariant: a plan made after a plan was carried out whole has nothing to do.
// Fails before anything was changed: kUsage for a wish that is missing, kPrecondition for a configuration
// that says something else.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "pg/format/conninfo.h"
#include "witness/config.h"

namespace standfast::setup {

/// Where it all lies on this host.
struct WitnessPaths {
  std::string config_file;
  std::string users;
  std::string certificate;
  std::string key;
};

/// What the token says.
struct WitnessBasis {
  std::string name;
  std::string role;
  base::Secret password;
  pg::Conninfo conninfo;  ///< of the primary; without the password
};

/// What is there.
struct WitnessSeen {
  bool has_folder = false;
  bool has_login = false;  ///< passfile and certificate are just what the token says
  bool has_certificate = false;
  bool has_key = false;
  std::optional<std::string> users_text = {};
  std::optional<witness::WitnessConfig> config = {};
};

struct WitnessPlan {
  witness::WitnessConfig config;  ///< to go by
  bool make_folder = false;
  bool keep_login = false;
  bool write_users = false;
  bool make_certificate = false;
  bool write_config = false;
  std::vector<std::string> changes = {};  ///< all of the above in words, in the order of doing

  bool has_changes() const { return !changes.empty(); }
};

/// What the witness is to go by: the token over the flags over what is written already.
base::Result<witness::WitnessConfig> wanted_config(const WitnessBasis& basis,
                                                   const witness::WitnessConfig& flags,
                                                   const WitnessPaths& paths, const WitnessSeen& seen);
/// `flags` is what the user said on the command line.
base::Result<WitnessPlan> plan_witness(const WitnessBasis& basis, const witness::WitnessConfig& flags,
                                       const WitnessPaths& paths, const WitnessSeen& seen);

/// Whether a users file (docs/formats/wal-users.md) lets the role in with this password.
bool lets_in(std::string_view users_text, std::string_view role, const base::Secret& password);
/// The same file with `verifier` for this role; all other lines stay.
std::string with_login(std::string_view users_text, std::string_view role, std::string_view verifier);

}  // namespace standfast::setup

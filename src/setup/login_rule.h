// Which line of pg_hba.conf took the administrator's own login, for the error of one that was turned away:
// the server does not say it to a client, and cannot be asked.
//
// Threading: pure but for reading the files. Fails never: what cannot be told is not told.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "env/file_system.h"
#include "pg/format/hba_file.h"
#include "pg/server/cluster.h"

namespace standfast::setup {

/// Sentences for a hint. `login.address` is none for a socket.
std::optional<std::string> explain_login(env::FileSystem& files, const server::Cluster& cluster,
                                         const pg::HbaConnection& login);

// The parts, for tests.

struct LoginFiles {
  std::string hba_path;
  std::string hba_text;
  std::string ident_path;
  std::string ident_text;
};
std::optional<std::string> describe_login_rule(const LoginFiles& found, pg::HbaDialect dialect,
                                               const pg::HbaConnection& login);
/// "alice postgres" for each line of pg_ident.conf that belongs to the map; at most kMaxShownMapLines.
inline constexpr std::size_t kMaxShownMapLines = 5;
std::vector<std::string> lines_of_map(std::string_view ident_text, std::string_view map);

}  // namespace standfast::setup

// .pgpass and the passfile that primary_conninfo names (libpq/fe-connect.c passwordFromFile()): a line is
// host:port:database:user:password, ':' and '\' escaped with '\', a bare '*' for anything, the first line
// that fits counts. A walsender's physical connection looks for the database "replication".
//
// Threading: pure functions on values. Fails: kProtocol for a line without its five fields; no message quotes
// it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace standfast::pg {

inline constexpr std::size_t kMaxPassfileBytes = std::size_t{1} << 20U;

struct PassfileEntry {
  std::optional<std::string> host;  ///< none stands for '*', anything
  std::optional<std::string> port;
  std::optional<std::string> database;
  std::optional<std::string> user;
  base::Secret password;
  bool operator==(const PassfileEntry&) const = default;
};

struct PassfileKey {
  std::string host;
  std::string port;
  std::string database;
  std::string user;
};

/// One line, without its line end.
base::Result<PassfileEntry> parse_passfile_line(std::string_view line);
/// kUsage if a part has a line end or a zero byte, which the format has no way to write.
base::Result<base::Secret> render_passfile_line(const PassfileEntry& entry);
/// All entries; comments, blank lines and lines that libpq would pass over are left out.
std::vector<PassfileEntry> parse_passfile(std::string_view text);
/// The password libpq would find: that of the first entry that fits. An empty one there ends the search with
/// none.
std::optional<base::Secret> find_password(const std::vector<PassfileEntry>& entries, const PassfileKey& key);

}  // namespace standfast::pg

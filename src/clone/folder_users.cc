#include "clone/folder_users.h"

#include <charconv>
#include <set>
#include <utility>
#include <vector>

namespace standfast::clone {
namespace {

/// A folder by what it is, whatever it is called where.
using Identity = std::pair<std::uint64_t, std::uint64_t>;

std::optional<Identity> identity_of(env::FileSystem& files, const std::string& path) {
  const auto info = files.inspect_following(path);
  if (!info || !*info) return std::nullopt;
  return Identity{(*info)->device, (*info)->inode};
}

bool is_server(env::FileSystem& files, const std::string& process) {
  const auto program = files.read_symlink(process + "/exe");
  if (!program) return false;
  const std::string name = env::base_name_of(program->substr(0, program->find(" (deleted)")));
  return name == "postgres" || name == "postmaster";
}

/// The folder behind an entry of a process's data directory; its links are those of its own mounts.
std::optional<Identity> kept_in(env::FileSystem& files, const std::string& process,
                                const std::string& entry) {
  const std::string path = process + "/cwd/" + entry;
  const auto link = files.read_symlink(path);
  return identity_of(files, link && link->starts_with('/') ? process + "/root" + *link : path);
}

}  // namespace

std::optional<FolderUser> server_that_uses(env::FileSystem& files, const std::string& folder,
                                           const std::string& own_directory, const std::string& proc) {
  const auto wanted = identity_of(files, folder);
  if (!wanted) return std::nullopt;
  std::set<Identity> seen;  // all processes of a server work in its data directory
  if (const auto own = identity_of(files, own_directory)) seen.insert(*own);
  for (const std::string& name : files.list(proc).value_or(std::vector<std::string>())) {
    pid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    const std::string process = proc + "/" + name;
    if (error != std::errc() || end != name.data() + name.size() || !is_server(files, process)) continue;
    const auto home = identity_of(files, process + "/cwd");
    if (!home || !seen.insert(*home).second) continue;
    std::vector<std::string> entries{"pg_wal"};
    for (const std::string& oid : files.list(process + "/cwd/pg_tblspc").value_or(std::vector<std::string>()))
      entries.push_back("pg_tblspc/" + oid);
    for (const std::string& entry : entries) {
      if (kept_in(files, process, entry) == wanted)
        return FolderUser{number, files.read_symlink(process + "/cwd").value_or("")};
    }
  }
  return std::nullopt;
}

}  // namespace standfast::clone

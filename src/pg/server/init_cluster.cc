// initdb for control.h.
#include <fmt/format.h>
#include <locale.h>

#include "env/process.h"
#include "pg/format/conf_file.h"
#include "pg/server/control.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

bool system_has_locale(const char* name) {
  const locale_t locale = newlocale(LC_ALL_MASK, name, nullptr);
  if (locale == nullptr) return false;
  freelocale(locale);
  return true;
}

Result<void> refuse_unless_empty(env::FileSystem& files, const std::string& directory) {
  const auto info = TRY(files.inspect_following(directory));
  if (!info) return base::ok();
  if (info->kind != env::FileKind::kDirectory) {
    return Error(ErrorCode::kTargetRefused, fmt::format("\"{}\" is not a directory", directory),
                 "Name a directory that is not there yet, or is empty.");
  }
  if (TRY(env::is_empty_directory(files, directory))) return base::ok();
  return Error(ErrorCode::kTargetRefused, fmt::format("\"{}\" is not empty", directory),
               "A new cluster needs a directory that is not there yet, or is empty.");
}

/// "initdb: error: could not create ..." without what stands before it.
Error initdb_failed(const std::string& directory, std::string said) {
  const std::size_t at = said.find("error: ");
  if (at != std::string::npos) said = said.substr(at + 7);
  said = said.substr(0, std::min<std::size_t>(said.find('\n'), 300));
  ErrorCode code = ErrorCode::kServerControl;
  std::string hint = "What it had made is taken away again.";
  if (said.find("Permission denied") != std::string::npos) {
    code = ErrorCode::kPermission;
    hint = fmt::format("Make the directory for its user first, as root: \"install -d -m 0700 -o USER {}\".",
                       directory);
  }
  if (said.find("No space left") != std::string::npos) code = ErrorCode::kDiskFull;
  return {code, fmt::format("initdb could not make a cluster in \"{}\": {}", directory, said), hint};
}

using Settings = std::vector<std::pair<std::string, std::string>>;

Result<void> write_settings(env::FileSystem& files, const std::string& directory, const Settings& settings) {
  if (settings.empty()) return base::ok();
  const std::string path = directory + "/postgresql.conf";
  auto conf = TRY(pg::ConfFile::parse(TRY(env::read_whole_file(files, path, pg::kMaxConfFileBytes))));
  for (const auto& [name, value] : settings) conf.set(name, value);
  return env::write_file_durably(files, path, conf.to_text(), {.mode = 0600});
}

/// Leaves the directory as it was found: gone, or empty.
void take_away(env::FileSystem& files, const std::string& directory, bool was_there) {
  if (!was_there) {
    static_cast<void>(env::remove_tree(files, directory));
    return;
  }
  for (const std::string& name : files.list(directory).value_or({})) {
    static_cast<void>(env::remove_tree(files, directory + "/" + name));
  }
}

}  // namespace

std::string locale_of_new_clusters() {
  return system_has_locale("C.UTF-8") ? "C.UTF-8" : "C";
}

Result<void> init_cluster(env::FileSystem& files, const Installation& installation,
                          const InitOptions& options, const env::Wait& wait) {
  const std::string directory = env::absolute_path(options.data_directory);
  TRY(refuse_unless_empty(files, directory));
  const bool was_there = TRY(files.inspect_following(directory)).has_value();
  env::Command command{.argv = {installation.program("initdb"), "-D", directory, "-k", "--auth-local=peer",
                                "--auth-host=scram-sha-256", "-E", "UTF8",
                                "--locale=" + locale_of_new_clusters()}};
  if (!options.superuser.empty()) command.argv.insert(command.argv.end(), {"-U", options.superuser});
  command.set_env = {{"LC_MESSAGES", "C"}};
  command.environment = env::ChildEnvironment::kWithoutPostgres;
  const auto result = env::run_command(command, wait);
  // What initdb fails at it takes away itself, and it may be someone else's files that it found in its way.
  if (result && result->exit_code != 0) return initdb_failed(directory, result->errors);
  Result<void> done = result ? write_settings(files, directory, options.settings) : result.error();
  if (!done) take_away(files, directory, was_there);
  return done;
}

}  // namespace standfast::server

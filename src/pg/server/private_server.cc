#include "pg/server/private_server.h"

#include <algorithm>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/process.h"
#include "pg/server/server_log.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kStopTimeout{300};
constexpr base::Milliseconds kPollInterval{50};
constexpr std::uint64_t kMaxSmallFileBytes = 64U << 10U;
constexpr int kMaxFolders = 1000;
/// pg_ctl puts paths between double quotes and gives all to a shell.
constexpr std::string_view kShellCharacters = "\"\\$`\n\r";

std::string seconds_left(const env::Wait& wait) {
  const auto left = std::chrono::duration_cast<base::Seconds>(wait.deadline.remaining()).count();
  return std::to_string(std::max<std::int64_t>(left, 1));
}

Result<std::string> make_private_folder(env::FileSystem& files) {
  for (int i = 0; i < kMaxFolders; ++i) {
    std::string folder = fmt::format("{}{}-{}", kPrivateFolderPrefix, getpid(), i);
    if (TRY(files.inspect(folder))) continue;
    TRY(files.make_directory(folder, S_IRWXU));
    return folder;
  }
  return Error(ErrorCode::kIo,
               fmt::format("no folder could be made in \"{}\"", env::parent_of(kPrivateFolderPrefix)));
}

/// A folder that another user put there under such a name is none of ours.
bool is_own_folder(env::FileSystem& files, const std::string& folder) {
  const auto info = files.inspect(folder);
  return info && *info && (*info)->kind == env::FileKind::kDirectory &&
         (*info)->owner == env::effective_user() && (*info)->mode == S_IRWXU;
}

Result<env::CommandResult> run_pg_ctl(std::vector<std::string> argv, const env::Wait& wait) {
  return env::run_command({.argv = std::move(argv),
                           .set_env = {{"LC_MESSAGES", "C"}},
                           .environment = env::ChildEnvironment::kWithoutPostgres},
                          wait);
}

Result<void> refuse_unfit(env::FileSystem& files, const Cluster& cluster) {
  if (TRY(files.inspect(cluster.data_directory() + "/recovery.signal"))) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" is to be recovered at its next start (recovery.signal)",
                             cluster.data_directory()),
                 "Start it and let the recovery end, then run this again.");
  }
  for (const std::string& path : {cluster.data_directory(), cluster.configuration_file()}) {
    if (path.find_first_of(kShellCharacters) == std::string::npos) continue;
    return Error(ErrorCode::kPrecondition, fmt::format("pg_ctl cannot take this name: \"{}\"", path),
                 "Rename it so that it has no quotes, backslashes, dollar signs or line ends.");
  }
  return base::ok();
}

}  // namespace

std::string private_server_options(const std::string& folder, const std::string& configuration_file) {
  // An extension may start what it likes; replication at least is not begun from here.
  return fmt::format(
      "-c config_file=\"{}\" -c listen_addresses= -c unix_socket_directories={} -c "
      "unix_socket_permissions=0700 "
      "-c external_pid_file= -c logging_collector=off -c max_logical_replication_workers=0",
      configuration_file, folder);
}

std::optional<std::string> private_folder_in(std::string_view postmaster_options) {
  const std::size_t begin = postmaster_options.find(kPrivateFolderPrefix);
  if (begin == std::string_view::npos) return std::nullopt;
  const std::string_view rest = postmaster_options.substr(begin);
  // Each option stands between double quotes there.
  return std::string(rest.substr(0, rest.find_first_of("\" \n")));
}

Result<std::optional<PostmasterPid>> settled_postmaster(const Cluster& cluster, const env::Wait& wait) {
  while (true) {
    auto postmaster = TRY(cluster.running());
    // Its state is written after its sockets.
    const bool is_settled = !postmaster || !postmaster->socket_directory.empty() ||
                            postmaster->status != PostmasterStatus::kUnknown;
    if (is_settled || wait.deadline.passed()) return postmaster;
    if (wait.stopped()) return env::cancelled_error();
    static_cast<void>(
        env::wait_for(-1, 0, {wait.deadline.earlier(base::Deadline::after(kPollInterval)), wait.stop}));
  }
}

bool is_private(env::FileSystem& files, const PostmasterPid& postmaster) {
  return postmaster.socket_directory.starts_with(kPrivateFolderPrefix) &&
         is_own_folder(files, postmaster.socket_directory);
}

Result<PrivateServer> PrivateServer::start(env::FileSystem& files, const Cluster& cluster,
                                           const Installation& installation, const env::Wait& wait) {
  TRY(refuse_unfit(files, cluster));
  PrivateServer server(files, cluster, installation, TRY(make_private_folder(files)));
  TRY(server.keep_options());
  TRY(server.launch(wait));
  return server;
}

Result<std::optional<PrivateServer>> PrivateServer::take_over(env::FileSystem& files, const Cluster& cluster,
                                                              const Installation& installation,
                                                              const env::Wait& wait) {
  const auto postmaster = TRY(settled_postmaster(cluster, wait));
  if (!postmaster || !is_private(files, *postmaster)) return std::optional<PrivateServer>();
  PrivateServer server(files, cluster, installation, postmaster->socket_directory);
  TRY(server.wait_until_ready(wait));
  return std::optional<PrivateServer>(std::move(server));
}

PrivateServer::~PrivateServer() {
  static_cast<void>(stop());
}

/// The options of the last ordinary start; those of a private one may lie there if it could not be ended
/// well.
Result<void> PrivateServer::keep_options() {
  if (!TRY(files_->inspect(options_path()))) return base::ok();
  std::string text = TRY(env::read_whole_file(*files_, options_path(), kMaxSmallFileBytes));
  if (const auto folder = private_folder_in(text)) {
    if (!is_own_folder(*files_, *folder)) return base::ok();
    const std::string kept = *folder + "/postmaster.opts";
    const bool is_there = TRY(files_->inspect(kept)).has_value();
    if (is_there) text = TRY(env::read_whole_file(*files_, kept, kMaxSmallFileBytes));
    TRY(env::remove_tree(*files_, *folder));
    if (!is_there) return base::ok();
  }
  return env::write_file_durably(*files_, kept_options_path(), text, {});
}

Result<void> PrivateServer::put_options_back() {
  if (TRY(files_->inspect(kept_options_path()))) {
    const std::string text = TRY(env::read_whole_file(*files_, kept_options_path(), kMaxSmallFileBytes));
    return env::write_file_durably(*files_, options_path(), text, {});
  }
  if (!TRY(files_->inspect(options_path()))) return base::ok();
  return files_->remove_file(options_path());
}

Result<void> PrivateServer::launch(const env::Wait& wait) {
  const auto said = run_pg_ctl(
      {installation_.program("pg_ctl"), "-D", cluster_.data_directory(), "-w", "-t", seconds_left(wait), "-l",
       log_path(), "-o", private_server_options(folder_, cluster_.configuration_file()), "start"},
      wait);
  if (!said) return said.error();
  const auto postmaster = TRY(settled_postmaster(cluster_, wait));
  if (postmaster && is_private(*files_, *postmaster) && postmaster->socket_directory != folder_) {
    // That of a killed run, which had not even a process id when it was looked for.
    TRY(remove_folder());
    folder_ = postmaster->socket_directory;
    return wait_until_ready(wait);
  }
  if (postmaster && postmaster->accepts_connections()) return base::ok();
  const std::string tail = read_log_tail(*files_, log_path(), 0, cluster_.data_directory());
  return explain_start_failure(cluster_.data_directory(), log_path(), tail,
                               said->errors.empty() ? said->output : said->errors)
      .with_context("on a private socket");
}

Result<void> PrivateServer::wait_until_ready(const env::Wait& wait) const {
  while (true) {
    const auto postmaster = TRY(cluster_.running());
    if (!postmaster) {
      return Error(ErrorCode::kServerControl,
                   fmt::format("the server that an interrupted run left on \"{}\" has just ended",
                               cluster_.data_directory()),
                   "Run this again.");
    }
    if (postmaster->accepts_connections()) return base::ok();
    if (wait.stopped()) return env::cancelled_error();
    if (wait.deadline.passed()) {
      return Error(ErrorCode::kTimeout,
                   fmt::format("the server that an interrupted run left on \"{}\" takes no connections",
                               cluster_.data_directory()),
                   fmt::format("Its log is \"{}\".", log_path()));
    }
    static_cast<void>(
        env::wait_for(-1, 0, {wait.deadline.earlier(base::Deadline::after(kPollInterval)), wait.stop}));
  }
}

Result<void> PrivateServer::stop() {
  if (folder_.empty()) return base::ok();
  const auto wait = env::Wait::for_at_most(kStopTimeout);
  if (TRY(is_running(wait))) {
    const auto said = TRY(run_pg_ctl({installation_.program("pg_ctl"), "-D", cluster_.data_directory(), "-w",
                                      "-t", seconds_left(wait), "-m", "fast", "stop"},
                                     wait));
    if (TRY(is_running(wait))) {
      return Error(ErrorCode::kServerControl,
                   fmt::format("the server that was started on a private socket for \"{}\" did not stop: {}",
                               cluster_.data_directory(), said.errors.substr(0, said.errors.find('\n'))),
                   "Run this again, which stops it, or stop it with pg_ctl -m fast.");
    }
  }
  TRY(put_options_back());
  return remove_folder();
}

Result<bool> PrivateServer::is_running(const env::Wait& wait) const {
  const auto postmaster = TRY(settled_postmaster(cluster_, wait));
  return postmaster && postmaster->socket_directory == folder_;
}

Result<void> PrivateServer::remove_folder() {
  TRY(env::remove_tree(*files_, folder_));
  folder_.clear();
  return base::ok();
}

}  // namespace standfast::server

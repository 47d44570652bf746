#include "setup/new_cluster.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "env/network.h"
#include "env/process.h"
#include "pg/format/conf_file.h"
#include "pg/format/hba_file.h"
#include "pg/server/control.h"
#include "pg/server/server_certificate_maker.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// What belongs to this one host stays out of postgresql.conf, which every copy brings along; join takes it
/// out of postgresql.auto.conf.
Result<void> write_host_settings(env::FileSystem& files, const std::string& directory,
                                 const NewCluster& cluster) {
  const std::string path = directory + "/postgresql.auto.conf";
  auto conf = TRY(pg::ConfFile::parse(TRY(env::read_whole_file(files, path, pg::kMaxConfFileBytes))));
  conf.set("listen_addresses", cluster.listen_addresses);
  if (cluster.options.socket_directory)
    conf.set("unix_socket_directories", *cluster.options.socket_directory);
  const auto info = TRY(files.inspect(path));
  return env::write_file_durably(files, path, conf.to_text(), {.mode = info ? info->mode : 0600});
}

Result<void> make_certificate(env::FileSystem& files, const std::string& directory,
                              const NewCluster& cluster) {
  server::CertificateOptions options;
  options.common_name = host_name();
  options.dns_names = {options.common_name};
  for (const std::string& name : cluster.names) {
    auto& list = pg::parse_standby_address(name) ? options.addresses : options.dns_names;
    if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
  }
  TRY(server::make_server_certificate(files, directory, options));
  return base::ok();
}

/// Keeps a second run for the same place out; gone with the process, so that nothing is left behind.
class FolderLock {
 public:
  static Result<FolderLock> take(const std::string& folder) {
    FolderLock lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock.fd_ < 0) return base::error_from_errno(errno, "could not open directory \"" + folder + "\"");
    if (flock(lock.fd_, LOCK_EX | LOCK_NB) == 0) return lock;
    return Error(ErrorCode::kInUse, "another run makes a cluster in \"" + folder + "\" just now",
                 "Wait until it is done, then run this again.");
  }
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

/// Whether a program that was started on this directory still runs: the initdb of a run that was killed.
Result<bool> has_a_program(env::FileSystem& files, const std::string& directory) {
  constexpr std::uint64_t kMaxCommandLineBytes = std::uint64_t{1} << 20U;
  for (const std::string& name : TRY(files.list("/proc"))) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    // A process that has ended meanwhile cannot be read, and one of another user is none of ours.
    const auto command_line = env::read_whole_file(files, "/proc/" + name + "/cmdline", kMaxCommandLineBytes);
    if (command_line && command_line->find(directory) != std::string::npos) return true;
  }
  return false;
}

Result<void> remove_leftover(env::FileSystem& files, const std::string& staging, const env::Wait& wait) {
  if (!TRY(files.inspect(staging))) return base::ok();
  while (TRY(has_a_program(files, staging))) {
    const auto next = base::Deadline::after(base::Milliseconds(100)).earlier(wait.deadline);
    if (env::wait_for(-1, 0, {next, wait.stop}) == env::Ready::kStopped) return env::cancelled_error();
    if (wait.deadline.passed()) {
      return Error(ErrorCode::kInUse, "a program still works in \"" + staging + "\"",
                   "It is the initdb of an earlier run; wait until it is done, then run this again.");
    }
  }
  return env::remove_tree(files, staging);
}

Error with_place_hint(Error error, const std::string& parent) {
  if (error.code == ErrorCode::kPermission && error.hint.empty()) {
    error.hint = "The new cluster is made beside its place: let the server's user write into \"" + parent +
                 "\", or name a directory in a folder of its own.";
  }
  return error;
}

Result<void> fill(env::FileSystem& files, const server::Installation& installation, const NewCluster& cluster,
                  const std::string& staging, const env::Wait& wait) {
  server::InitOptions init;
  init.data_directory = staging;
  init.superuser = cluster.superuser;
  init.settings = {{"port", std::to_string(cluster.options.port)}, {"ssl", "on"}};
  TRY(server::init_cluster(files, installation, init, wait));
  TRY(make_certificate(files, staging, cluster));
  return write_host_settings(files, staging, cluster);
}

}  // namespace

Result<DataDirectoryKind> inspect_data_directory(env::FileSystem& files, const std::string& path) {
  const auto info = TRY(files.inspect_following(path));
  if (!info) return DataDirectoryKind::kMissing;
  if (info->kind != env::FileKind::kDirectory) return DataDirectoryKind::kOther;
  if (TRY(files.inspect(path + "/PG_VERSION"))) return DataDirectoryKind::kCluster;
  return TRY(env::is_empty_directory(files, path)) ? DataDirectoryKind::kEmpty : DataDirectoryKind::kOther;
}

Result<void> make_new_cluster(env::FileSystem& files, const server::Installation& installation,
                              const NewCluster& cluster, const env::Wait& wait) {
  if (!env::is_port_free(cluster.options.port)) {
    return Error(ErrorCode::kInUse, fmt::format("port {} is taken on this host", cluster.options.port),
                 "Give the new cluster another one with --port, or stop the server that has it.");
  }
  std::string target = env::absolute_path(cluster.data_directory);
  if (TRY(files.inspect_following(target))) target = TRY(files.real_path(target));
  const std::string parent = env::parent_of(target);
  if (auto made = env::make_directories(files, parent, 0700); !made) {
    return with_place_hint(std::move(made).error(), env::parent_of(parent));
  }
  const FolderLock lock = TRY(FolderLock::take(parent));
  const std::string staging = target + ".standfast-init";
  TRY(remove_leftover(files, staging, wait));
  auto filled = fill(files, installation, cluster, staging, wait);
  if (filled) filled = files.rename_over(staging, target);
  if (!filled) {
    static_cast<void>(env::remove_tree(files, staging));
    return with_place_hint(std::move(filled).error(), parent).with_context("could not make a new cluster");
  }
  return files.sync_directory(parent);
}

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = "";
  if (gethostname(name, sizeof name - 1) != 0 || *name == '\0') return "localhost";
  return name;
}

}  // namespace standfast::setup

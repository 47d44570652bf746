#include "setup/new_cluster.h"

#include <algorithm>
#include <climits>

#include <fmt/format.h>
#include <unistd.h>

#include "env/folder_lock.h"
#include "env/network.h"
#include "env/process.h"
#include "pg/format/conf_file.h"
#include "pg/format/hba_file.h"
#include "pg/server/conf_tree.h"
#include "pg/server/control.h"
#include "pg/server/debian_create.h"
#include "pg/server/server_certificate_maker.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

using Settings = std::vector<std::pair<std::string, std::string>>;

Result<void> set_in_file(env::FileSystem& files, const std::string& path, const Settings& settings) {
  auto conf = TRY(pg::ConfFile::parse(TRY(env::read_whole_file(files, path, pg::kMaxConfFileBytes))));
  for (const auto& [name, value] : settings) conf.set(name, value);
  const auto info = TRY(files.inspect(path));
  return env::write_file_durably(files, path, conf.to_text(), {.mode = info ? info->mode : 0600});
}

/// What belongs to this one host stays out of postgresql.conf, which every copy brings along; join takes it
/// out of postgresql.auto.conf.
Result<void> write_host_settings(env::FileSystem& files, const std::string& directory,
                                 const NewCluster& cluster) {
  Settings settings = {{"listen_addresses", cluster.listen_addresses}};
  if (cluster.options.socket_directory)
    settings.emplace_back("unix_socket_directories", *cluster.options.socket_directory);
  return set_in_file(files, directory + "/postgresql.auto.conf", settings);
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

/// Debian turns TLS on with the certificate of its package ssl-cert, where there is one.
Result<void> finish_debian(env::FileSystem& files, const NewCluster& cluster) {
  const auto debian = server::registered_debian_cluster(files, *cluster.debian);
  if (!debian) return Error(ErrorCode::kServerControl, "pg_createcluster made no configuration");
  const std::string conf_path = debian->configuration_directory + "/postgresql.conf";
  const auto conf = TRY(server::ConfTree::read(files, conf_path));
  if (conf.get("ssl").value_or("off") != "on") {
    TRY(make_certificate(files, cluster.data_directory, cluster));
    TRY(set_in_file(files, conf_path, {{"ssl", "on"}}));
  }
  return write_host_settings(files, cluster.data_directory, cluster);
}

Result<void> make_debian(env::FileSystem& files, const NewCluster& cluster, const env::Wait& wait) {
  server::DebianCreation creation;
  creation.name = *cluster.debian;
  creation.data_directory = cluster.data_directory;
  creation.port = cluster.options.port;
  creation.socket_directory = cluster.options.socket_directory;
  creation.superuser = cluster.superuser;
  creation.locale = server::locale_of_new_clusters();
  return server::create_debian_cluster(
      files, creation, [&] { return finish_debian(files, cluster); }, wait);
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
  // Debian keeps the folders above the data directory open to all.
  if (auto made = env::make_directories(files, parent, cluster.debian ? 0755 : 0700); !made) {
    return with_place_hint(std::move(made).error(), env::parent_of(parent));
  }
  const env::FolderLock lock = TRY(env::FolderLock::take(parent));
  if (cluster.debian) return make_debian(files, cluster, wait);
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

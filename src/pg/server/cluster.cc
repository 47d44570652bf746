#include "pg/server/cluster.h"

#include <charconv>
#include <cstdlib>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "env/process.h"
#include "pg/format/versions.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMaxSmallFileBytes = 64U << 10U;
/// A file that a server is writing at this moment is read again after a while.
constexpr int kReadAttempts = 5;
constexpr base::Milliseconds kReadAgainAfter(20);

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  while (text.ends_with(' ') || text.ends_with('\r')) text.remove_suffix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

PostmasterStatus status_in(std::string_view text) {
  while (text.ends_with(' ')) text.remove_suffix(1);
  if (text == "starting") return PostmasterStatus::kStarting;
  if (text == "stopping") return PostmasterStatus::kStopping;
  if (text == "ready") return PostmasterStatus::kReady;
  if (text == "standby") return PostmasterStatus::kStandby;
  return PostmasterStatus::kUnknown;
}

Error not_a_data_directory(const std::string& path, std::string_view why) {
  return {
      ErrorCode::kPrecondition, fmt::format("\"{}\" {}", path, why),
      "Give the data directory of a PostgreSQL cluster with -D; SHOW data_directory names that of a running "
      "server."};
}

/// The number in PG_VERSION.
Result<int> read_major(env::FileSystem& files, const std::string& directory) {
  const std::string path = directory + "/PG_VERSION";
  if (!TRY(files.inspect(path))) {
    return not_a_data_directory(directory, "is not a PostgreSQL data directory: it has no PG_VERSION");
  }
  std::string text = TRY(env::read_whole_file(files, path, kMaxSmallFileBytes));
  const auto version = pg::Version::parse(text);
  if (!version) return not_a_data_directory(directory, "has a PG_VERSION that names no version");
  if (!version->is_supported()) {
    return Error(ErrorCode::kVersion,
                 fmt::format("the cluster in \"{}\" is of PostgreSQL {}, which is not supported", directory,
                             text.substr(0, std::min<std::size_t>(text.find('\n'), 16))),
                 fmt::format("Standfast works with PostgreSQL {} to {}.", pg::Version::kOldestMajor,
                             pg::Version::kNewestMajor));
  }
  return version->major();
}

Error not_running(const std::string& data_directory) {
  return {ErrorCode::kPrecondition, fmt::format("no server runs on \"{}\"", data_directory),
          "Start it first."};
}

/// An address to connect to for one the server listens on.
std::string reachable_address(const std::string& listen_address) {
  if (listen_address == "*" || listen_address == "0.0.0.0") return "127.0.0.1";
  if (listen_address == "::") return "::1";
  return listen_address;
}

}  // namespace

Result<PostmasterPid> parse_postmaster_pid(std::string_view text) {
  const auto lines = lines_of(text);
  const auto line = [&](std::size_t number) { return number <= lines.size() ? lines[number - 1] : ""; };
  PostmasterPid postmaster;
  // A standalone backend (postgres --single) writes its id with a minus sign.
  const auto pid = number_in<pid_t>(line(1));
  if (!pid || *pid == 0)
    return Error(ErrorCode::kProtocol, "the first line of postmaster.pid is not a process id");
  postmaster.pid = std::abs(*pid);
  postmaster.data_directory = line(2);
  postmaster.start_unix_seconds = number_in<std::int64_t>(line(3)).value_or(0);
  postmaster.port = number_in<int>(line(4)).value_or(0);
  postmaster.socket_directory = line(5);
  postmaster.listen_address = line(6);
  postmaster.status = *pid > 0 ? status_in(line(8)) : PostmasterStatus::kUnknown;
  return postmaster;
}

Result<Cluster> Cluster::open(env::FileSystem& files, const std::string& data_directory) {
  const std::string path = env::absolute_path(data_directory);
  const auto info = TRY(files.inspect_following(path));
  if (!info) return not_a_data_directory(path, "does not exist");
  if (info->kind != env::FileKind::kDirectory) return not_a_data_directory(path, "is not a directory");
  Cluster cluster(files);
  cluster.data_directory_ = TRY(files.real_path(path));
  cluster.owner_ = info->owner;
  cluster.mode_ = info->mode;
  cluster.major_ = TRY(read_major(files, cluster.data_directory_));
  cluster.debian_ = TRY(find_debian_cluster(files, cluster.data_directory_, cluster.major_));
  return cluster;
}

const std::string& Cluster::configuration_directory() const {
  return debian_ ? debian_->configuration_directory : data_directory_;
}

Result<pg::ControlFile> Cluster::control_file() const {
  const std::string path = data_directory_ + "/global/pg_control";
  for (int attempt = 1;; ++attempt) {
    const std::string content = TRY(env::read_whole_file(*files_, path, kMaxSmallFileBytes));
    auto control = pg::parse_control_file(base::as_bytes(content));
    if (control || attempt == kReadAttempts) {
      if (!control) return std::move(control).error().with_context("\"" + path + "\"");
      return control;
    }
    std::this_thread::sleep_for(kReadAgainAfter);
  }
}

bool Cluster::is_postmaster(pid_t pid) const {
  if (!env::process_exists(pid)) return false;
  const std::string process = fmt::format("/proc/{}", pid);
  // A postmaster works in its data directory; whoever else has its id now (a shell that sits there) is not
  // called postgres.
  const auto name = env::read_whole_file(*files_, process + "/comm", kMaxSmallFileBytes);
  if (name && name->find("postgres") == std::string::npos && name->find("postmaster") == std::string::npos) {
    return false;
  }
  const auto home = files_->inspect_following(process + "/cwd");
  const auto own = files_->inspect_following(data_directory_);
  // Only its user and root may look where it works; for others its name has to do. A process that has ended
  // and is not waited for yet works nowhere.
  if (!home) return home.error().code == ErrorCode::kPermission && name.has_value();
  if (!own || !*own || !*home) return false;
  return (*home)->device == (*own)->device && (*home)->inode == (*own)->inode;
}

Result<std::optional<PostmasterPid>> Cluster::running() const {
  const std::string path = data_directory_ + "/postmaster.pid";
  for (int attempt = 1;; ++attempt) {
    if (!TRY(files_->inspect(path))) return std::optional<PostmasterPid>();
    const auto text = env::read_whole_file(*files_, path, kMaxSmallFileBytes);
    if (text) {
      auto postmaster = parse_postmaster_pid(*text);
      if (postmaster && is_postmaster(postmaster->pid)) return std::optional(*std::move(postmaster));
      if (postmaster) return std::optional<PostmasterPid>();
      if (attempt == kReadAttempts) {
        return std::move(postmaster)
            .error()
            .with_hint("See whether a server runs on \"" + data_directory_ +
                       "\"; if none does, remove that file.");
      }
    } else if (text.error().os_errno != ENOENT) {
      return text.error();
    }
    std::this_thread::sleep_for(kReadAgainAfter);
  }
}

Result<bool> Cluster::is_standby() const {
  return TRY(files_->inspect(data_directory_ + "/standby.signal")).has_value();
}

Result<client::ConnectOptions> Cluster::local_connection(const std::string& database) const {
  const auto postmaster = TRY(running());
  if (!postmaster) return not_running(data_directory_);
  if (const char* address = std::getenv("PGHOSTADDR"); address != nullptr && *address != '\0') {
    // It wins over any host that is named, a socket's folder too.
    return Error(ErrorCode::kUsage,
                 "PGHOSTADDR is set, so the server of this data directory cannot be reached",
                 "Run the command again without PGHOSTADDR in the environment.");
  }
  client::ConnectOptions options;
  const std::string& socket = postmaster->socket_directory;
  if (!socket.empty()) {
    const bool is_absolute = socket.front() == '/' || socket.front() == '@';
    options.set("host", is_absolute ? socket : env::absolute_path(data_directory_ + "/" + socket));
  } else if (!postmaster->listen_address.empty()) {
    options.set("host", reachable_address(postmaster->listen_address));
  } else {
    Error error(
        ErrorCode::kConnect, fmt::format("the server on \"{}\" listens nowhere", data_directory_),
        "Wait until it has started, or set unix_socket_directories or listen_addresses and restart it.");
    error.retryable = true;
    return error;
  }
  options.set("port", std::to_string(postmaster->port));
  options.set("dbname", database);
  return options;
}

Result<client::Connection> Cluster::connect(const std::string& database, const env::Wait& wait,
                                            const std::optional<std::string>& user) const {
  client::ConnectOptions options = TRY(local_connection(database));
  if (user) options.set("user", *user);
  auto connection = TRY(client::Connection::open(options, wait));
  const auto rows =
      TRY(connection.query("SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), "
                           "(SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory')",
                           wait));
  const auto system_id = pg::SystemId::parse(rows.text(0, 0));
  // Roles without pg_read_all_settings do not see the directory.
  const auto directory = rows.is_null(0, 1) ? Result<std::string>(data_directory_)
                                            : files_->real_path(std::string(rows.text(0, 1)));
  const pg::ControlFile control = TRY(control_file());
  if (system_id != control.system_id || !directory || *directory != data_directory_) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("the server reached at {} port {} is not that of \"{}\"", connection.host(),
                             connection.port(), data_directory_),
                 "See whether PGSERVICE or a service file leads elsewhere.");
  }
  return connection;
}

}  // namespace standfast::server

#include "pg/server/cluster_search.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <unistd.h>

#include "pg/format/versions.h"
#include "pg/server/cluster.h"
#include "pg/server/conf_tree.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMaxSmallFileBytes = 64U << 10U;
constexpr int kDefaultPort = 5432;

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<int> port_in(const std::optional<std::string>& text) {
  int port = 0;
  if (!text) return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), port);
  return error == std::errc() && end == text->data() + text->size() ? std::optional(port) : std::nullopt;
}

class Search {
 public:
  Search(env::FileSystem& files, const SearchPlaces& places) : files_(files), places_(places) {}

  std::vector<FoundCluster> run() {
    add_debian();
    add_pgdg();
    add_units();
    add_running();
    return std::move(found_);
  }

 private:
  /// The cluster of that directory, new or found before; none when no cluster is there.
  FoundCluster* add(const std::string& directory, int major_if_closed) {
    const auto real = files_.real_path(directory);
    if (!real) return nullptr;
    const auto known = std::find_if(found_.begin(), found_.end(), [&](const FoundCluster& cluster) {
      return cluster.data_directory == *real;
    });
    if (known != found_.end()) return &*known;
    const auto info = files_.inspect(*real);
    if (!info || !*info || (*info)->kind != env::FileKind::kDirectory) return nullptr;
    FoundCluster cluster;
    cluster.data_directory = *real;
    cluster.owner = (*info)->owner;
    const auto text = env::read_whole_file(files_, *real + "/PG_VERSION", kMaxSmallFileBytes);
    if (text) {
      const auto version = pg::Version::parse(*text);
      if (!version) return nullptr;
      cluster.major = version->major();
      look_whether_it_runs(cluster);
    } else if (text.error().code == ErrorCode::kPermission && major_if_closed > 0) {
      cluster.major = major_if_closed;
    } else {
      return nullptr;
    }
    found_.push_back(std::move(cluster));
    return &found_.back();
  }

  void look_whether_it_runs(FoundCluster& cluster) const {
    const auto opened = Cluster::open(files_, cluster.data_directory);
    const auto running = opened ? opened->running() : Result<std::optional<PostmasterPid>>(opened.error());
    if (!running) return;
    cluster.state = *running ? RunState::kRunning : RunState::kStopped;
    if (*running) cluster.port = (*running)->port;
  }

  void set_configured_port(FoundCluster& cluster, const std::string& configuration_directory) const {
    if (cluster.port != 0) return;
    std::optional<int> port;
    // postgresql.auto.conf is read last, so it is asked first.
    for (const std::string& path :
         {cluster.data_directory + "/postgresql.auto.conf", configuration_directory + "/postgresql.conf"}) {
      const auto tree = ConfTree::read(files_, path);
      if (tree && !port) port = port_in(tree->get("port"));
    }
    cluster.port = port.value_or(kDefaultPort);
  }

  void add_debian() {
    for (const DebianCluster& debian : list_debian_clusters(files_, places_.debian)) {
      const auto directory = data_directory_of_configuration(files_, debian.configuration_directory);
      if (!directory) continue;
      FoundCluster* cluster = add(*directory, debian.major);
      // A second folder in /etc that names the same data directory is somebody's copy of the first.
      if (cluster == nullptr || cluster->debian || cluster->major != debian.major) continue;
      cluster->debian = debian.id();
      set_configured_port(*cluster, debian.configuration_directory);
    }
  }

  void add_plain(const std::string& directory, int major_if_closed, const std::string& unit) {
    FoundCluster* cluster = add(directory, major_if_closed);
    if (cluster == nullptr) return;
    if (cluster->unit.empty()) cluster->unit = unit;
    set_configured_port(*cluster, cluster->data_directory);
  }

  void add_pgdg() {
    for (const std::string& name : files_.list(places_.pgdg_root).value_or({})) {
      if (name == "data") add_plain(places_.pgdg_root + "/data", 0, "");  // the distribution's own package
      const auto version = pg::Version::parse(name);
      if (is_number(name) && version) {
        add_plain(places_.pgdg_root + "/" + name + "/data", version->major(), "");
      }
    }
  }

  std::optional<std::string> text_of(const std::string& path) const {
    const auto real = files_.real_path(path);
    const auto text =
        real ? env::read_whole_file(files_, *real, kMaxSmallFileBytes) : Result<std::string>(real.error());
    return text ? std::optional(*text) : std::nullopt;
  }

  /// Of the unit file and then of what `systemctl edit` put beside it.
  std::optional<std::string> data_directory_of_unit(const std::string& name) const {
    std::optional<std::string> directory;
    for (const std::string& folder : places_.unit_folders) {
      const auto text = text_of(folder + "/" + name);
      if (!text) continue;
      directory = data_directory_in_unit(*text);
      break;
    }
    for (auto folder = places_.unit_folders.rbegin(); folder != places_.unit_folders.rend(); ++folder) {
      const std::string drop_ins = *folder + "/" + name + ".d";
      for (const std::string& file : files_.list(drop_ins).value_or({})) {
        const auto text = file.ends_with(".conf") ? text_of(drop_ins + "/" + file) : std::nullopt;
        if (auto named = text ? data_directory_in_unit(*text) : std::nullopt) directory = std::move(named);
      }
    }
    return directory;
  }

  void add_units() {
    for (const std::string& name : list_postgres_units(files_, places_.unit_folders)) {
      if (const auto directory = data_directory_of_unit(name)) add_plain(*directory, 0, name);
    }
  }

  bool is_postgres_of_this_host(const std::string& process) const {
    auto program = files_.read_symlink(process + "/exe");
    if (!program) return false;
    // An upgrade of the package takes the file from under the server.
    std::string name = env::base_name_of(program->substr(0, program->find(" (deleted)")));
    if (name != "postgres" && name != "postmaster") return false;
    const auto theirs = files_.read_symlink(process + "/ns/net");
    const auto ours = files_.read_symlink(places_.proc + "/self/ns/net");
    return theirs && ours && *theirs == *ours;
  }

  void add_running() {
    for (const std::string& id : files_.list(places_.proc).value_or({})) {
      const std::string process = places_.proc + "/" + id;
      if (!is_number(id) || !is_postgres_of_this_host(process)) continue;
      // Its children work in the data directory as well; found once, it is known.
      const auto directory = files_.read_symlink(process + "/cwd");
      if (!directory) continue;
      const auto theirs = files_.inspect_following(process + "/cwd");
      const auto ours = files_.inspect_following(*directory);
      const bool is_same = theirs && ours && *theirs && *ours && (*theirs)->device == (*ours)->device &&
                           (*theirs)->inode == (*ours)->inode;
      if (!is_same) continue;
      if (places_.claims == ProcessClaims::kBelieved) {
        add_plain(*directory, 0, "");
      } else {
        add_claim(*directory, (*ours)->owner);
      }
    }
  }

  void add_claim(const std::string& directory, uid_t owner) {
    const bool is_known = std::any_of(found_.begin(), found_.end(), [&](const FoundCluster& cluster) {
      return cluster.data_directory == directory;
    });
    // A path that could not be shown as it is cannot be named either.
    const bool is_plain = std::none_of(directory.begin(), directory.end(),
                                       [](unsigned char c) { return c < ' ' || c == 0x7f; });
    if (is_known || !is_plain) return;
    FoundCluster cluster;
    cluster.data_directory = directory;
    cluster.owner = owner;
    cluster.is_claimed = true;
    found_.push_back(std::move(cluster));
  }

  env::FileSystem& files_;
  const SearchPlaces& places_;
  std::vector<FoundCluster> found_;
};

std::string_view word_of(RunState state) {
  switch (state) {
    case RunState::kRunning:
      return "running";
    case RunState::kStopped:
      return "stopped";
    case RunState::kUnknown:
      return "not readable for this user";
  }
  return "";
}

std::string list_of(const std::vector<FoundCluster>& clusters) {
  std::string text;
  for (const FoundCluster& cluster : clusters) {
    if (cluster.is_claimed) {
      text += fmt::format("\n-D {}  (only a process tells of it)", cluster.data_directory);
      continue;
    }
    text += fmt::format("\n-D {}  ({}PostgreSQL {}, port {}, {})", cluster.data_directory,
                        cluster.debian ? cluster.debian->to_string() + ", " : "", cluster.major, cluster.port,
                        word_of(cluster.state));
  }
  return text;
}

Error none_found(std::optional<std::uint16_t> port, const std::vector<FoundCluster>& all) {
  if (all.empty()) {
    return {ErrorCode::kUsage, "no data directory is named, and no PostgreSQL cluster was found on this host",
            "Give the data directory with -D, or set PGDATA. Looked in /etc/postgresql, /var/lib/pgsql, "
            "systemd's units and the servers that run."};
  }
  if (port) {
    return {ErrorCode::kUsage, fmt::format("no PostgreSQL cluster of this host has port {}", *port),
            "There are:" + list_of(all)};
  }
  return {ErrorCode::kUsage, "no data directory is named, and root does not take one for what a process says",
          "Name it, if it is the one that is meant:" + list_of(all)};
}

}  // namespace

std::string FoundCluster::describe() const {
  return fmt::format("PostgreSQL {}{} in {}, port {}, {}", major,
                     debian ? fmt::format(" (Debian's {})", debian->to_string())
                            : (unit.empty() ? "" : fmt::format(" ({})", unit)),
                     data_directory, port, word_of(state));
}

std::optional<std::string> data_directory_in_unit(std::string_view text) {
  constexpr std::string_view kSetting = "Environment";
  constexpr std::string_view kVariable = "PGDATA=";
  std::optional<std::string> found;
  bool is_of_service = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.starts_with('[')) is_of_service = line.starts_with("[Service]");
    if (!is_of_service || !line.starts_with(kSetting)) continue;
    line.remove_prefix(kSetting.size());
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (!line.starts_with('=')) continue;
    for (std::size_t at = line.find(kVariable); at != std::string_view::npos;
         at = line.find(kVariable, at + 1)) {
      const char before = line[at - 1];
      if (std::string_view("= \t\"'").find(before) == std::string_view::npos) continue;
      // The quotes stand around the whole assignment.
      const std::string_view ends = before == '"' ? "\"" : (before == '\'' ? "'" : " \t\r\"'");
      std::string_view value = line.substr(at + kVariable.size());
      value = value.substr(0, value.find_first_of(ends));
      while (value.size() > 1 && value.ends_with('/')) value.remove_suffix(1);
      if (value.starts_with('/') && value.find('%') == std::string_view::npos) found = std::string(value);
    }
  }
  return found;
}

std::vector<FoundCluster> find_clusters(env::FileSystem& files, const SearchPlaces& places) {
  return Search(files, places).run();
}

std::vector<FoundCluster> without_claims(std::vector<FoundCluster> found) {
  std::erase_if(found, [](const FoundCluster& cluster) { return cluster.is_claimed; });
  return found;
}

Result<FoundCluster> choose_cluster(const std::vector<FoundCluster>& found,
                                    std::optional<std::uint16_t> port) {
  std::vector<FoundCluster> fitting;
  for (const FoundCluster& cluster : found) {
    if (!cluster.is_claimed && (!port || cluster.port == *port)) fitting.push_back(cluster);
  }
  if (fitting.empty()) return none_found(port, found);
  if (fitting.size() == 1) return fitting.front();
  return Error(ErrorCode::kUsage,
               port ? fmt::format("{} PostgreSQL clusters of this host have port {}", fitting.size(), *port)
                    : fmt::format("this host has {} PostgreSQL clusters, and none is named", fitting.size()),
               "Name one:" + list_of(fitting));
}

Result<std::string> data_directory_of(env::FileSystem& files, const std::string& named) {
  const std::string path = env::absolute_path(named);
  const auto version = files.inspect_following(path + "/PG_VERSION");
  const auto conf = files.inspect_following(path + "/postgresql.conf");
  if (!version || *version || !conf || !*conf) return path;
  const std::string directory = TRY(data_directory_of_configuration(files, path));
  return directory.starts_with('/') ? directory : env::absolute_path(path + "/" + directory);
}

}  // namespace standfast::server

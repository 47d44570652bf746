#include "pg/server/debian.h"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

#include "base/number.h"
#include "pg/format/conf_file.h"
#include "pg/server/conf_tree.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t kMaxNameBytes = 100;
constexpr std::uint64_t kMaxSmallFileBytes = 64U << 10U;

std::optional<int> major_in(std::string_view digits) {
  const auto major = base::parse_number<int>(digits);
  return major && digits.size() == 2 && *major >= 10 ? major : std::nullopt;
}

bool is_cluster_name(std::string_view name) {
  const bool has_letters_only = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
  return has_letters_only && !name.empty() && name.size() <= kMaxNameBytes && name.front() != '-' &&
         name.front() != '.';
}

bool is_there(env::FileSystem& files, const std::string& path) {
  const auto info = files.inspect_following(path);
  return info && *info;
}

std::string without_last_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

/// createcluster.conf's %v and %c.
std::string filled_in(std::string_view pattern, const DebianName& name) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char next = pattern[i] == '%' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (next == 'v') out += std::to_string(name.major);
    if (next == 'c') out += name.name;
    if (next == '%') out += '%';
    if (next == 'v' || next == 'c' || next == '%') {
      ++i;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

/// For clusters of old: a link "pgdata", or the folder itself is one to a data directory.
std::optional<std::string> data_directory_without_setting(env::FileSystem& files, const std::string& folder) {
  if (const auto link = files.read_symlink(folder + "/pgdata")) return *link;
  if (is_there(files, folder + "/PG_VERSION")) return folder;
  return std::nullopt;
}

}  // namespace

std::string DebianName::to_string() const {
  return fmt::format("{}/{}", major, name);
}

std::optional<DebianName> parse_debian_name(std::string_view text) {
  const std::size_t separator = text.find_first_of("/-");
  if (separator == std::string_view::npos) return std::nullopt;
  const auto major = major_in(text.substr(0, separator));
  const std::string_view name = text.substr(separator + 1);
  if (!major || !is_cluster_name(name)) return std::nullopt;
  return DebianName{*major, std::string(name)};
}

std::string DebianCluster::unit() const {
  return fmt::format("postgresql@{}-{}.service", major, name);
}

std::string DebianCluster::log_file() const {
  return fmt::format("/var/log/postgresql/postgresql-{}-{}.log", major, name);
}

std::string resolved_as_far_as_it_exists(env::FileSystem& files, const std::string& path) {
  std::string rest;
  for (std::string place = env::absolute_path(path);; place = env::parent_of(place)) {
    if (const auto real = files.real_path(place)) return *real == "/" && !rest.empty() ? rest : *real + rest;
    if (place == "/") return env::absolute_path(path);
    rest = "/" + env::base_name_of(place) + rest;
  }
}

Result<std::string> data_directory_of_configuration(env::FileSystem& files, const std::string& folder) {
  const auto tree = TRY(ConfTree::read(files, folder + "/postgresql.conf"));
  const auto named = tree.get("data_directory");
  if (named && !named->empty()) return without_last_slashes(*named);
  if (const auto found = data_directory_without_setting(files, folder)) return without_last_slashes(*found);
  return Error(ErrorCode::kPrecondition,
               fmt::format("\"{}/postgresql.conf\" does not say where its data directory is", folder),
               "Set data_directory there, or name the data directory with -D.");
}

std::optional<DebianCluster> registered_debian_cluster(env::FileSystem& files, const DebianName& name,
                                                       const DebianPlaces& places) {
  DebianCluster cluster{name.major, name.name,
                        fmt::format("{}/{}/{}", places.configuration_root, name.major, name.name)};
  if (!is_there(files, cluster.configuration_directory + "/postgresql.conf")) return std::nullopt;
  return cluster;
}

std::vector<DebianCluster> list_debian_clusters(env::FileSystem& files, const DebianPlaces& places) {
  std::vector<DebianCluster> found;
  for (const std::string& version : files.list(places.configuration_root).value_or({})) {
    const auto major = major_in(version);
    if (!major) continue;
    for (const std::string& name : files.list(places.configuration_root + "/" + version).value_or({})) {
      if (!is_cluster_name(name)) continue;
      if (auto cluster = registered_debian_cluster(files, {*major, name}, places)) {
        found.push_back(*std::move(cluster));
      }
    }
  }
  return found;
}

Result<std::optional<DebianCluster>> find_debian_cluster(env::FileSystem& files,
                                                         const std::string& data_directory, int major,
                                                         const DebianPlaces& places) {
  const std::string wanted = resolved_as_far_as_it_exists(files, data_directory);
  for (const DebianCluster& cluster : list_debian_clusters(files, places)) {
    if (cluster.major != major) continue;
    // One that cannot be read or understood is not ours to judge; it is just not the one looked for.
    const auto named = data_directory_of_configuration(files, cluster.configuration_directory);
    if (named && resolved_as_far_as_it_exists(files, *named) == wanted) return std::optional(cluster);
  }
  return std::optional<DebianCluster>();
}

DebianStart start_of_debian_cluster(env::FileSystem& files, const DebianCluster& cluster) {
  const auto text =
      env::read_whole_file(files, cluster.configuration_directory + "/start.conf", kMaxSmallFileBytes);
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    line = line.substr(0, line.find('#'));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.starts_with("manual")) return DebianStart::kManual;
    if (line.starts_with("disabled")) return DebianStart::kDisabled;
    if (line.starts_with("auto")) return DebianStart::kAuto;
  }
  return DebianStart::kAuto;
}

bool has_postgresql_common(const DebianPlaces& places) {
  return access((places.programs + "/pg_createcluster").c_str(), X_OK) == 0;
}

std::vector<int> debian_majors(env::FileSystem& files, const DebianPlaces& places) {
  std::vector<int> majors;
  for (const std::string& name : files.list(places.server_programs).value_or({})) {
    const auto major = major_in(name);
    if (major && is_there(files, places.server_programs + "/" + name + "/bin/initdb"))
      majors.push_back(*major);
  }
  return majors;
}

std::string debian_default_place(env::FileSystem& files, const DebianName& name, const DebianPlaces& places) {
  const std::string usual = places.data_root + "/%v/%c";
  const auto text =
      env::read_whole_file(files, places.common_directory + "/createcluster.conf", kMaxSmallFileBytes);
  const auto conf = text ? pg::ConfFile::parse(*text) : Result<pg::ConfFile>(text.error());
  const std::string pattern = conf ? conf->get("data_directory").value_or(usual) : usual;
  return without_last_slashes(filled_in(pattern, name));
}

std::optional<DebianName> debian_name_of_place(env::FileSystem& files, const std::string& data_directory,
                                               const DebianPlaces& places) {
  const std::string path = env::absolute_path(data_directory);
  // Both parts stand in the path, or createcluster.conf has a pattern that no path can be told from.
  const auto major = major_in(env::base_name_of(env::parent_of(path)));
  const std::string name = env::base_name_of(path);
  if (!major || !is_cluster_name(name)) return std::nullopt;
  const DebianName found{*major, name};
  const bool is_it = resolved_as_far_as_it_exists(files, debian_default_place(files, found, places)) ==
                     resolved_as_far_as_it_exists(files, path);
  return is_it ? std::optional(found) : std::nullopt;
}

}  // namespace standfast::server

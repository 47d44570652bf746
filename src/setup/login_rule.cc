#include "setup/login_rule.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/format/conf_file.h"
#include "pg/format/versions.h"

namespace standfast::setup {
namespace {

constexpr std::string_view kMapOption = "map=";

/// Where a setting of postgresql.conf says that a file is; the include files are not followed.
std::string path_of(const server::Cluster& cluster, const pg::ConfFile& conf, std::string_view setting,
                    std::string_view usual_name) {
  const auto named = conf.get(setting);
  if (!named || named->empty()) return cluster.configuration_directory() + "/" + std::string(usual_name);
  return named->starts_with('/') ? *named : cluster.data_directory() + "/" + *named;
}

std::string text_of(env::FileSystem& files, const std::string& path) {
  const auto real = files.real_path(path);
  if (!real) return "";
  return env::read_whole_file(files, *real, pg::kMaxHbaFileBytes).value_or("");
}

std::optional<std::string> map_of(const pg::HbaRule& rule) {
  for (const std::string& option : rule.options) {
    if (option.starts_with(kMapOption)) return option.substr(kMapOption.size());
  }
  return std::nullopt;
}

std::string about_identity(const LoginFiles& found, const pg::HbaRule& rule, const std::string& user) {
  if (const auto map = map_of(rule)) {
    const auto lines = lines_of_map(found.ident_text, *map);
    if (lines.empty()) return fmt::format(" \"{}\" has no line of the map \"{}\".", found.ident_path, *map);
    return fmt::format(" Of the map \"{}\" \"{}\" has: {}.", *map, found.ident_path, fmt::join(lines, "; "));
  }
  if (rule.method == "peer" || rule.method == "ident") {
    return fmt::format(" By it only the operating system user \"{}\" may be the role \"{}\".", user, user);
  }
  return "";
}

}  // namespace

std::vector<std::string> lines_of_map(std::string_view ident_text, std::string_view map) {
  std::vector<std::string> lines;
  std::istringstream text{std::string(ident_text)};
  for (std::string line; std::getline(text, line) && lines.size() < kMaxShownMapLines;) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name;
    std::string system_user;
    std::string role;
    if (words >> name >> system_user >> role && name == map) lines.push_back(system_user + " " + role);
  }
  return lines;
}

std::optional<std::string> describe_login_rule(const LoginFiles& found, pg::HbaDialect dialect,
                                               const pg::HbaConnection& login) {
  const auto file = pg::parse_hba(found.hba_text, dialect);
  if (!file) return std::nullopt;
  const auto hit = pg::first_rule_for(*file, login);
  if (!hit) return fmt::format("No line of \"{}\" is for this login.", found.hba_path);
  const pg::HbaRule& rule = file->rules[hit->index];
  std::string line = found.hba_text.substr(rule.begin, found.hba_text.find('\n', rule.begin) - rule.begin);
  while (line.ends_with('\r') || line.ends_with(' ')) line.pop_back();
  const std::string sure = hit->match == pg::HbaMatch::kYes ? "takes" : "may take";
  return fmt::format("Line {} of \"{}\" {} this login: {}.{}", rule.line_number, found.hba_path, sure, line,
                     about_identity(found, rule, login.user));
}

std::optional<std::string> explain_login(env::FileSystem& files, const server::Cluster& cluster,
                                         const pg::HbaConnection& login) {
  const auto conf = pg::ConfFile::parse(text_of(files, cluster.configuration_file()));
  if (!conf) return std::nullopt;
  LoginFiles found;
  found.hba_path = path_of(cluster, *conf, "hba_file", "pg_hba.conf");
  found.hba_text = text_of(files, found.hba_path);
  found.ident_path = path_of(cluster, *conf, "ident_file", "pg_ident.conf");
  found.ident_text = text_of(files, found.ident_path);
  if (found.hba_text.empty()) return std::nullopt;
  const bool continues = pg::Version(cluster.major() * 10000).hba_lines_continue();
  return describe_login_rule(
      found, continues ? pg::HbaDialect::kWithContinuation : pg::HbaDialect::kWithoutContinuation, login);
}

}  // namespace standfast::setup

#include "pg/server/systemd.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <unistd.h>

#include "env/process.h"
#include "pg/server/cluster.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kSuffix = ".service";
constexpr std::size_t kMaxUnitNameBytes = 128;

/// Its own path, not PATH's: root calls it.
std::string systemctl() {
  return access("/usr/bin/systemctl", X_OK) == 0 ? "/usr/bin/systemctl" : "/bin/systemctl";
}

std::string_view word_of(UnitAction action) {
  switch (action) {
    case UnitAction::kStart:
      return "start";
    case UnitAction::kStop:
      return "stop";
    case UnitAction::kRestart:
      return "restart";
  }
  return "";
}

std::optional<int> major_in(std::string_view digits) {
  int major = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), major);
  const bool is_whole = error == std::errc() && end == digits.data() + digits.size();
  return is_whole && digits.size() <= 2 && major > 0 ? std::optional(major) : std::nullopt;
}

bool is_cluster_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

}  // namespace

bool systemd_runs() {
  // sd_booted(3)
  return access("/run/systemd/system", F_OK) == 0;
}

std::optional<int> major_of_unit(std::string_view unit) {
  if (unit.size() > kMaxUnitNameBytes || !unit.ends_with(kSuffix)) return std::nullopt;
  unit.remove_suffix(kSuffix.size());
  if (unit == "postgresql") return 0;
  if (unit.starts_with("postgresql-")) return major_in(unit.substr(11));
  if (!unit.starts_with("postgresql@")) return std::nullopt;
  const std::string_view instance = unit.substr(11);
  const std::size_t dash = instance.find('-');
  if (dash == std::string_view::npos || !is_cluster_name(instance.substr(dash + 1))) return std::nullopt;
  return major_in(instance.substr(0, dash));
}

std::optional<std::string> data_directory_in_environment(std::string_view shown) {
  constexpr std::string_view kWord = "PGDATA=";
  for (std::size_t at = shown.find(kWord); at != std::string_view::npos; at = shown.find(kWord, at + 1)) {
    if (at == 0 || std::string_view(" =\"\n").find(shown[at - 1]) == std::string_view::npos) continue;
    // A value with blanks stands in quotes, the whole assignment inside them.
    const char end = shown[at - 1] == '"' ? '"' : ' ';
    std::string_view value = shown.substr(at + kWord.size());
    value = value.substr(0, std::min(value.find(end), value.find('\n')));
    if (!value.empty()) return std::string(value);
  }
  return std::nullopt;
}

Result<bool> unit_runs_data_directory(env::FileSystem& files, const std::string& unit,
                                      const std::string& data_directory, const env::Wait& wait) {
  const auto major = major_of_unit(unit);
  if (!major) return false;
  if (unit.starts_with("postgresql@")) {
    const auto debian = TRY(find_debian_cluster(files, data_directory, *major));
    return debian && debian->unit() == unit;
  }
  const auto shown = TRY(env::run_command(
      {.argv = {systemctl(), "show", "-p", "Environment", "--", unit}, .set_env = {{"LC_ALL", "C"}}}, wait));
  const auto named = data_directory_in_environment(shown.output);
  if (!named) return false;
  const auto theirs = files.real_path(*named);
  const auto ours = files.real_path(data_directory);
  return theirs && ours && *theirs == *ours;
}

Result<std::optional<std::string>> find_unit(env::FileSystem& files, const std::string& data_directory,
                                             int major, const env::Wait& wait) {
  if (!systemd_runs()) return std::optional<std::string>();
  std::vector<std::string> units = {fmt::format("postgresql-{}.service", major), "postgresql.service"};
  if (const auto debian = TRY(find_debian_cluster(files, data_directory, major))) units = {debian->unit()};
  for (const std::string& unit : units) {
    if (TRY(unit_runs_data_directory(files, unit, data_directory, wait))) return std::optional(unit);
  }
  return std::optional<std::string>();
}

bool unit_is_active(const std::string& unit, const env::Wait& wait) {
  const auto result = env::run_command({.argv = {systemctl(), "is-active", "--quiet", "--", unit}}, wait);
  return result && result->exit_code == 0;
}

Result<void> run_systemctl(UnitAction action, const std::string& unit, const env::Wait& wait) {
  const std::string word(word_of(action));
  const auto result =
      TRY(env::run_command({.argv = {systemctl(), word, "--", unit}, .set_env = {{"LC_ALL", "C"}}}, wait));
  if (result.exit_code == 0) return base::ok();
  const std::string said = result.errors.substr(0, std::min<std::size_t>(result.errors.find('\n'), 300));
  return Error(ErrorCode::kServerControl, fmt::format("systemctl {} {} failed: {}", word, unit, said),
               fmt::format("See journalctl -u {}.", unit));
}

}  // namespace standfast::server

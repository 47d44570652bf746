#include "pg/server/systemd.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include <fmt/format.h>
#include <unistd.h>

#include "base/number.h"
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
  const auto major = base::parse_number<int>(digits);
  return major && digits.size() <= 2 && *major > 0 ? major : std::nullopt;
}

bool is_cluster_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

}  // namespace

std::vector<std::string> list_postgres_units(env::FileSystem& files,
                                             const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) {
    for (const std::string& name : files.list(folder).value_or({})) {
      if (major_of_unit(name) && std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(name);
      }
    }
  }
  return names;
}

bool systemd_runs() {
  // sd_booted(3)
  return access("/run/systemd/system", F_OK) == 0;
}

bool is_unit_installed(env::FileSystem& files, std::string_view unit) {
  return std::any_of(std::begin(kUnitFolders), std::end(kUnitFolders), [&](std::string_view folder) {
    const auto found = files.inspect_following(fmt::format("{}/{}", folder, unit));
    return found && *found;
  });
}

std::optional<int> major_of_unit(std::string_view unit) {
  if (unit.size() > kMaxUnitNameBytes || !unit.ends_with(kSuffix)) return std::nullopt;
  unit.remove_suffix(kSuffix.size());
  if (unit == "postgresql") return 0;
  if (unit.starts_with("postgresql-")) {
    // PGDG's own, or one beside it: postgresql-15-second.
    const std::string_view rest = unit.substr(11);
    const std::size_t dash = rest.find('-');
    if (dash != std::string_view::npos && !is_cluster_name(rest.substr(dash + 1))) return std::nullopt;
    return major_in(rest.substr(0, dash));
  }
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

namespace {

/// The directory that a unit is set up to run, if it is the one asked about; "" for another.
Result<std::string> directory_if_run(env::FileSystem& files, const std::string& unit, int major,
                                     const std::string& data_directory, const env::Wait& wait) {
  if (unit.starts_with("postgresql@")) {
    const auto debian = TRY(find_debian_cluster(files, data_directory, major));
    if (!debian || debian->unit() != unit) return std::string();
    return data_directory_of_configuration(files, debian->configuration_directory);
  }
  const auto shown = TRY(env::run_command(
      {.argv = {systemctl(), "show", "-p", "Environment", "--", unit}, .set_env = {{"LC_ALL", "C"}}}, wait));
  const auto named = data_directory_in_environment(shown.output);
  if (!named) return std::string();
  const auto theirs = files.real_path(*named);
  const auto ours = files.real_path(data_directory);
  return theirs && ours && *theirs == *ours ? *theirs : std::string();
}

}  // namespace

Result<bool> unit_runs_data_directory(env::FileSystem& files, const std::string& unit,
                                      const std::string& data_directory, const env::Wait& wait,
                                      std::optional<uid_t> owner) {
  const auto major = major_of_unit(unit);
  if (!major) return false;
  const std::string named = TRY(directory_if_run(files, unit, *major, data_directory, wait));
  if (named.empty() || !owner) return !named.empty();
  const auto info = TRY(files.inspect_following(named));
  return info && info->owner == *owner;
}

Result<std::optional<std::string>> find_unit(env::FileSystem& files, const std::string& data_directory,
                                             int major, const env::Wait& wait) {
  if (!systemd_runs()) return std::optional<std::string>();
  auto units = list_postgres_units(files, {std::begin(kUnitFolders), std::end(kUnitFolders)});
  std::erase_if(units, [&](const std::string& unit) {
    const int named = major_of_unit(unit).value_or(0);
    return named != 0 && named != major;
  });
  if (const auto debian = TRY(find_debian_cluster(files, data_directory, major))) units = {debian->unit()};
  for (const std::string& unit : units) {
    if (TRY(unit_runs_data_directory(files, unit, data_directory, wait))) return std::optional(unit);
  }
  return std::optional<std::string>();
}

std::optional<base::Milliseconds> parse_time_span(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 8> kUnits = {{{"us", 0},
                                                                                {"ms", 1},
                                                                                {"s", 1000},
                                                                                {"min", 60'000},
                                                                                {"h", 3'600'000},
                                                                                {"d", 86'400'000},
                                                                                {"w", 7 * 86'400'000LL},
                                                                                {"month", 2'629'800'000LL}}};
  constexpr std::int64_t kLargestNumber = 100'000;
  base::Milliseconds span{};
  while (!text.empty()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 0 || number > kLargestNumber) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    // "1.500s": the part of a second is of no interest here.
    if (text.starts_with('.'))
      text.remove_prefix(std::min(text.find_first_not_of(".0123456789"), text.size()));
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    const auto unit =
        std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& one) { return one.first == word; });
    if (unit == kUnits.end()) return std::nullopt;
    span += base::Milliseconds(number * unit->second);
  }
  return span.count() > 0 ? std::optional(span) : std::nullopt;
}

UnitState parse_unit_state(std::string_view shown) {
  UnitState state;
  while (!shown.empty()) {
    const std::size_t end = std::min(shown.find('\n'), shown.size());
    const std::string_view line = shown.substr(0, end);
    shown.remove_prefix(std::min(end + 1, shown.size()));
    const std::size_t equals = std::min(line.find('='), line.size());
    const std::string_view name = line.substr(0, equals);
    const std::string value(line.substr(std::min(equals + 1, line.size())));
    if (name == "Type") state.type = value;
    if (name == "ActiveState") state.active = value;
    if (name == "UnitFileState") state.file_state = value;
    if (name == "Result") state.result = value;
    if (name == "TimeoutStartUSec") state.start_timeout = parse_time_span(value);
  }
  return state;
}

bool UnitState::is_in_charge() const {
  return active == "active" || active == "activating" || active == "reloading" || active == "deactivating";
}

bool UnitState::comes_back_after_reboot() const {
  // "enabled-runtime" ends with the reboot, and an alias or an indirect unit is enabled by another name.
  return file_state == "enabled" || file_state == "static" || file_state == "alias" ||
         file_state == "indirect" || file_state == "generated";
}

Result<UnitState> read_unit_state(const std::string& unit, const env::Wait& wait) {
  const auto shown =
      TRY(env::run_command({.argv = {systemctl(), "show", "-p",
                                     "Type,ActiveState,UnitFileState,Result,TimeoutStartUSec", "--", unit},
                            .set_env = {{"LC_ALL", "C"}}},
                           wait));
  if (shown.exit_code == 0) return parse_unit_state(shown.output);
  return Error(ErrorCode::kServerControl, fmt::format("systemctl show {} failed", unit),
               shown.errors.substr(0, shown.errors.find('\n')));
}

bool unit_is_in_charge(const std::string& unit, const env::Wait& wait) {
  const auto state = read_unit_state(unit, wait);
  return state && state->is_in_charge();
}

std::vector<std::string> systemctl_arguments(UnitAction action, const std::string& unit) {
  return {std::string(word_of(action)), "--", unit};
}

namespace {

Result<void> run_verb(const std::string& verb, const std::string& unit, const env::Wait& wait) {
  const env::Command command{.argv = {systemctl(), verb, "--", unit}, .set_env = {{"LC_ALL", "C"}}};
  const auto result = TRY(env::run_command(command, wait));
  if (result.exit_code == 0) return base::ok();
  const std::string said = result.errors.substr(0, std::min<std::size_t>(result.errors.find('\n'), 300));
  return Error(ErrorCode::kServerControl, fmt::format("systemctl {} {} failed: {}", verb, unit, said),
               fmt::format("See journalctl -u {}.", unit));
}

}  // namespace

Result<void> run_systemctl(UnitAction action, const std::string& unit, const env::Wait& wait) {
  return run_verb(systemctl_arguments(action, unit).front(), unit, wait);
}

Result<void> enable_unit(const std::string& unit, const env::Wait& wait) {
  return run_verb("enable", unit, wait);
}

}  // namespace standfast::server

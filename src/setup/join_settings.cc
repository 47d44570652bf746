#include "setup/join_settings.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace standfast::setup {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

constexpr auto kOfThePrimary = std::to_array<std::string_view>(
    {"listen_addresses", "port", "unix_socket_directories", "unix_socket_group", "unix_socket_permissions",
     "external_pid_file", "cluster_name", "bonjour_name", "archive_mode", "archive_command",
     "archive_library",

     "recovery_end_command", "recovery_min_apply_delay", "synchronous_standby_names",
     "synchronized_standby_slots"});

std::vector<std::string> split_list(std::string_view value) {
  std::vector<std::string> parts;
  std::string part;
  bool quoted = false;
  const auto finish = [&] {
    const auto first = part.find_first_not_of(" \t\n\r");
    if (first != std::string::npos)
      parts.push_back(part.substr(first, part.find_last_not_of(" \t\n\r") - first + 1));
    part.clear();
  };
  for (const char c : value) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      finish();
    } else {
      part.push_back(c);
    }
  }
  finish();
  return parts;
}

}  // namespace

bool belongs_to_the_primary(std::string_view name) {
  const std::string folded = lower(name);
  return folded.starts_with("recovery_target") ||
         std::find(kOfThePrimary.begin(), kOfThePrimary.end(), folded) != kOfThePrimary.end();
}

std::vector<std::string> take_out_what_belongs_to_the_primary(pg::ConfFile& conf) {
  std::vector<std::string> names;
  for (const pg::ConfEntry& entry : conf.entries()) {
    const std::string name = lower(entry.name);
    if (entry.kind == pg::ConfEntryKind::kSetting && belongs_to_the_primary(name) &&
        std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  }
  for (const std::string& name : names) conf.remove(name);
  return names;
}

std::vector<TooLow> settings_below_primary(const SettingValues& standby, const SettingValues& primary) {
  std::vector<TooLow> found;
  for (const std::string_view name : kNotBelowPrimary) {
    const auto here = standby.find(name);
    const auto there = primary.find(name);
    if (here == standby.end() || there == primary.end() || here->second >= there->second) continue;
    found.push_back({std::string(name), here->second, there->second});
  }
  return found;
}

std::vector<std::string> split_preload_libraries(std::string_view value) {
  return split_list(value);
}

std::vector<std::string> split_listen_addresses(std::string_view value) {
  return split_list(value);
}

}  // namespace standfast::setup

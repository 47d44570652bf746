#include "clone/places.h"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "env/file_system.h"

namespace standfast::clone {
namespace {

constexpr std::string_view kStagingSuffix = ".standfast-staging";
constexpr std::string_view kJournalSuffix = ".standfast-clone.json";
constexpr std::string_view kOldSuffix = ".standfast-old-";
constexpr std::string_view kInnerNewSuffix = "/.standfast/new";
constexpr std::string_view kInnerOldSuffix = "/.standfast/old-";

}  // namespace

std::string inner_folder_of(const std::string& folder) {
  return fmt::format("{}/{}", folder, kInnerName);
}

std::string inner_new_of(const std::string& folder) {
  return fmt::format("{}{}", folder, kInnerNewSuffix);
}

std::string inner_old_of(const std::string& folder, const std::string& time) {
  return fmt::format("{}{}{}", folder, kInnerOldSuffix, time);
}

std::string staging_path_of(const std::string& target, Placing placing) {
  return placing == Placing::kInside ? inner_new_of(target) : fmt::format("{}{}", target, kStagingSuffix);
}

std::string journal_path_of(const std::string& target, Placing placing) {
  return placing == Placing::kInside ? inner_folder_of(target) + "/clone.json"
                                     : fmt::format("{}{}", target, kJournalSuffix);
}

std::string lock_path_of(const std::string& target, Placing placing) {
  return placing == Placing::kInside ? inner_folder_of(target) + "/lock"
                                     : fmt::format("{}.standfast-lock", target);
}

std::string old_path_of(const std::string& target, Placing placing, const std::string& time) {
  return placing == Placing::kInside ? inner_old_of(target, time)
                                     : fmt::format("{}{}{}", target, kOldSuffix, time);
}

bool is_staging_path(const std::string& path) {
  return path.starts_with('/') && path.find('\0') == std::string::npos && path == env::absolute_path(path) &&
         (path.ends_with(kStagingSuffix) || path.ends_with(kInnerNewSuffix));
}

bool is_old_path_of(const std::string& target, const std::string& path) {
  for (const Placing placing : {Placing::kBeside, Placing::kInside}) {
    const std::string prefix = old_path_of(target, placing, "");
    if (path.starts_with(prefix) && is_entry_name(path.substr(prefix.size()))) return true;
  }
  return false;
}

bool is_entry_name(std::string_view name) {
  // The system's calls would take a zero byte for its end.
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

std::string time_for_name() {
  return fmt::format("{:%Y%m%dT%H%M%S}", fmt::gmtime(std::time(nullptr)));
}

std::string describe_time_in_name(const std::string& time) {
  constexpr std::string_view kForm = "00000000T000000";
  const auto fits = [](char digit, char form) {
    return form == '0' ? digit >= '0' && digit <= '9' : digit == form;
  };
  if (time.size() != kForm.size() || !std::equal(time.begin(), time.end(), kForm.begin(), fits)) return time;
  const std::string_view text = time;
  return fmt::format("{}-{}-{} {}:{}:{} UTC", text.substr(0, 4), text.substr(4, 2), text.substr(6, 2),
                     text.substr(9, 2), text.substr(11, 2), text.substr(13, 2));
}

}  // namespace standfast::clone

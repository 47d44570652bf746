#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "base/number.h"
#include "base/time.h"
#include "pg/format/conf_file.h"
#include "setup/join_settings.h"
#include "setup/primary_plan_parts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Each standby streams over one, and another is taken while a base backup is made.
constexpr int kWalSendersPerStandby = 2;
/// PostgreSQL's own default for senders and slots: who has to raise them, raises them to that at least.
constexpr int kUsualSenders = 10;
constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20U;
/// pg_settings.source of what `postgres -c` set.
constexpr std::string_view kCommandLine = "command line";

/// A value as a sentence shows it.
std::string shown(const std::string& name, const std::string& value) {
  if (name == "max_slot_wal_keep_size" && value == "-1") return "unlimited";
  return value.empty() ? "''" : value;
}

class SettingsPlanner {
 public:
  SettingsPlanner(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan)
      : state_(state), wish_(wish), plan_(plan) {}

  Result<void> run() {
    TRY(plan_listen_addresses());
    TRY(require("wal_level", "replica", "a standby needs the WAL that \"minimal\" leaves out",
                [](const std::string& value) { return value != "minimal"; }));
    TRY(plan_numbers());
    TRY(require("hot_standby", "on", "the standby gets this setting with the copy, and answers queries by it",
                [](const std::string& value) { return value == "on"; }));
    TRY(plan_slot_bound());
    return refuse_what_alter_system_cannot_do();
  }

 private:
  using Fits = std::function<bool(const std::string&)>;

  Result<void> require(const std::string& name, const std::string& wanted, const std::string& reason,
                       const Fits& fits) {
    const auto found = state_.settings.find(name);
    CHECK(found != state_.settings.end());
    const SettingState& setting = found->second;
    const bool change = !fits(setting.configured);
    if (change) {
      plan_.settings.push_back({name, setting.configured, wanted, reason, setting.only_at_start});
      plan_.changes.push_back({ChangeKind::kSetting, "1.1",
                               fmt::format("{}: {} -> {}", name, shown(name, setting.configured), wanted),
                               reason});
    }
    if (setting.only_at_start && !fits(setting.value)) plan_.restart_for.push_back(name);
    return base::ok();
  }

  Result<void> plan_listen_addresses() {
    std::vector<std::string> wanted;
    std::vector<std::string> routes;
    for (const auto& member : plan_.members) {
      if (!member.source_address) continue;
      wanted.push_back(*member.source_address);
      routes.push_back(shown_address(member.address_cidr) + " connects to " + *member.source_address);
    }
    const auto fits = [&](const std::string& list) {
      return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& address) {
        return admits(list, address, state_.resolved_names);
      });
    };
    if (!fits(wish_.listen_addresses)) {
      return Error(ErrorCode::kUsage,
                   fmt::format("--listen {} leaves out an address that a standby connects to: {}",
                               wish_.listen_addresses, fmt::join(routes, ", ")),
                   "Add that address, or leave --listen out to listen on all.");
    }
    return require("listen_addresses", wish_.listen_addresses, fmt::format("{}", fmt::join(routes, ", ")),
                   fits);
  }

  Result<void> plan_numbers() {
    const int standbys = static_cast<int>(plan_.members.size());
    const int foreign_slots =
        static_cast<int>(std::count_if(state_.slots.begin(), state_.slots.end(), [&](const auto& slot) {
          return std::none_of(plan_.members.begin(), plan_.members.end(),
                              [&](const auto& member) { return member.slot == slot.first; });
        }));
    const int senders = state_.foreign_wal_senders + kWalSendersPerStandby * standbys;
    const int slots = foreign_slots + standbys;
    const auto at_least = [](int least) {
      return
          [least](const std::string& value) { return base::parse_number<int>(value).value_or(0) >= least; };
    };
    TRY(require(
        "max_wal_senders", std::to_string(std::max(senders, kUsualSenders)),
        fmt::format("{} needed: {} in use by others, {} for each standby (to stream, and for its base "
                    "backup)",
                    senders, state_.foreign_wal_senders, kWalSendersPerStandby),
        at_least(senders)));
    return require("max_replication_slots", std::to_string(std::max(slots, kUsualSenders)),
                   fmt::format("{} needed: {} of others, one for each standby", slots, foreign_slots),
                   at_least(slots));
  }

  Result<void> plan_slot_bound() {
    if (!state_.server.version.has_max_slot_wal_keep_size()) {
      plan_.notes.push_back(
          {fmt::format("nothing bounds the WAL that a slot holds back on PostgreSQL {}: a standby that stays "
                       "away fills the disk",
                       state_.server.version.major()),
           "Watch it with \"standfast status\", and drop the slot of a standby that does not come back."});
      return base::ok();
    }
    const auto& setting = state_.settings.find("max_slot_wal_keep_size")->second;
    if (setting.configured != "-1") return base::ok();
    if (setting.source == kCommandLine) {
      plan_.notes.push_back(
          {"max_slot_wal_keep_size stays unlimited, by the server's command line: a standby "
           "that stays away fills the disk",
           "Watch it with \"standfast status\"."});
      return base::ok();
    }
    const std::uint64_t bound_mb = slot_wal_bound_mb(state_.wal_disk_free_bytes);
    for (const auto& [name, slot] : state_.slots) {
      if (slot.is_lost || slot.retained_bytes <= bound_mb * kMegabyte) continue;
      plan_.notes.push_back(
          {fmt::format("max_slot_wal_keep_size stays unlimited: slot \"{}\" already holds back {}, and the "
                       "figure for this disk would be {} MB",
                       name, base::format_bytes(slot.retained_bytes), bound_mb),
           "Bring that slot's client up to date or drop the slot, then run this again."});
      return base::ok();
    }
    return require("max_slot_wal_keep_size", fmt::format("{}MB", bound_mb),
                   fmt::format("what a standby that stays away may cost: half of the {} that are free on the "
                               "disk of {}, at least 1 GiB",
                               base::format_bytes(state_.wal_disk_free_bytes), state_.wal_directory),
                   [](const std::string&) { return false; });
  }

  Result<void> refuse_what_alter_system_cannot_do() const {
    std::vector<std::string> names;
    std::vector<std::string> arguments;
    for (const auto& change : plan_.settings) {
      const SettingState& setting = state_.settings.find(change.name)->second;
      if (setting.source != kCommandLine) continue;
      names.push_back(fmt::format("{} is {}", change.name, shown(change.name, setting.value)));
      arguments.push_back(fmt::format("-c {}={}", change.name, change.to));
    }
    if (!names.empty()) {
      const std::string first = names.front();
      names.erase(names.begin());
      return Error(ErrorCode::kPrecondition,
                   fmt::format("{} by the command line the server was started with{}, which nothing in its "
                               "configuration files overrides",
                               first, names.empty() ? "" : fmt::format(" (and {})", fmt::join(names, ", "))),
                   fmt::format("Take that out of the command line, or say there {}; restart the server, and "
                               "run this again. Nothing was changed.",
                               fmt::join(arguments, " ")));
    }
    if (!state_.alter_system_obstacle || plan_.settings.empty()) return base::ok();
    return Error(ErrorCode::kPrecondition, "settings have to change, and " + *state_.alter_system_obstacle,
                 "Nothing was changed. " + lines_to_set(state_, plan_.settings));
  }

  const PrimaryState& state_;
  const PrimaryWish& wish_;
  PrimaryPlan& plan_;
};

/// Whether one entry of listen_addresses takes connections to `address`.
bool entry_admits(const std::string& entry, const pg::StandbyAddress& address) {
  const bool is_ipv6 = address.cidr.find(':') != std::string::npos;
  if (entry == "*") return true;
  if (entry == "0.0.0.0") return !is_ipv6;
  if (entry == "::") return is_ipv6;
  if (entry == "localhost") return address.cidr == "127.0.0.1/32" || address.cidr == "::1/128";
  const auto parsed = pg::parse_standby_address(entry);
  return parsed && parsed->cidr == address.cidr;
}

}  // namespace

bool admits(std::string_view listen_addresses, std::string_view address,
            const std::map<std::string, std::vector<std::string>, std::less<>>& resolved_names) {
  const auto wanted = pg::parse_standby_address(address);
  if (!wanted) return false;
  const auto entries = split_listen_addresses(listen_addresses);
  return std::any_of(entries.begin(), entries.end(), [&](const std::string& entry) {
    if (entry_admits(entry, *wanted)) return true;
    const auto resolved = resolved_names.find(entry);
    return resolved != resolved_names.end() &&
           std::any_of(resolved->second.begin(), resolved->second.end(),
                       [&](const std::string& one) { return entry_admits(one, *wanted); });
  });
}

std::uint64_t slot_wal_bound_mb(std::uint64_t free_bytes) {
  constexpr std::uint64_t kLeastMb = 1024;
  return std::max(free_bytes / 2 / kMegabyte, kLeastMb);
}

std::string lines_to_set(const PrimaryState& state, std::span<const SettingChange> changes) {
  std::string text = "Set this where the configuration is kept, reload the server, then run this again:";
  for (const SettingChange& change : changes) {
    const auto& line = state.settings.find(change.name)->second.line;
    const std::string where = line ? fmt::format("\"{}\", in place of line {}", line->file, line->line_number)
                                   : fmt::format("\"{}\", at the end", state.configuration_file);
    text += fmt::format("\n    {}:  {} = {}", where, change.name, pg::quote_conf_value(change.to));
  }
  return text;
}

Result<void> plan_settings(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  return SettingsPlanner(state, wish, plan).run();
}

}  // namespace standfast::setup

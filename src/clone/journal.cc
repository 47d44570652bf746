#include "clone/journal.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "env/process.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kFormat = 1;
constexpr std::uint64_t kMaxJournalBytes = std::uint64_t{1} << 20U;
constexpr std::string_view kJournalSuffix = ".standfast-clone.json";
constexpr std::string_view kStagingSuffix = ".standfast-staging";

/// Field 22 of /proc/PID/stat. The name of the program, field 2, may hold blanks and brackets.
std::string start_of_process(env::FileSystem& files, pid_t process) {
  constexpr std::uint64_t kMaxStatBytes = 64U << 10U;
  const auto text = env::read_whole_file(files, fmt::format("/proc/{}/stat", process), kMaxStatBytes);
  if (!text) return "";
  std::size_t at = text->rfind(')');
  constexpr int kBlanksBeforeStart = 20;
  for (int i = 0; i < kBlanksBeforeStart && at != std::string::npos; ++i) at = text->find(' ', at + 1);
  if (at == std::string::npos) return "";
  return text->substr(at + 1, text->find(' ', at + 1) - at - 1);
}

bool is_alive(env::FileSystem& files, const Journal& journal) {
  return journal.process != getpid() && env::process_exists(journal.process) &&
         start_of_process(files, journal.process) == journal.process_start;
}

bool is_entry_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

/// No value: it names something that a clone cannot have renamed.
std::optional<JournalPlacement> parse_placement(const nlohmann::json& json, const Journal& journal,
                                                const std::string& target) {
  JournalPlacement placement;
  placement.target_was_empty = json.at("target_was_empty").get<bool>();
  if (json.contains("aside")) {
    placement.aside = json.at("aside").get<std::string>();
    const std::string prefix = aside_prefix_of(target);
    if (!placement.aside->starts_with(prefix) || !is_entry_name(placement.aside->substr(prefix.size())))
      return std::nullopt;
  }
  for (const auto& item : json.at("entries")) {
    JournalPlacement::Entries entries{item.at("folder").get<std::string>(),
                                      item.at("names").get<std::vector<std::string>>()};
    if (std::ranges::count(journal.folders, entries.folder) == 0 ||
        env::base_name_of(entries.folder) != kInnerStagingName ||
        !std::ranges::all_of(entries.names, is_entry_name))
      return std::nullopt;
    placement.entries.push_back(std::move(entries));
  }
  return placement;
}

nlohmann::ordered_json as_json(const JournalPlacement& placement) {
  nlohmann::ordered_json json;
  if (placement.aside) json["aside"] = *placement.aside;
  json["target_was_empty"] = placement.target_was_empty;
  json["entries"] = nlohmann::ordered_json::array();
  for (const JournalPlacement::Entries& entries : placement.entries)
    json["entries"].push_back({{"folder", entries.folder}, {"names", entries.names}});
  return json;
}

std::string as_text(const Journal& journal) {
  nlohmann::ordered_json json;
  json["format"] = kFormat;
  json["process"] = journal.process;
  json["process_start"] = journal.process_start;
  json["folders"] = journal.folders;
  if (journal.slot) {
    json["slot"] = {{"name", journal.slot->name}, {"system_id", journal.slot->system_id.to_string()}};
  }
  if (journal.kept) json["kept"] = true;
  if (journal.placement) json["placement"] = as_json(*journal.placement);
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<Journal> parse(const std::string& text, const std::string& path, const std::string& target) {
  const Error malformed(
      ErrorCode::kProtocol, fmt::format("the journal \"{}\" is not understood", path),
      "It was written by an earlier clone into this directory. Remove it, and what else that "
      "clone left beside the directory, by hand.");
  try {
    const auto json = nlohmann::json::parse(text);
    if (json.at("format").get<int>() != kFormat) return malformed;
    Journal journal;
    journal.process = json.at("process").get<pid_t>();
    journal.process_start = json.at("process_start").get<std::string>();
    journal.folders = json.at("folders").get<std::vector<std::string>>();
    for (const std::string& folder : journal.folders) {
      if (!is_staging_path(folder)) return malformed;
    }
    if (json.contains("slot")) {
      const auto system_id = pg::SystemId::parse(json.at("slot").at("system_id").get<std::string>());
      if (!system_id) return malformed;
      journal.slot = JournalSlot{json.at("slot").at("name").get<std::string>(), *system_id};
    }
    journal.kept = json.value("kept", false);
    if (json.contains("placement")) {
      journal.placement = parse_placement(json.at("placement"), journal, target);
      if (!journal.placement) return malformed;
    }
    return journal;
  } catch (const nlohmann::json::exception&) {
    return malformed;
  }
}

}  // namespace

std::string journal_path_of(const std::string& target) {
  return target + std::string(kJournalSuffix);
}

std::string staging_path_of(const std::string& target) {
  return target + std::string(kStagingSuffix);
}

bool is_staging_path(const std::string& path) {
  return path.starts_with('/') && path == env::absolute_path(path) &&
         (path.ends_with(kStagingSuffix) || env::base_name_of(path) == kInnerStagingName);
}

std::string aside_prefix_of(const std::string& target) {
  return target + ".standfast-old-";
}

Result<Journal> new_journal(env::FileSystem& files) {
  Journal journal;
  journal.process = getpid();
  journal.process_start = start_of_process(files, journal.process);
  return journal;
}

Result<void> create_journal(env::FileSystem& files, const std::string& target, const Journal& journal) {
  const std::string path = journal_path_of(target);
  // Whole from the beginning: a run that is killed here must not leave half a journal.
  const std::string own = fmt::format("{}.{}", path, journal.process);
  TRY(env::write_file_durably(files, own, as_text(journal), {.mode = 0600}));
  auto created = files.rename_no_replace(own, path);
  if (created) return files.sync_directory(env::parent_of(path));
  static_cast<void>(files.remove_file(own));
  if (!TRY(files.inspect(path))) return created;
  return Error(ErrorCode::kInUse, fmt::format("another clone into \"{}\" has just begun", target),
               "Wait for it, or end it.");
}

Result<void> write_journal(env::FileSystem& files, const std::string& target, const Journal& journal) {
  return env::write_file_durably(files, journal_path_of(target), as_text(journal), {.mode = 0600});
}

Result<void> remove_journal(env::FileSystem& files, const std::string& target) {
  const std::string path = journal_path_of(target);
  if (!TRY(files.inspect(path))) return base::ok();
  TRY(files.remove_file(path));
  // What a run left that was killed while it wrote.
  if (TRY(files.inspect(path + ".standfast-tmp"))) TRY(files.remove_file(path + ".standfast-tmp"));
  return files.sync_directory(env::parent_of(path));
}

Result<std::optional<Journal>> read_stale_journal(env::FileSystem& files, const std::string& target) {
  const std::string path = journal_path_of(target);
  const auto info = TRY(files.inspect(path));
  if (!info) return std::optional<Journal>();
  // Whoever can write this file decides which folders are removed.
  if (info->kind != env::FileKind::kRegular || info->owner != env::effective_user()) {
    return Error(ErrorCode::kPermission, fmt::format("the journal \"{}\" belongs to another user", path),
                 "Find out who put it there, and remove it by hand.");
  }
  Journal journal = TRY(parse(TRY(env::read_whole_file(files, path, kMaxJournalBytes)), path, target));
  if (is_alive(files, journal)) {
    return Error(ErrorCode::kInUse,
                 fmt::format("another clone into \"{}\" is running, process {}", target, journal.process),
                 "Wait for it, or end it.");
  }
  return std::optional(std::move(journal));
}

}  // namespace standfast::clone

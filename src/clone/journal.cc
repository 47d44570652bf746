#include "clone/journal.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "env/process.h"
#include "pg/format/sql_text.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kFormat = 2;
constexpr std::string_view kNew = ".new";
constexpr std::uint64_t kMaxJournalBytes = std::uint64_t{16} << 20U;  // a large pg_wal is listed by name

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

bool is_plain_path(const std::string& path) {
  return path.starts_with('/') && path.size() > 1 && path.find('\0') == std::string::npos &&
         path == env::absolute_path(path);
}

/// No value: something else than a whole number, or a larger one.
template <typename Number>
std::optional<Number> number_in(const nlohmann::json& json, Number max) {
  if (!json.is_number_unsigned() || json.get<std::uint64_t>() > static_cast<std::uint64_t>(max))
    return std::nullopt;
  return json.get<Number>();
}

std::optional<SwapRoot> parse_root(const nlohmann::json& json, const Journal& journal) {
  SwapRoot root{json.at("folder").get<std::string>(), json.at("old_entry").get<std::string>(),
                json.at("outgoing").get<std::vector<std::string>>(),
                json.at("incoming").get<std::vector<std::string>>()};
  const std::string_view entry = root.old_entry;
  constexpr std::string_view kTablespace = "pg_tblspc/";
  const std::string_view name = entry.starts_with(kTablespace) ? entry.substr(kTablespace.size()) : entry;
  if (std::ranges::count(journal.folders, inner_new_of(root.folder)) == 0 ||
      !(entry.empty() || is_entry_name(name)) || !std::ranges::all_of(root.outgoing, is_entry_name) ||
      !std::ranges::all_of(root.incoming, is_entry_name))
    return std::nullopt;
  return root;
}

/// No value: it names something that a clone cannot have renamed.
std::optional<JournalPlacement> parse_placement(const nlohmann::json& json, const Journal& journal) {
  JournalPlacement placement;
  placement.time = json.at("time").get<std::string>();
  placement.has_old = json.at("has_old").get<bool>();
  placement.target_was_empty = json.at("target_was_empty").get<bool>();
  if (json.contains("mode_before")) {
    placement.mode_before = number_in<mode_t>(json.at("mode_before"), 07777);
    if (!placement.mode_before) return std::nullopt;
  }
  if (!is_entry_name(placement.time)) return std::nullopt;
  for (const auto& item : json.at("roots")) {
    auto root = parse_root(item, journal);
    if (!root) return std::nullopt;
    placement.roots.push_back(*std::move(root));
  }
  return placement;
}

std::optional<JournalOld> parse_old(const nlohmann::json& json, const std::string& target) {
  JournalOld old{json.at("path").get<std::string>(), json.at("move_to").get<std::string>(),
                 json.at("copied").get<bool>()};
  if (!is_old_path_of(target, old.path) || !is_plain_path(old.move_to)) return std::nullopt;
  return old;
}

std::optional<JournalCopy> parse_copy(const nlohmann::json& json) {
  const auto system_id = pg::SystemId::parse(json.at("system_id").get<std::string>());
  if (!system_id) return std::nullopt;
  JournalCopy copy;
  copy.system_id = *system_id;
  copy.begun = json.at("begun").get<std::string>();
  if (json.contains("wal_directory")) copy.wal_directory = json.at("wal_directory").get<std::string>();
  if (json.contains("source")) copy.source = json.at("source").get<std::string>();
  if (json.contains("slot")) copy.slot = json.at("slot").get<std::string>();
  if (copy.slot && !pg::valid_slot_name(*copy.slot)) return std::nullopt;
  if (json.contains("login_files")) copy.login_files = json.at("login_files").get<std::vector<std::string>>();
  const bool is_sound = is_entry_name(copy.begun) &&
                        (!copy.wal_directory || is_plain_path(*copy.wal_directory)) &&
                        std::ranges::all_of(copy.login_files, [&](const std::string& name) {
                          return copy.slot && is_entry_name(name) && name.starts_with(*copy.slot + ".");
                        });
  return is_sound ? std::optional(std::move(copy)) : std::nullopt;
}

nlohmann::ordered_json as_json(const JournalPlacement& placement) {
  nlohmann::ordered_json json = {{"time", placement.time},
                                 {"has_old", placement.has_old},
                                 {"target_was_empty", placement.target_was_empty}};
  if (placement.mode_before) json["mode_before"] = *placement.mode_before;
  json["roots"] = nlohmann::ordered_json::array();
  for (const SwapRoot& root : placement.roots) {
    json["roots"].push_back({{"folder", root.folder},
                             {"old_entry", root.old_entry},
                             {"outgoing", root.outgoing},
                             {"incoming", root.incoming}});
  }
  return json;
}

}  // namespace

std::string text_of(const Journal& journal) {
  nlohmann::ordered_json json;
  json["format"] = kFormat;
  json["process"] = journal.process;
  json["process_start"] = journal.process_start;
  json["folders"] = journal.folders;
  if (journal.slot) {
    json["slot"] = {{"name", journal.slot->name}, {"system_id", journal.slot->system_id.to_string()}};
    if (journal.slot->conninfo) json["slot"]["conninfo"] = *journal.slot->conninfo;
  }
  if (journal.copy) {
    json["copy"] = {{"system_id", journal.copy->system_id.to_string()}, {"begun", journal.copy->begun}};
    if (journal.copy->wal_directory) json["copy"]["wal_directory"] = *journal.copy->wal_directory;
    if (journal.copy->source) json["copy"]["source"] = *journal.copy->source;
    if (journal.copy->slot) json["copy"]["slot"] = *journal.copy->slot;
    if (!journal.copy->login_files.empty()) json["copy"]["login_files"] = journal.copy->login_files;
  }
  if (journal.kept) json["kept"] = true;
  if (journal.placement) json["placement"] = as_json(*journal.placement);
  if (journal.move_old_to) json["move_old_to"] = *journal.move_old_to;
  if (journal.old) {
    json["old"] = {
        {"path", journal.old->path}, {"move_to", journal.old->move_to}, {"copied", journal.old->copied}};
  }
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<Journal> parse_journal(const std::string& text, const std::string& target, Placing placing) {
  const std::string path = journal_path_of(target, placing);
  const Error malformed(
      ErrorCode::kProtocol, fmt::format("the journal \"{}\" is not understood", path),
      "It was written by an earlier clone into this directory. Remove it, and what else that "
      "clone left beside the directory, by hand.");
  try {
    const auto json = nlohmann::json::parse(text);
    if (json.at("format") != kFormat) return malformed;
    const auto process = number_in<pid_t>(json.at("process"), std::numeric_limits<pid_t>::max());
    if (!process) return malformed;
    Journal journal;
    journal.placing = placing;
    journal.process = *process;
    journal.process_start = json.at("process_start").get<std::string>();
    journal.folders = json.at("folders").get<std::vector<std::string>>();
    for (const std::string& folder : journal.folders) {
      if (!is_staging_path(folder)) return malformed;
    }
    if (json.contains("slot")) {
      const auto system_id = pg::SystemId::parse(json.at("slot").at("system_id").get<std::string>());
      if (!system_id) return malformed;
      journal.slot = JournalSlot{json.at("slot").at("name").get<std::string>(), *system_id};
      if (!pg::valid_slot_name(journal.slot->name)) return malformed;
      if (json.at("slot").contains("conninfo"))
        journal.slot->conninfo = json.at("slot").at("conninfo").get<std::string>();
    }
    if (json.contains("copy")) {
      journal.copy = parse_copy(json.at("copy"));
      if (!journal.copy) return malformed;
    }
    journal.kept = json.value("kept", false);
    if (json.contains("placement")) {
      journal.placement = parse_placement(json.at("placement"), journal);
      if (!journal.placement) return malformed;
    }
    if (json.contains("move_old_to")) {
      journal.move_old_to = json.at("move_old_to").get<std::string>();
      if (!is_plain_path(*journal.move_old_to)) return malformed;
    }
    if (json.contains("old")) {
      journal.old = parse_old(json.at("old"), target);
      if (!journal.old) return malformed;
    }
    return journal;
  } catch (const nlohmann::json::exception&) {
    return malformed;
  }
}

Result<Journal> new_journal(env::FileSystem& files, Placing placing) {
  Journal journal;
  journal.placing = placing;
  journal.process = getpid();
  journal.process_start = start_of_process(files, journal.process);
  return journal;
}

Result<void> create_journal(env::FileSystem& files, const std::string& target, const Journal& journal) {
  const std::string path = journal_path_of(target, journal.placing);
  // Whole from the beginning: a run that is killed here must not leave half a journal. What it leaves is
  // written over by the next: only who has the claim comes here.
  const std::string own = path + std::string(kNew);
  TRY(env::write_file_durably(files, own, text_of(journal), {.mode = 0600}));
  auto created = files.rename_no_replace(own, path);
  if (created) return files.sync_directory(env::parent_of(path));
  static_cast<void>(files.remove_file(own));
  if (!TRY(files.inspect(path))) return created;
  return Error(ErrorCode::kInUse, fmt::format("another clone into \"{}\" has just begun", target),
               "Wait for it, or end it.");
}

Result<void> write_journal(env::FileSystem& files, const std::string& target, const Journal& journal) {
  return env::write_file_durably(files, journal_path_of(target, journal.placing), text_of(journal),
                                 {.mode = 0600});
}

Result<void> remove_journal(env::FileSystem& files, const std::string& target, const Journal& journal) {
  const std::string path = journal_path_of(target, journal.placing);
  const std::string begun = path + std::string(kNew);
  bool was_there = false;
  // Besides itself what a run left that was killed while it wrote.
  for (const std::string& each : {path, path + ".standfast-tmp", begun, begun + ".standfast-tmp"}) {
    if (!TRY(files.inspect(each))) continue;
    TRY(files.remove_file(each));
    was_there = true;
  }
  if (!was_there) return base::ok();
  TRY(files.sync_directory(env::parent_of(path)));
  // Its folder goes with the last thing in it.
  if (journal.placing == Placing::kInside) static_cast<void>(files.remove_directory(inner_folder_of(target)));
  return base::ok();
}

bool is_at_work(env::FileSystem& files, const Journal& journal) {
  return journal.process != getpid() && env::process_exists(journal.process) &&
         start_of_process(files, journal.process) == journal.process_start;
}

Result<std::optional<Journal>> read_journal(env::FileSystem& files, const std::string& target) {
  for (const Placing placing : {Placing::kInside, Placing::kBeside}) {
    const std::string path = journal_path_of(target, placing);
    const auto info = TRY(files.inspect(path));
    if (!info) continue;
    // Whoever can write this file decides which folders are removed.
    if (info->kind != env::FileKind::kRegular || info->owner != env::effective_user()) {
      return Error(ErrorCode::kPermission, fmt::format("the journal \"{}\" belongs to another user", path),
                   "Find out who put it there, and remove it by hand.");
    }
    const std::string text = TRY(env::read_whole_file(files, path, kMaxJournalBytes));
    return std::optional(TRY(parse_journal(text, target, placing)));
  }
  return std::optional<Journal>();
}

Result<std::optional<Journal>> read_stale_journal(env::FileSystem& files, const std::string& target) {
  auto journal = TRY(read_journal(files, target));
  if (!journal || !is_at_work(files, *journal)) return journal;
  return Error(ErrorCode::kInUse,
               fmt::format("another clone into \"{}\" is running, process {}", target, journal->process),
               "Wait for it, or end it.");
}

}  // namespace standfast::clone

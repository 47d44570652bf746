#include "clone/rejoin_journal.h"

#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/number.h"
#include "clone/inner_folder.h"
#include "clone/places.h"
#include "env/process.h"
#include "pg/format/sql_text.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr int kFormat = 1;
constexpr std::uint64_t kMaxJournalBytes = std::uint64_t{8} << 20U;

bool is_plain_path(const std::string& path) {
  return path.starts_with('/') && path.size() > 1 && path.find('\0') == std::string::npos &&
         path == env::absolute_path(path);
}

/// No value: it says something that no rejoin writes.
std::optional<RejoinJournal> parse(const nlohmann::json& json) {
  if (json.at("format") != kFormat) return std::nullopt;
  RejoinJournal journal;
  const auto system_id = pg::SystemId::parse(json.at("system_id").get<std::string>());
  if (!system_id) return std::nullopt;
  journal.system_id = *system_id;
  journal.time = json.at("time").get<std::string>();
  journal.wal_folder = json.at("wal_folder").get<std::string>();
  journal.wal_is_out = json.at("wal_is_out").get<bool>();
  if (!is_entry_name(journal.time) || !is_plain_path(journal.wal_folder)) return std::nullopt;
  for (const auto& [name, place] : json.at("tablespaces").items()) {
    const auto oid = base::parse_number<std::uint32_t>(name);
    const auto folder = place.get<std::string>();
    if (!oid || *oid == 0 || !is_plain_path(folder)) return std::nullopt;
    journal.tablespaces[*oid] = folder;
  }
  if (json.contains("created_slot")) {
    journal.created_slot = json.at("created_slot").get<std::string>();
    if (!pg::valid_slot_name(*journal.created_slot)) return std::nullopt;
  }
  if (json.contains("source")) journal.source = json.at("source").get<std::string>();
  if (json.contains("slot")) journal.slot = json.at("slot").get<std::string>();
  if (journal.slot && !pg::valid_slot_name(*journal.slot)) return std::nullopt;
  return journal;
}

}  // namespace

std::string rejoin_journal_path(const std::string& data_folder) {
  return inner_folder_of(data_folder) + "/rejoin.json";
}

std::string text_of(const RejoinJournal& journal) {
  nlohmann::ordered_json json = {{"format", kFormat},
                                 {"system_id", journal.system_id.to_string()},
                                 {"time", journal.time},
                                 {"wal_folder", journal.wal_folder},
                                 {"wal_is_out", journal.wal_is_out},
                                 {"tablespaces", nlohmann::ordered_json::object()}};
  for (const auto& [oid, place] : journal.tablespaces) json["tablespaces"][std::to_string(oid)] = place;
  if (journal.created_slot) json["created_slot"] = *journal.created_slot;
  if (journal.source) json["source"] = *journal.source;
  if (journal.slot) json["slot"] = *journal.slot;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<RejoinJournal> parse_rejoin_journal(const std::string& text) {
  std::optional<RejoinJournal> journal;
  try {
    journal = parse(nlohmann::json::parse(text));
  } catch (const nlohmann::json::exception&) {
    journal.reset();
  }
  if (journal) return *std::move(journal);
  return Error(ErrorCode::kProtocol, "the journal of a rejoin is not understood",
               "It is DIR/.standfast/rejoin.json. What an earlier rejoin took out of DIR is kept beside it; "
               "copy the source anew: standfast standby clone --replace.");
}

Result<std::optional<RejoinJournal>> read_rejoin_journal(env::FileSystem& files,
                                                         const std::string& data_folder) {
  const std::string path = rejoin_journal_path(data_folder);
  const auto info = TRY(files.inspect(path));
  if (!info) return std::optional<RejoinJournal>();
  // Whoever can write this file decides which folders are emptied.
  if (info->kind != env::FileKind::kRegular || info->owner != env::effective_user()) {
    return Error(ErrorCode::kPermission, fmt::format("the journal \"{}\" belongs to another user", path),
                 "Find out who put it there, and remove it by hand.");
  }
  return std::optional(TRY(parse_rejoin_journal(TRY(env::read_whole_file(files, path, kMaxJournalBytes)))));
}

Result<void> write_rejoin_journal(env::FileSystem& files, const std::string& data_folder,
                                  const RejoinJournal& journal) {
  return env::write_file_durably(files, rejoin_journal_path(data_folder), text_of(journal), {.mode = 0600});
}

Result<void> remove_rejoin_journal(env::FileSystem& files, const std::string& data_folder) {
  const std::string path = rejoin_journal_path(data_folder);
  if (TRY(files.inspect(path))) TRY(files.remove_file(path));
  TRY(files.sync_directory(inner_folder_of(data_folder)));
  remove_inner_folder(files, data_folder);
  return base::ok();
}

}  // namespace standfast::clone

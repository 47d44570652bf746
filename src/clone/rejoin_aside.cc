#include "clone/rejoin_aside.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "clone/inner_folder.h"
#include "clone/places.h"
#include "clone/target.h"
#include "pg/format/backup_files.h"
#include "pg/format/utf8.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::uint64_t kMaxControlFileBytes = std::uint64_t{64} << 10U;
/// Configuration, keys and their like; what is longer is none of these.
constexpr std::uint64_t kMaxKeptFileBytes = std::uint64_t{1} << 20U;
constexpr std::array<std::string_view, 4> kNotKept = {"PG_VERSION", "backup_manifest", "postmaster.opts",
                                                      "postmaster.pid"};
constexpr std::string_view kControlName = "pg_control";

std::string control_path(const std::string& data_folder) {
  return fmt::format("{}/{}", data_folder, pg::kControlFilePath);
}

std::string kept_control_path(const RejoinJournal& journal) {
  return fmt::format("{}/{}", kept_folder_of(journal), kControlName);
}

/// No value: it is not there.
Result<std::optional<std::string>> read_if_there(env::FileSystem& files, const std::string& path) {
  if (!TRY(files.inspect(path))) return std::optional<std::string>();
  return std::optional(TRY(env::read_whole_file(files, path, kMaxControlFileBytes)));
}

/// By renames, which stay on the folder's own file system.
Result<void> move_entries(env::FileSystem& files, const std::string& from, const std::string& to) {
  for (const std::string& name : TRY(entries_of(files, from)))
    TRY(files.rename_no_replace(fmt::format("{}/{}", from, name), fmt::format("{}/{}", to, name)));
  TRY(files.sync_directory(to));
  return files.sync_directory(from);
}

Result<void> remove_entries(env::FileSystem& files, const std::string& folder) {
  for (const std::string& name : TRY(entries_of(files, folder)))
    TRY(env::remove_tree(files, fmt::format("{}/{}", folder, name)));
  return files.sync_directory(folder);
}

Result<void> make_kept_folders(env::FileSystem& files, const RejoinJournal& journal) {
  TRY(make_inner_folder(files, journal.wal_folder));
  for (const std::string& folder : {kept_folder_of(journal), kept_wal_of(journal)}) {
    if (TRY(files.inspect(folder))) continue;
    TRY(files.make_directory(folder, 0700));
    TRY(files.sync_directory(env::parent_of(folder)));
  }
  return base::ok();
}

Result<void> keep_file(env::FileSystem& files, const std::string& path, const std::string& kept) {
  const auto info = TRY(files.inspect_following(path));
  if (!info || info->kind != env::FileKind::kRegular || info->size_bytes > kMaxKeptFileBytes)
    return base::ok();
  const std::string content = TRY(env::read_whole_file(files, path, kMaxKeptFileBytes));
  return env::write_file_durably(files, kept, content, {.mode = info->mode & 0700U});
}

/// What the source's own would take the place of, pg_control last.
Result<void> keep_files(env::FileSystem& files, const std::string& data_folder,
                        const RejoinJournal& journal) {
  const std::string kept = kept_folder_of(journal);
  for (const std::string& name : TRY(files.list(data_folder))) {
    bool is_kept = name != kInnerName;
    for (const std::string_view other : kNotKept) is_kept = is_kept && name != other;
    if (is_kept)
      TRY(keep_file(files, fmt::format("{}/{}", data_folder, name), fmt::format("{}/{}", kept, name)));
  }
  return keep_file(files, control_path(data_folder), kept_control_path(journal));
}

Result<void> remove_control_file(env::FileSystem& files, const std::string& data_folder) {
  const std::string control = control_path(data_folder);
  TRY(files.remove_file(control));
  return files.sync_directory(env::parent_of(control));
}

/// Files that Standfast itself has put beside others, such as an older pg_hba.conf: no copy touches them, so
/// they would stay as what nobody has listed.
Result<void> remove_our_kept_files(env::FileSystem& files, const std::string& data_folder,
                                   const RejoinJournal& journal) {
  for (const std::string& name : TRY(files.list(data_folder))) {
    const bool is_ours = name != kInnerName && name.find(kInnerName) != std::string::npos;
    if (is_ours && TRY(files.inspect(fmt::format("{}/{}", kept_folder_of(journal), name))))
      TRY(files.remove_file(fmt::format("{}/{}", data_folder, name)));
  }
  return files.sync_directory(data_folder);
}

Result<void> make_wal_folders(env::FileSystem& files, const std::string& wal_folder, const TreeModes& modes,
                              pg::Version version) {
  for (const std::string& path : pg::folders_of_pg_wal(version)) {
    const std::string place = fmt::format("{}/{}", wal_folder, env::base_name_of(path));
    if (!TRY(files.inspect(place))) TRY(files.make_directory(place, modes.directory));
  }
  return files.sync_directory(wal_folder);
}

Result<std::string> wal_folder_of(env::FileSystem& files, const std::string& data_folder) {
  const std::string path = data_folder + "/pg_wal";
  const auto info = TRY(files.inspect_following(path));
  if (info && info->kind == env::FileKind::kDirectory) {
    std::string folder = TRY(files.real_path(path));
    if (pg::is_utf8(folder)) return folder;
    return refuse(
        fmt::format("the name of \"{}\", which pg_wal is, is not UTF-8, and the journal is", folder),
        "Give that folder another name.");
  }
  return refuse(fmt::format("\"{}\" is no folder, nor a link to one", path),
                "It is to have the WAL. Make that folder, and run this again.");
}

}  // namespace

std::string kept_folder_of(const RejoinJournal& journal) {
  return inner_old_of(journal.wal_folder, journal.time);
}

std::string kept_wal_of(const RejoinJournal& journal) {
  return kept_folder_of(journal) + "/pg_wal";
}

Result<OldDirectory> look_at_old_directory(env::FileSystem& files, const std::string& data_folder) {
  OldDirectory old;
  old.journal = TRY(read_rejoin_journal(files, data_folder));
  old.wal_folder = TRY(wal_folder_of(files, data_folder));
  old.old_wal = old.wal_folder;
  auto control = TRY(read_if_there(files, control_path(data_folder)));
  if (old.journal) {
    if (old.journal->wal_folder != old.wal_folder) {
      return refuse(fmt::format("pg_wal was \"{}\" when an earlier rejoin was interrupted, and is \"{}\" now",
                                old.journal->wal_folder, old.wal_folder),
                    "Let it be as it was, and run this again.");
    }
    auto kept = TRY(read_if_there(files, kept_control_path(*old.journal)));
    if (control && kept && *control != *kept) {
      old.journal.reset();  // the source's is in place already
    } else if (!control) {
      old.is_in_pieces = true;
      old.old_wal = kept_wal_of(*old.journal);
      control = std::move(kept);
    }
  }
  if (!control) {
    return refuse(
        fmt::format("\"{}\" has no global/pg_control", data_folder),
        "It is not a whole data directory. Copy the source anew: standfast standby clone --replace.");
  }
  old.control = TRY(pg::parse_control_file(base::as_bytes(*control)));
  return old;
}

Result<std::optional<RejoinJournal>> find_unfinished_rejoin(env::FileSystem& files,
                                                            const std::string& data_folder) {
  // What else is there may be anything.
  if (!TRY(read_rejoin_journal(files, data_folder))) return std::optional<RejoinJournal>();
  return TRY(look_at_old_directory(files, data_folder)).journal;
}

std::optional<JournalSlot> slot_made_by(const RejoinJournal& journal) {
  if (!journal.created_slot) return std::nullopt;
  return JournalSlot{*journal.created_slot, journal.system_id, journal.source};
}

Result<void> set_aside(env::FileSystem& files, const std::string& data_folder, RejoinJournal& journal,
                       const TreeModes& modes, pg::Version version) {
  TRY(make_inner_folder(files, data_folder));
  TRY(write_rejoin_journal(files, data_folder, journal));
  TRY(make_kept_folders(files, journal));
  if (TRY(files.inspect(control_path(data_folder)))) {
    TRY(keep_files(files, data_folder, journal));
    TRY(remove_control_file(files, data_folder));
  }
  TRY(remove_our_kept_files(files, data_folder, journal));
  if (journal.wal_is_out) {
    TRY(remove_entries(files, journal.wal_folder));
  } else {
    TRY(move_entries(files, journal.wal_folder, kept_wal_of(journal)));
    journal.wal_is_out = true;
    TRY(write_rejoin_journal(files, data_folder, journal));
  }
  return make_wal_folders(files, journal.wal_folder, modes, version);
}

}  // namespace standfast::clone

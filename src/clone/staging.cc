#include "clone/staging.h"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string aside_path_of(const std::string& target) {
  return fmt::format("{}{:%Y%m%dT%H%M%S}", aside_prefix_of(target), fmt::gmtime(std::time(nullptr)));
}

Staging::Staging(env::FileSystem& files, Options options, Journal journal)
    : files_(&files),
      options_(std::move(options)),
      journal_(std::move(journal)),
      data_folder_(staging_path_of(options_.target)),
      wal_folder_(data_folder_ + "/pg_wal") {}

Result<Staging> Staging::create(env::FileSystem& files, Options options) {
  const std::string parent = env::parent_of(options.target);
  if (!TRY(files.inspect_following(parent))) {
    return Error(ErrorCode::kTargetRefused, fmt::format("the directory \"{}\" does not exist", parent),
                 "Make it first; the copy is made beside its final place.");
  }
  Staging staging(files, std::move(options), TRY(new_journal(files)));
  auto made = staging.make_folders();
  if (made) return staging;
  Error error = std::move(made).error();
  static_cast<void>(staging.remove());
  if (error.code == ErrorCode::kPermission && error.hint.empty()) {
    error.hint = fmt::format(
        "The copy is made beside its final place, so this user must be able to write in \"{}\".", parent);
  }
  return error;
}

Result<void> Staging::make_folders() {
  if (TRY(files_->inspect(data_folder_))) {
    // Not in any journal, so nobody can say whose it is.
    return Error(
        ErrorCode::kTargetRefused, fmt::format("\"{}\" exists already", data_folder_),
        "It has the name of a copy that is being made. If it is the rest of one, remove it by hand.");
  }
  journal_.folders.push_back(data_folder_);
  TRY(create_journal(*files_, options_.target, journal_));
  has_journal_ = true;
  TRY(files_->make_directory(data_folder_, options_.modes.directory));
  made_data_folder_ = true;
  if (options_.wal_directory) {
    wal_folder_ = TRY(add_outside(*options_.wal_directory, "--waldir"));
    TRY(files_->make_symlink(*options_.wal_directory, data_folder_ + "/pg_wal"));
  } else {
    TRY(files_->make_directory(wal_folder_, options_.modes.directory));
  }
  return files_->make_directory(wal_folder_ + "/archive_status", options_.modes.directory);
}

Result<std::string> Staging::add_outside(const std::string& final_path, const std::string& what) {
  Outside outside;
  outside.final_path = final_path;
  outside.staging_path = final_path + "/" + std::string(kInnerStagingName);
  outside.was = TRY(inspect_outside_folder(*files_, final_path, options_.target, what));
  journal_.folders.push_back(outside.staging_path);
  TRY(write_journal(*files_, options_.target, journal_));
  TRY(env::make_directories(*files_, final_path, options_.modes.directory));
  outside_.push_back(outside);
  TRY(files_->make_directory(outside.staging_path, options_.modes.directory));
  outside_.back().made = true;
  return outside.staging_path;
}

Result<TablespacePlace> Staging::add_tablespace(std::uint32_t oid, const std::string& final_path) {
  const std::string folder = TRY(add_outside(final_path, fmt::format("the location of tablespace {}", oid)));
  return TablespacePlace{folder, final_path};
}

Result<void> Staging::note_slot(const JournalSlot& slot) {
  journal_.slot = slot;
  return write_journal(*files_, options_.target, journal_);
}

Result<void> Staging::forget_slot() {
  journal_.slot.reset();
  return write_journal(*files_, options_.target, journal_);
}

Result<void> Staging::keep() {
  journal_.kept = true;
  return write_journal(*files_, options_.target, journal_);
}

Result<void> Staging::sync_directory(const std::string& path) {
  return options_.sync == SyncFiles::kYes ? files_->sync_directory(path) : base::ok();
}

// ---------------------------------------------------------------- putting in place

Result<Placed> Staging::put_in_place() {
  // The copy took a while; what is there now counts.
  const TargetState target = TRY(inspect_target(*files_, options_.target, options_.rules));
  TRY(note_placement(target));
  if (auto renamed = rename_all(target); !renamed) return undone(std::move(renamed).error());
  // From here on the copy is in place, whatever becomes of what is tidied up.
  Placed placed;
  placed.aside = journal_.placement->aside;
  for (const Outside& outside : outside_) static_cast<void>(files_->remove_directory(outside.staging_path));
  outside_.clear();
  data_folder_.clear();
  made_data_folder_ = false;
  has_journal_ = false;
  if (auto synced = sync_directory(env::parent_of(target.path)); !synced) {
    // The journal stays: if the renames are lost, the next run finds out how far they came.
    placed.not_durable = std::move(synced).error();
    return placed;
  }
  static_cast<void>(remove_journal(*files_, options_.target));
  return placed;
}

Result<void> Staging::note_placement(const TargetState& target) {
  JournalPlacement placement;
  if (target.kind == TargetKind::kDataDirectory) placement.aside = aside_path_of(target.path);
  placement.target_was_empty = target.kind == TargetKind::kEmpty;
  for (const Outside& outside : outside_)
    placement.entries.push_back({outside.staging_path, TRY(files_->list(outside.staging_path))});
  journal_.placement = std::move(placement);
  return write_journal(*files_, options_.target, journal_);
}

Result<void> Staging::rename_all(const TargetState& target) {
  for (const JournalPlacement::Entries& entries : journal_.placement->entries) {
    const std::string final_path = env::parent_of(entries.folder);
    for (const std::string& name : entries.names)
      TRY(files_->rename_no_replace(entries.folder + "/" + name, final_path + "/" + name));
    TRY(sync_directory(final_path));
  }
  if (journal_.placement->target_was_empty) TRY(files_->remove_directory(target.path));
  if (journal_.placement->aside) TRY(files_->rename_no_replace(target.path, *journal_.placement->aside));
  return files_->rename_no_replace(data_folder_, target.path);
}

Error Staging::undone(Error error) {
  const std::optional<std::string> aside = journal_.placement->aside;
  const auto undone = undo_placement(*files_, options_.target, journal_);
  if (undone) return error;
  // Only a later run can do it, and it needs the folders and the journal for that.
  outside_.clear();
  made_data_folder_ = false;
  has_journal_ = false;
  error.hint = fmt::format("What was renamed could not be renamed back ({}). The next run tries again.",
                           undone.error().message);
  if (aside && files_->inspect(*aside).value_or(std::nullopt))
    error.hint += fmt::format(" The directory that was there is \"{}\" now.", *aside);
  return error;
}

Result<PlacementState> undo_placement(env::FileSystem& files, const std::string& target, Journal& journal) {
  if (!journal.placement) return PlacementState::kNone;
  const JournalPlacement& placement = *journal.placement;
  // The copy's own rename is the last one.
  if (!TRY(files.inspect(staging_path_of(target)))) return PlacementState::kPlaced;
  for (const JournalPlacement::Entries& entries : placement.entries) {
    const std::string final_path = env::parent_of(entries.folder);
    for (const std::string& name : entries.names) {
      const std::string staged = entries.folder + "/" + name;
      // What is still in the staging folder was not renamed; something else has that name then.
      if (TRY(files.inspect(staged)) || !TRY(files.inspect(final_path + "/" + name))) continue;
      TRY(files.rename_no_replace(final_path + "/" + name, staged));
    }
    TRY(files.sync_directory(final_path));
  }
  if (!TRY(files.inspect(target))) {
    if (placement.target_was_empty) TRY(files.make_directory(target, 0700));
    if (placement.aside && TRY(files.inspect(*placement.aside)))
      TRY(files.rename_no_replace(*placement.aside, target));
    TRY(files.sync_directory(env::parent_of(target)));
  }
  journal.placement.reset();
  TRY(write_journal(files, target, journal));
  return PlacementState::kUndone;
}

// ---------------------------------------------------------------- removing

Result<void> Staging::remove() {
  Result<void> first;
  const auto note = [&first](Result<void> result) {
    if (!result && first) first = std::move(result);
  };
  for (const Outside& outside : outside_) {
    if (outside.made) note(env::remove_tree(*files_, outside.staging_path));
    if (outside.was == OutsideKind::kMissing) note(files_->remove_directory(outside.final_path));
  }
  if (made_data_folder_) note(env::remove_tree(*files_, data_folder_));
  if (!first || !has_journal_) return first;
  journal_.folders.clear();
  note(journal_.slot ? write_journal(*files_, options_.target, journal_)
                     : remove_journal(*files_, options_.target));
  return first;
}

Result<void> Staging::remove_stale(env::FileSystem& files, const Journal& journal) {
  for (const std::string& folder : journal.folders) TRY(env::remove_tree(files, folder));
  return base::ok();
}

}  // namespace standfast::clone

#include "clone/staging.h"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string aside_path_of(const std::string& target) {
  return fmt::format("{}.standfast-old-{:%Y%m%dT%H%M%S}", target, fmt::gmtime(std::time(nullptr)));
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
    const std::string path = std::exchange(data_folder_, "");
    return Error(
        ErrorCode::kTargetRefused, fmt::format("\"{}\" exists already", path),
        "It has the name of a copy that is being made. If it is the rest of one, remove it by hand.");
  }
  journal_.folders.push_back(data_folder_);
  TRY(write_journal(*files_, options_.target, journal_));
  TRY(files_->make_directory(data_folder_, options_.modes.directory));
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

Result<void> Staging::sync_directory(const std::string& path) {
  return options_.sync == SyncFiles::kYes ? files_->sync_directory(path) : base::ok();
}

// ---------------------------------------------------------------- putting in place

Result<std::optional<std::string>> Staging::put_in_place() {
  // The copy took a while; what is there now counts.
  const TargetState target = TRY(inspect_target(*files_, options_.target, options_.rules));
  for (Outside& outside : outside_) {
    if (auto placed = place_outside(outside); !placed) {
      take_back_outside();
      return std::move(placed).error();
    }
  }
  auto moved_aside = place_data_folder(target);
  if (!moved_aside) {
    take_back_outside();
    return moved_aside;
  }
  outside_.clear();
  data_folder_.clear();
  journal_.slot.reset();
  // The copy is in place whatever becomes of its journal.
  static_cast<void>(remove_journal(*files_, options_.target));
  return moved_aside;
}

Result<void> Staging::place_outside(Outside& outside) {
  for (const std::string& name : TRY(files_->list(outside.staging_path))) {
    TRY(files_->rename_no_replace(outside.staging_path + "/" + name, outside.final_path + "/" + name));
    outside.moved.push_back(name);
  }
  return sync_directory(outside.final_path);
}

void Staging::take_back_outside() {
  for (Outside& outside : outside_) {
    for (const std::string& name : outside.moved) {
      static_cast<void>(
          files_->rename_no_replace(outside.final_path + "/" + name, outside.staging_path + "/" + name));
    }
    outside.moved.clear();
  }
}

Result<std::optional<std::string>> Staging::place_data_folder(const TargetState& target) {
  std::optional<std::string> aside;
  switch (target.kind) {
    case TargetKind::kMissing:
      break;
    case TargetKind::kEmpty:
      TRY(files_->remove_directory(target.path));
      break;
    case TargetKind::kDataDirectory:
      aside = aside_path_of(target.path);
      TRY(files_->rename_no_replace(target.path, *aside));
      break;
  }
  auto placed = files_->rename_no_replace(data_folder_, target.path);
  if (!placed) {
    Error error = std::move(placed).error();
    if (target.kind == TargetKind::kEmpty) {
      static_cast<void>(files_->make_directory(target.path, options_.modes.directory));
    }
    if (aside) {
      const auto back = files_->rename_no_replace(*aside, target.path);
      if (!back) {
        error.hint = fmt::format("The directory that was there is \"{}\" now and could not be put back ({}).",
                                 *aside, back.error().message);
      }
    }
    return error;
  }
  // Both renames are done; that they may not yet be on the disk does not undo them.
  for (Outside& outside : outside_) static_cast<void>(files_->remove_directory(outside.staging_path));
  TRY(sync_directory(env::parent_of(target.path)));
  return aside;
}

// ---------------------------------------------------------------- removing

Result<void> Staging::remove() {
  Result<void> first;
  const auto note = [&first](Result<void> result) {
    if (!result && first) first = std::move(result);
  };
  for (const Outside& outside : outside_) {
    note(env::remove_tree(*files_, outside.staging_path));
    if (outside.was == OutsideKind::kMissing) note(files_->remove_directory(outside.final_path));
  }
  if (!data_folder_.empty()) note(env::remove_tree(*files_, data_folder_));
  if (!first) return first;
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

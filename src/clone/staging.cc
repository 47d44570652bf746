#include "clone/staging.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "clone/inner_folder.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr int kMaxNamePolls = 30;
constexpr std::chrono::milliseconds kNamePollInterval{100};
constexpr std::string_view kWal = "pg_wal";

}  // namespace

Staging::Staging(env::FileSystem& files, Options options, Journal journal)
    : files_(&files),
      options_(std::move(options)),
      journal_(std::move(journal)),
      data_folder_(staging_path_of(options_.target, options_.placing)) {}

Result<Staging> Staging::create(env::FileSystem& files, Options options) {
  const std::string parent = env::parent_of(options.target);
  if (!TRY(files.inspect_following(parent))) {
    return Error(ErrorCode::kTargetRefused, fmt::format("the directory \"{}\" does not exist", parent),
                 "Make it first; the copy is made beside its final place.");
  }
  const Placing placing = options.placing;
  Staging staging(files, std::move(options), TRY(new_journal(files, placing)));
  const bool goes_on = staging.options_.taken_up.has_value();
  auto made = staging.make_folders();
  if (made) return staging;
  Error error = std::move(made).error();
  if (!goes_on) static_cast<void>(staging.remove());
  if (error.code == ErrorCode::kPermission && error.hint.empty()) {
    error.hint = fmt::format(
        "The copy is made beside its final place, so this user must be able to write in \"{}\".", parent);
  }
  return error;
}

Result<void> Staging::make_folders() {
  TRY(make_data_folder());
  for (const std::string& name : options_.mounted_entries) {
    entry_folders_[name] =
        TRY(add_root({.folder = fmt::format("{}/{}", options_.target, name), .old_entry = name}));
  }
  TRY(make_wal_folder());
  return files_->make_directory(wal_folder_ + "/archive_status", options_.modes.directory);
}

bool Staging::is_taken_up(const std::string& folder) const {
  return options_.taken_up && std::ranges::count(options_.taken_up->folders, folder) > 0;
}

Result<void> Staging::begin_journal() {
  if (options_.taken_up) {
    unused_ = options_.taken_up->folders;
    journal_.folders = options_.taken_up->folders;
    journal_.slot = options_.taken_up->slot;
  }
  journal_.copy = options_.copy;
  if (!is_taken_up(data_folder_)) journal_.folders.push_back(data_folder_);
  TRY(options_.taken_up ? write_journal(*files_, options_.target, journal_)
                        : create_journal(*files_, options_.target, journal_));
  has_journal_ = true;
  return base::ok();
}

Result<void> Staging::make_data_folder() {
  if (options_.placing == Placing::kInside) TRY(make_inner_folder(*files_, options_.target));
  const bool is_there = TRY(files_->inspect(data_folder_)).has_value();
  if (is_there && !is_taken_up(data_folder_)) {
    // Not in any journal, so nobody can say whose it is.
    return Error(
        ErrorCode::kTargetRefused, fmt::format("\"{}\" exists already", data_folder_),
        "It has the name of a copy that is being made. If it is the rest of one, remove it by hand.");
  }
  TRY(begin_journal());
  std::erase(unused_, data_folder_);
  if (!is_there) TRY(files_->make_directory(data_folder_, options_.modes.directory));
  made_data_folder_ = true;
  return base::ok();
}

/// Its own, with nothing in it: WAL of a backup that was not ended is of no use to the next one.
Result<void> Staging::make_pg_wal(const std::string& place) {
  if (const auto info = TRY(files_->inspect(place)); !info) {
    TRY(files_->make_directory(place, options_.modes.directory));
  } else if (info->kind != env::FileKind::kDirectory) {
    TRY(files_->remove_file(place));
    TRY(files_->make_directory(place, options_.modes.directory));
  }
  for (const std::string& name : TRY(files_->list(place))) {
    const std::string path = place + "/" + name;
    const auto info = TRY(files_->inspect(path));
    if (!info) continue;
    TRY(info->kind == env::FileKind::kDirectory ? env::remove_tree(*files_, path)
                                                : files_->remove_file(path));
  }
  return base::ok();
}

Result<void> Staging::make_wal_folder() {
  const std::string entry = data_folder_ + "/" + std::string(kWal);
  if (options_.wal_directory) {
    if (entry_folders_.contains(std::string(kWal))) {
      return Error(
          ErrorCode::kTargetRefused,
          fmt::format("\"{}/pg_wal\" is a mount point, so the WAL cannot go elsewhere", options_.target),
          "Leave --waldir out, or unmount that one.");
    }
    wal_folder_ = TRY(add_outside({*options_.wal_directory, options_.target, "--waldir"}));
    if (!TRY(files_->inspect(entry))) TRY(files_->make_symlink(*options_.wal_directory, entry));
    entry_folders_[std::string(kWal)] = wal_folder_;
  } else if (const auto mounted = entry_folders_.find(std::string(kWal)); mounted != entry_folders_.end()) {
    wal_folder_ = mounted->second;
  } else {
    wal_folder_ = entry;
  }
  return make_pg_wal(wal_folder_);
}

Result<std::string> Staging::add_root(Root root) {
  const std::string staging = inner_new_of(root.folder);
  const bool is_there = TRY(files_->inspect(staging)).has_value();
  if (is_there && !is_taken_up(staging)) {
    // Before it is in the journal: what another clone makes is not this one's to remove.
    return Error(ErrorCode::kTargetRefused, fmt::format("\"{}\" exists already", staging),
                 "Another copy is being made there, or was. If it is the rest of one, remove it by hand.");
  }
  if (!is_taken_up(staging)) {
    journal_.folders.push_back(staging);
    TRY(write_journal(*files_, options_.target, journal_));
  }
  std::erase(unused_, staging);
  TRY(env::make_directories(*files_, root.folder, options_.modes.directory));
  roots_.push_back(std::move(root));
  TRY(make_inner_folder(*files_, roots_.back().folder));
  if (!is_there) TRY(files_->make_directory(staging, options_.modes.directory));
  roots_.back().made_new = true;
  return staging;
}

Result<void> Staging::remove_unused() {
  if (unused_.empty()) return base::ok();
  Journal rest = journal_;
  rest.folders = unused_;
  TRY(remove_stale(*files_, rest));
  for (const std::string& folder : unused_) std::erase(journal_.folders, folder);
  unused_.clear();
  return write_journal(*files_, options_.target, journal_);
}

Result<std::string> Staging::add_outside(const OutsideQuestion& question) {
  const OutsideState state = TRY(inspect_outside_folder(*files_, question, options_.old_links));
  return add_root({.folder = question.path, .old_entry = state.old_entry, .was = state.kind});
}

Result<TablespacePlace> Staging::add_tablespace(std::uint32_t oid, const std::string& final_path) {
  const std::string folder =
      TRY(add_outside({final_path, options_.target, fmt::format("the location of tablespace {}", oid)}));
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

// ---------------------------------------------------------------- putting in place

Result<Placed> Staging::put_in_place() {
  // The copy took a while; what is there now counts.
  const TargetState target = TRY(inspect_target(*files_, options_.target, options_.rules));
  TRY(note_placement(target));
  auto done = perform_swap(*files_, options_.target, journal_, options_.sync, options_.modes.directory);
  if (!done) return undone(std::move(done).error());
  // From here on the copy is in place, whatever becomes of what is tidied up.
  Placed placed;
  std::vector<std::string> kept = kept_places_of(options_.target, journal_);
  if (!kept.empty()) {
    placed.old = kept.front();
    placed.also_kept.assign(kept.begin() + 1, kept.end());
  }
  forget_folders();
  // When it fails the journal stays: the next run finds out how far this came.
  if (auto finished = finish_swap(*files_, options_.target, journal_, options_.sync); !finished)
    placed.unfinished = std::move(finished).error();
  return placed;
}

Result<void> Staging::note_placement(const TargetState& target) {
  JournalPlacement placement;
  placement.time = time_for_name();
  // The name has the second in it: a run that follows another one at once waits for the next.
  for (int i = 0; i < kMaxNamePolls; ++i) {
    if (!TRY(files_->inspect(old_path_of(options_.target, options_.placing, placement.time)))) break;
    std::this_thread::sleep_for(kNamePollInterval);
    placement.time = time_for_name();
  }
  placement.has_old = target.kind == TargetKind::kDataDirectory;
  journal_.move_old_to = options_.move_old_to;
  for (const Root& root : roots_) placement.roots.push_back(TRY(swap_of(root, target)));
  if (options_.placing == Placing::kBeside) {
    placement.target_was_empty = target.kind == TargetKind::kEmpty;
  } else {
    // Last, so that the folders outside are ready when it comes.
    placement.roots.push_back(TRY(swap_of({.folder = options_.target}, target)));
    const auto info = TRY(files_->inspect(options_.target));
    if (info && info->mode != options_.modes.directory) placement.mode_before = info->mode;
  }
  journal_.placement = std::move(placement);
  return write_journal(*files_, options_.target, journal_);
}

Result<SwapRoot> Staging::swap_of(const Root& root, const TargetState& target) const {
  SwapRoot swap{.folder = root.folder, .old_entry = root.old_entry};
  swap.incoming = TRY(entries_of(*files_, inner_new_of(root.folder)));
  std::erase(swap.incoming, "lost+found");  // of the source's disk, and this one may have its own
  const bool is_in_target = env::is_same_or_inside(root.folder, options_.target);
  if (!is_in_target) {
    const OutsideQuestion question{root.folder, options_.target, "the folder"};
    OutsideState now = TRY(inspect_outside_folder(*files_, question, options_.old_links));
    swap.outgoing = std::move(now.outgoing);
  } else if (target.kind == TargetKind::kDataDirectory) {
    swap.outgoing = TRY(entries_of(*files_, root.folder));
  }
  if (root.folder == options_.target) {
    // Disks that are mounted in it stay; each is a root of its own.
    std::erase_if(swap.outgoing,
                  [&](const auto& name) { return std::ranges::count(options_.mounted_entries, name) > 0; });
  }
  return swap;
}

Error Staging::undone(Error error) {
  const std::vector<std::string> kept = kept_places_of(options_.target, journal_);
  const auto undone = undo_swap(*files_, options_.target, journal_);
  if (undone) return error;
  // Only a later run can do it, and it needs the folders and the journal for that.
  forget_folders();
  error.hint = fmt::format("What was renamed could not be renamed back ({}). The next run tries again.",
                           undone.error().message);
  if (!kept.empty() && files_->inspect(kept.front()).value_or(std::nullopt))
    error.hint += fmt::format(" What was there is in \"{}\" now.", kept.front());
  return error;
}

void Staging::forget_folders() {
  roots_.clear();
  data_folder_.clear();
  made_data_folder_ = false;
  has_journal_ = false;
}

// ---------------------------------------------------------------- removing

Result<void> Staging::remove() {
  Result<void> first;
  const auto note = [&first](Result<void> result) {
    if (!result && first) first = std::move(result);
  };
  for (const Root& root : roots_) {
    if (root.made_new) note(remove_staging(*files_, inner_new_of(root.folder)));
    remove_inner_folder(*files_, root.folder);
    if (root.was == OutsideKind::kMissing) note(files_->remove_directory(root.folder));
  }
  if (made_data_folder_) note(remove_staging(*files_, data_folder_));
  if (first && has_journal_) {
    journal_.folders.clear();
    note(journal_.slot ? write_journal(*files_, options_.target, journal_)
                       : remove_journal(*files_, options_.target, journal_));
  }
  if (options_.placing == Placing::kInside) remove_inner_folder(*files_, options_.target);
  return first;
}

Result<void> Staging::remove_stale(env::FileSystem& files, const Journal& journal) {
  constexpr std::string_view kInnerNew = "/.standfast/new";
  for (const std::string& folder : journal.folders) {
    TRY(remove_staging(files, folder));
    if (folder.ends_with(kInnerNew)) static_cast<void>(files.remove_directory(env::parent_of(folder)));
  }
  return base::ok();
}

}  // namespace standfast::clone

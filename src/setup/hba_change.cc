#include "setup/hba_change.h"

#include <ctime>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>

#include "pg/format/hba_file.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Copies of one second: a second run that quick is a test's.
constexpr int kMaxCopiesPerSecond = 100;

std::string local_time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%S", &parts);
  return text;
}

}  // namespace

std::string describe(const HbaError& error) {
  const std::string where = error.file.empty() ? "" : " of \"" + error.file + "\"";
  return fmt::format("line {}{}: {}", error.line_number, where, error.message);
}

HbaChange::HbaChange(env::FileSystem& files, HbaServer& server, std::string path, std::string original,
                     FileAccess access)
    : files_(&files),
      server_(&server),
      path_(std::move(path)),
      access_(std::move(access)),
      current_(original),
      original_(std::move(original)) {}

HbaChange::~HbaChange() {
  static_cast<void>(take_back());
}

Result<void> HbaChange::make_copy(const env::FileInfo& info) {
  const std::string base =
      access_.copy_directory + "/" + env::base_name_of(path_) + ".standfast-" + local_time_text();
  std::string path = base;
  for (int i = 2; TRY(files_->inspect(path)); ++i) {
    if (i > kMaxCopiesPerSecond) return Error(ErrorCode::kIo, "too many copies of \"" + path_ + "\"");
    path = fmt::format("{}-{}", base, i);
  }
  // What cannot be renamed may have a group that this user cannot give to another file.
  const env::WriteOptions as_original{.mode = info.mode, .owner = info.owner, .group = info.group};
  const env::WriteOptions own{.mode = info.mode & S_IRWXU};
  TRY(env::write_file_durably(*files_, path, current_, access_.way == WriteWay::kRename ? as_original : own));
  copy_path_ = path;
  return base::ok();
}

Result<void> HbaChange::write(const std::string& text) {
  const auto info = TRY(files_->inspect(path_));
  if (!info) return Error(ErrorCode::kIo, "\"" + path_ + "\" is gone");
  auto written = replace(text, *info);
  if (!written) {
    // It may have failed after the new text was in place: then there is something to take back.
    const auto now = env::read_whole_file(*files_, path_, pg::kMaxHbaFileBytes);
    if (broken_ || !now || *now != text) return written;
  }
  current_ = text;
  changed_ = true;
  broken_ = false;
  return written;
}

Result<void> HbaChange::replace(const std::string& text, const env::FileInfo& info) {
  if (access_.way == WriteWay::kRename) {
    return env::write_file_durably(*files_, path_, text,
                                   {.mode = info.mode, .owner = info.owner, .group = info.group});
  }
  auto written = write_in_place(text);
  // What was there fits there again, whatever the new text failed of; not where each write takes new room.
  if (!written && !write_in_place(current_)) broken_ = true;
  return written;
}

/// A file that is written in place and runs out of room is neither the one nor the other.
Result<void> HbaChange::check_room(const std::string& text) {
  const env::DiskSpace space = TRY(files_->space(path_));
  if (space.total_bytes == 0 || space.available_bytes >= text.size()) return base::ok();
  return Error(ErrorCode::kDiskFull,
               fmt::format("\"{}\" can only be written in place, and there is no room for its {} bytes",
                           path_, text.size()),
               "Free some room on that disk, then run this again.");
}

Result<void> HbaChange::write_in_place(const std::string& text) {
  const auto file = TRY(files_->open_existing(path_));
  TRY(file->write_at(0, base::as_bytes(text)));
  TRY(file->truncate(text.size()));
  TRY(file->sync());
  return file->close();
}

Result<void> HbaChange::put(const std::string& text, DatedCopy copy) {
  if (TRY(env::read_whole_file(*files_, path_, pg::kMaxHbaFileBytes)) != current_) {
    return Error(ErrorCode::kInUse, "\"" + path_ + "\" was changed by somebody else just now",
                 "Run this again when that is done.");
  }
  if (access_.way == WriteWay::kInPlace && text.size() > current_.size()) TRY(check_room(text));
  const bool needs_copy = copy == DatedCopy::kMake || access_.way == WriteWay::kInPlace;
  if (needs_copy && !copy_path_) {
    const auto info = TRY(files_->inspect(path_));
    if (!info) return Error(ErrorCode::kIo, "\"" + path_ + "\" is gone");
    TRY(make_copy(*info));
  }
  TRY(write(text));
  const std::vector<HbaError> errors = TRY(server_->errors_of_file());
  if (!errors.empty()) {
    return Error(ErrorCode::kPrecondition,
                 "the server does not take the new pg_hba.conf: " + describe(errors.front()),
                 "Look at that line and at the ones before it.");
  }
  auto loaded = server_->reload(Interruption::kAllowed);
  if (!loaded && loaded.error().code != ErrorCode::kCancelled) {
    return std::move(loaded).error().with_context("the new pg_hba.conf is well formed, but after loading it");
  }
  return loaded;
}

void HbaChange::keep() {
  if (original_ && current_ == *original_) forget_copy();
  original_.reset();
}

void HbaChange::forget_copy() {
  if (copy_path_) static_cast<void>(files_->remove_file(*copy_path_));
  copy_path_.reset();
}

Result<void> HbaChange::take_back() {
  if (!original_) return base::ok();
  if (!changed_ && !broken_) {
    forget_copy();  // of a file that stayed what it is
    return base::ok();
  }
  // What somebody else wrote over ours is not ours to undo. Of what is broken nobody knows whose it is.
  if (!broken_ && TRY(env::read_whole_file(*files_, path_, pg::kMaxHbaFileBytes)) != current_) {
    return Error(ErrorCode::kInUse, "\"" + path_ + "\" was changed by somebody else just now");
  }
  if (broken_ || current_ != *original_) TRY(write(*original_));
  TRY(server_->reload(Interruption::kIgnored));
  changed_ = false;
  forget_copy();  // the file is again what it is
  return base::ok();
}

Error HbaChange::take_back_after(Error cause) {
  if (!original_ || (!changed_ && !broken_)) return cause;
  const std::string copy = copy_path_.value_or("");
  const auto taken_back = take_back();
  if (taken_back) {
    cause.hint = "pg_hba.conf is as it was before." + (cause.hint.empty() ? "" : " " + cause.hint);
    return cause;
  }
  original_.reset();  // what is said of it now must stay true
  cause.message += "; and pg_hba.conf could not be put back: " + taken_back.error().message;
  cause.hint = copy.empty() ? "Look at \"" + path_ +
                                  "\" and take out what stands between \"# BEGIN standfast\" "
                                  "and \"# END standfast\", then reload the server."
                            : "Look at \"" + path_ + "\"; what it held before is in \"" + copy + "\".";
  return cause;
}

}  // namespace standfast::setup

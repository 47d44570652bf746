#include "clone/old_directory.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/time.h"
#include "clone/target.h"
#include "env/process.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kGlobal = "global";
constexpr std::size_t kCopyBytes = std::size_t{1} << 20U;

Result<std::uint64_t> size_of_tree(env::FileSystem& files, const std::string& path) {
  const auto info = TRY(files.inspect(path));
  if (!info) return std::uint64_t{0};  // a server that still runs removes files
  if (info->kind != env::FileKind::kDirectory) return info->size_bytes;
  std::uint64_t total = 0;
  for (const std::string& name : TRY(files.list(path))) total += TRY(size_of_tree(files, path + "/" + name));
  return total;
}

/// Copies one tree, each file fsynced and read again.
class TreeCopy {
 public:
  TreeCopy(const OldMove& environment, std::uint64_t total_bytes)
      : files_(environment.files),
        stop_(environment.stop),
        reporter_(environment.reporter),
        total_bytes_(total_bytes),
        buffer_(kCopyBytes) {}

  Result<void> copy(const std::string& from, const std::string& to) {
    const auto info = TRY(files_.inspect(from));
    if (!info) return Error(ErrorCode::kIo, fmt::format("\"{}\" has vanished", from));
    switch (info->kind) {
      case env::FileKind::kDirectory:
        return copy_directory(from, to, *info);
      case env::FileKind::kRegular:
        return copy_file(from, to, *info);
      case env::FileKind::kSymlink:
        return files_.make_symlink(TRY(files_.read_symlink(from)), to);
      case env::FileKind::kOther:
        break;  // a socket or a pipe of a server that is gone
    }
    return base::ok();
  }

 private:
  Result<void> copy_directory(const std::string& from, const std::string& to, const env::FileInfo& info) {
    TRY(files_.make_directory(to, info.mode | 0700U));
    for (const std::string& name : TRY(files_.list(from))) TRY(copy(from + "/" + name, to + "/" + name));
    return files_.sync_directory(to);
  }

  Result<void> copy_file(const std::string& from, const std::string& to, const env::FileInfo& info) {
    const auto source = TRY(files_.open_for_reading(from));
    const auto copy = TRY(files_.create(to, info.mode, env::OnExisting::kFail));
    base::Crc32c crc;
    std::uint64_t size = 0;
    while (const std::size_t count = TRY(read(*source, size))) {
      const auto bytes = std::span(buffer_).first(count);
      crc.update(bytes);
      TRY(copy->write_at(size, bytes));
      size += count;
      done_bytes_ += count;
      reporter_.progress(
          {.done_bytes = done_bytes_, .total_bytes = total_bytes_, .activity = "the old directory"});
    }
    TRY(copy->sync());
    TRY(compare(*copy, to, size, crc.value()));
    return copy->close();
  }

  Result<void> compare(env::File& file, const std::string& path, std::uint64_t size, std::uint32_t expected) {
    base::Crc32c crc;
    std::uint64_t at = 0;
    while (const std::size_t count = TRY(read(file, at))) {
      crc.update(std::span(buffer_).first(count));
      at += count;
    }
    if (at == size && crc.value() == expected) return base::ok();
    return Error(ErrorCode::kDamaged, fmt::format("\"{}\" differs from what was copied into it", path),
                 "Look at that disk; the old directory stays where it is.");
  }

  Result<std::size_t> read(env::File& file, std::uint64_t at) {
    if (stop_.is_set()) return env::cancelled_error();
    return file.read_at(at, buffer_);
  }

  env::FileSystem& files_;
  const env::StopEvent& stop_;
  base::Reporter& reporter_;
  std::uint64_t total_bytes_;
  std::uint64_t done_bytes_ = 0;
  std::vector<std::byte> buffer_;
};

class Moving {
 public:
  Moving(const OldMove& environment, const std::string& target, Journal& journal)
      : environment_(environment),
        files_(environment.files),
        target_(target),
        journal_(journal),
        old_(*journal.old) {}

  Result<void> run() {
    if (!old_.copied) {
      // A run before may have been killed between the rename and the end of its journal.
      const bool renamed_before = !TRY(files_.inspect(old_.path)) && TRY(files_.inspect(old_.move_to));
      if (renamed_before || TRY(try_rename())) return forget();
      TRY(copy());
    }
    TRY(move_up());
    TRY(refuse_unless_it_is_there());
    TRY(env::remove_tree(files_, old_.path));
    TRY(files_.sync_directory(env::parent_of(old_.path)));
    return forget();
  }

  /// After an error that another try would meet again.
  Result<void> give_up() {
    TRY(env::remove_tree(files_, incoming_of(old_)));
    return forget();
  }

 private:
  Result<void> forget() { return remove_journal(files_, target_, journal_); }

  Result<bool> try_rename() {
    TRY(env::remove_tree(files_, incoming_of(old_)));
    TRY(check_place_for_old(files_, old_.move_to, target_));
    const bool is_there = TRY(files_.inspect(old_.move_to)).has_value();
    // An empty folder gives way; one that is not empty never does.
    const auto renamed = is_there ? files_.rename_over(old_.path, old_.move_to)
                                  : files_.rename_no_replace(old_.path, old_.move_to);
    if (!renamed) {
      const int reason = renamed.error().os_errno;
      // Another file system, or a mount point. A folder with lost+found in it is not empty.
      const bool has_to_be_copied =
          reason == EXDEV || reason == EBUSY || reason == ENOTEMPTY || reason == EEXIST;
      return has_to_be_copied ? Result<bool>(false) : Result<bool>(renamed.error());
    }
    TRY(files_.sync_directory(env::parent_of(old_.move_to)));
    TRY(files_.sync_directory(env::parent_of(old_.path)));
    return true;
  }

  Result<void> copy() {
    TRY(check_room_for_old(files_, old_.move_to, old_.path));
    environment_.reporter.info(
        fmt::format("copying the directory before to \"{}\", which is on another disk", old_.move_to));
    if (!TRY(files_.inspect(old_.move_to))) {
      TRY(files_.make_directory(old_.move_to, 0700));
      TRY(files_.sync_directory(env::parent_of(old_.move_to)));
    }
    TreeCopy tree(environment_, TRY(size_of_tree(files_, old_.path)));
    TRY(tree.copy(old_.path, incoming_of(old_)));
    TRY(files_.sync_directory(old_.move_to));
    old_.copied = true;
    return write_journal(files_, target_, journal_);
  }

  Result<void> move_up() {
    const std::string incoming = incoming_of(old_);
    if (const auto info = TRY(files_.inspect(incoming))) {
      // The folder with pg_control comes last: before that no server starts on what is there.
      std::vector<std::string> names = TRY(files_.list(incoming));
      std::stable_partition(names.begin(), names.end(), [](const auto& name) { return name != kGlobal; });
      for (const std::string& name : names) {
        if (name == kGlobal) TRY(files_.sync_directory(old_.move_to));
        TRY(files_.rename_no_replace(incoming + "/" + name, old_.move_to + "/" + name));
      }
      // As it was, so that a server takes it for its own.
      TRY(files_.set_mode(old_.move_to, info->mode));
      TRY(files_.sync_directory(incoming));
      TRY(files_.remove_directory(incoming));
    }
    return files_.sync_directory(old_.move_to);
  }

  /// A disk that is not mounted any more looks as if all had been moved up.
  Result<void> refuse_unless_it_is_there() {
    for (const std::string_view name : {"PG_VERSION", "global/pg_control"}) {
      const std::string path = fmt::format("{}/{}", old_.move_to, name);
      if (TRY(files_.inspect(path))) continue;
      if (!TRY(files_.inspect(fmt::format("{}/{}", old_.path, name)))) continue;
      return refuse(
          fmt::format("the directory before was copied to \"{}\", and is not there", old_.move_to),
          fmt::format("Is its disk mounted? Until it is, nothing of \"{}\" is removed.", old_.path));
    }
    return base::ok();
  }

  const OldMove& environment_;
  env::FileSystem& files_;
  const std::string& target_;
  Journal& journal_;
  JournalOld& old_;
};

}  // namespace

std::string incoming_of(const JournalOld& old) {
  base::Crc32c number;
  number.update(base::as_bytes(old.path));
  return fmt::format("{}/.standfast-incoming-{:08x}", old.move_to, number.value());
}

Result<void> check_place_for_old(env::FileSystem& files, const std::string& place,
                                 const std::string& target) {
  if (!place.starts_with('/') || place != env::absolute_path(place) || place == "/") {
    return Error(ErrorCode::kUsage, fmt::format("--move-old-to must be an absolute path, not \"{}\"", place),
                 "Give it from the root on, without \"..\" and a slash at its end.");
  }
  if (env::is_same_or_inside(place, target) || env::is_same_or_inside(target, place)) {
    return refuse(fmt::format("\"{}\" must lie outside the data directory \"{}\"", place, target),
                  "Give --move-old-to another path.");
  }
  TRY(refuse_inside_data_directory(files, place));
  const auto info = TRY(files.inspect(place));
  const std::string parent = env::parent_of(place);
  if (!info) {
    if (!TRY(files.inspect_following(parent)))
      return refuse(fmt::format("the directory \"{}\" does not exist", parent), "Make it first.");
    if (may_write_in(parent)) return base::ok();
    return Error(ErrorCode::kPermission, fmt::format("this user cannot write in \"{}\"", parent),
                 "Give --move-old-to a path that the server's user may make.");
  }
  if (info->kind != env::FileKind::kDirectory)
    return refuse(fmt::format("\"{}\" exists and is not a directory", place), "Give another path.");
  if (info->owner != env::effective_user()) {
    return refuse(fmt::format("\"{}\" belongs to another user (uid {})", place, info->owner),
                  "It must belong to the user that the server runs as.");
  }
  std::vector<std::string> names = TRY(entries_of(files, place));
  if (names.empty()) return base::ok();
  return refuse(fmt::format("\"{}\" is not empty", place),
                "Give a path that does not exist, or an empty one.");
}

Result<void> check_room_for_old(env::FileSystem& files, const std::string& place,
                                const std::string& old_directory) {
  const std::string existing = TRY(files.inspect(place)) ? place : env::parent_of(place);
  const auto there = TRY(files.inspect_following(existing));
  const auto here = TRY(files.inspect_following(old_directory));
  if (!there || !here || there->device == here->device) return base::ok();
  const std::uint64_t needed = TRY(size_of_tree(files, old_directory));
  const std::uint64_t available = TRY(files.space(existing)).available_bytes;
  if (needed <= available) return base::ok();
  return Error(ErrorCode::kDiskFull,
               fmt::format("the old directory needs {} and the disk of \"{}\" has {} free",
                           base::format_bytes(needed), existing, base::format_bytes(available)),
               "Make room there, or give --move-old-to another path.");
}

Result<void> move_old(const OldMove& environment, const std::string& target, Journal& journal) {
  const JournalOld old = *journal.old;
  Moving moving(environment, target, journal);
  auto moved = moving.run();
  if (moved) {
    environment.reporter.info(fmt::format("the directory before is now \"{}\"", old.move_to));
    return base::ok();
  }
  Error error = std::move(moved).error();
  if (error.code == ErrorCode::kCancelled) {
    error.hint = fmt::format("The copy is in place. The next run goes on moving \"{}\" to \"{}\".", old.path,
                             old.move_to);
    return error;
  }
  if (!journal.old->copied) static_cast<void>(moving.give_up());
  error.hint =
      fmt::format("The copy is in place; the directory before is still \"{}\". {}", old.path, error.hint);
  return std::move(error).with_context(fmt::format("could not move it to \"{}\"", old.move_to));
}

}  // namespace standfast::clone

#include "clone/target.h"

#include <algorithm>
#include <charconv>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "clone/journal.h"
#include "env/mount_table.h"
#include "env/process.h"
#include "pg/format/utf8.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMaxPidFileBytes = 4096;

Result<bool> is_data_directory(env::FileSystem& files, const std::string& path) {
  return TRY(files.inspect(path + "/PG_VERSION")).has_value();
}

Result<void> refuse_around_data_directory(env::FileSystem& files, const std::string& target) {
  for (const std::string& name : TRY(entries_of(files, target))) {
    const std::string path = target + "/" + name;
    const auto info = TRY(files.inspect(path));
    if (info && info->kind == env::FileKind::kDirectory && TRY(is_data_directory(files, path))) {
      return refuse(fmt::format("\"{}\" holds another data directory, \"{}\"", target, path),
                    "Move the inner one out first.");
    }
  }
  return base::ok();
}

Result<void> refuse_unfit_mounts(env::FileSystem& files, const env::MountsAt& mounts,
                                 const TargetState& target) {
  if (!mounts.deeper.empty()) {
    return refuse(fmt::format("a file system is mounted at \"{}\", deep inside \"{}\"", mounts.deeper.front(),
                              target.path),
                  "Only the directory itself and folders right in it may be mount points. Unmount that one.");
  }
  for (const std::string& name : mounts.entries) {
    const auto entry = TRY(files.inspect(target.path + "/" + name));
    if (entry && entry->kind == env::FileKind::kDirectory && name != "global" && name != "pg_tblspc")
      continue;
    return refuse(fmt::format("\"{}/{}\" is a mount point and cannot be replaced", target.path, name),
                  "Unmount it first; a folder such as pg_wal may be one.");
  }
  return base::ok();
}

/// Nothing is in it, or only what counts as nothing: then it keeps its place too.
Result<void> inspect_empty_directory(env::FileSystem& files, TargetState& target) {
  std::vector<std::string> names = TRY(entries_of(files, target.path));
  for (const std::string& mounted : target.mounted_entries) {
    const auto inner = entries_of(files, target.path + "/" + mounted);
    if (inner && inner->empty()) std::erase(names, mounted);
  }
  if (!names.empty()) {
    return refuse(
        fmt::format("\"{}\" is not empty and is no data directory: it has no PG_VERSION", target.path),
        "Give another directory, or empty this one by hand.");
  }
  target.kind = TargetKind::kEmpty;
  if (!target.inside_because && !TRY(env::is_empty_directory(files, target.path)))
    target.inside_because = fmt::format("\"{}\" is not quite empty", target.path);
  return base::ok();
}

/// A control file that is missing or damaged is what an unfinished copy leaves; it does not protect anything.
Result<std::optional<pg::ControlFile>> read_control_file(env::FileSystem& files,
                                                         const std::string& directory) {
  const std::string path = directory + "/global/pg_control";
  if (!TRY(files.inspect(path))) return std::optional<pg::ControlFile>();
  constexpr std::uint64_t kMaxControlFileBytes = 64U << 10U;
  const std::string bytes = TRY(env::read_whole_file(files, path, kMaxControlFileBytes));
  auto control = pg::parse_control_file(base::as_bytes(bytes));
  if (!control) return std::optional<pg::ControlFile>();
  return std::optional(*std::move(control));
}

Result<void> refuse_the_primary(env::FileSystem& files, const TargetState& target, pg::SystemId source) {
  if (!target.control || target.control->system_id != source || target.control->is_in_recovery())
    return base::ok();
  if (TRY(files.inspect(target.path + "/standby.signal"))) return base::ok();
  return refuse(
      fmt::format("\"{}\" is the primary's own data directory: its system identifier is {} and it is not in "
                  "recovery ({})",
                  target.path, source.to_string(), pg::describe(target.control->state)),
      "A primary is never replaced. If it is a former one that is to become a standby, move it away by "
      "hand first.");
}

Result<void> inspect_data_directory(env::FileSystem& files, const TargetRules& rules, TargetState& target) {
  target.kind = TargetKind::kDataDirectory;
  target.control = TRY(read_control_file(files, target.path));
  // What can never be is told before what an option would allow.
  if (rules.source) TRY(refuse_the_primary(files, target, *rules.source));
  if (rules.on_data_directory == OnDataDirectory::kRefuse) {
    return refuse(fmt::format("\"{}\" is not empty: it is a data directory", target.path),
                  "With --replace it is renamed aside, and nothing in it is changed.");
  }
  TRY(refuse_around_data_directory(files, target.path));
  target.running_server = TRY(running_server_of(files, target.path));
  if (target.running_server && rules.on_running_server == OnRunningServer::kRefuse) {
    return Error(
        ErrorCode::kInUse,
        fmt::format("a server is running in \"{}\", process {}", target.path, *target.running_server),
        "Stop it first, or add --stop.");
  }
  return base::ok();
}

/// Where a link that leads nowhere would lead; no value if the folder of that place is missing too.
Result<std::optional<std::string>> end_of_links(env::FileSystem& files, std::string path) {
  constexpr int kMaxLinks = 40;  // as the kernel's own
  for (int i = 0; i < kMaxLinks; ++i) {
    const std::string parent = env::parent_of(path);
    if (!TRY(files.inspect_following(parent))) return std::optional<std::string>();
    const std::string real_parent = TRY(files.real_path(parent));
    path = fmt::format("{}/{}", real_parent == "/" ? "" : real_parent, env::base_name_of(path));
    const auto info = TRY(files.inspect(path));
    if (!info || info->kind != env::FileKind::kSymlink) return std::optional(std::move(path));
    const std::string next = TRY(files.read_symlink(path));
    path = next.starts_with('/') ? next : fmt::format("{}/{}", real_parent, next);
  }
  return std::optional<std::string>();
}

}  // namespace

Error refuse(std::string message, std::string hint) {
  return {ErrorCode::kTargetRefused, std::move(message), std::move(hint)};
}

bool may_write_in(const std::string& folder) {
  return faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
}

Result<std::optional<std::string>> why_it_stays(env::FileSystem& files, const std::string& target,
                                                const env::MountsAt& mounts) {
  const std::string parent = env::parent_of(target);
  const auto info = TRY(files.inspect(target));
  const auto above = TRY(files.inspect_following(parent));
  std::optional<std::string> because;
  if (mounts.itself || (info && above && above->device != info->device)) {
    because = fmt::format("\"{}\" is a mount point", target);
  } else if (!mounts.entries.empty()) {
    because = fmt::format("\"{}/{}\" is a mount point", target, mounts.entries.front());
  } else if (!may_write_in(parent)) {
    because = fmt::format("this user cannot write in \"{}\"", parent);
  }
  return because;
}

std::string folder_of_bulk(const TargetState& target) {
  if (std::ranges::count(target.mounted_entries, "base") > 0) return target.path + "/base";
  return target.placing() == Placing::kInside ? target.path : env::parent_of(target.path);
}

/// A target in a data directory would be part of the next backup of it, and be seen by its server.
Result<void> refuse_inside_data_directory(env::FileSystem& files, const std::string& target) {
  std::string nearest = env::parent_of(target);
  while (nearest != "/" && !TRY(files.inspect_following(nearest))) nearest = env::parent_of(nearest);
  for (std::string path = TRY(files.real_path(nearest));; path = env::parent_of(path)) {
    if (TRY(is_data_directory(files, path))) {
      return refuse(fmt::format("\"{}\" lies inside the data directory \"{}\"", target, path),
                    "Give a directory outside every other data directory.");
    }
    if (path == "/") return base::ok();
  }
}

Result<std::vector<std::string>> entries_of(env::FileSystem& files, const std::string& folder) {
  std::vector<std::string> names = TRY(files.list(folder));
  std::erase(names, std::string(kInnerName));
  if (const auto lost = TRY(files.inspect(folder + "/lost+found")); lost && lost->owner == 0)
    std::erase(names, "lost+found");
  return names;
}

Result<std::string> resolve_target(env::FileSystem& files, const std::string& path) {
  const std::string absolute = env::absolute_path(path);
  const auto info = TRY(files.inspect(absolute));
  if (!info || info->kind != env::FileKind::kSymlink) return absolute;
  if (TRY(files.inspect_following(absolute))) return files.real_path(absolute);
  // The directory may be what a run that was killed has moved aside, and settling that brings it back.
  if (auto end = TRY(end_of_links(files, absolute))) {
    const auto journal = TRY(read_stale_journal(files, *end));
    if (journal && journal->placement && journal->placement->has_old) return *std::move(end);
  }
  return refuse(fmt::format("\"{}\" is a symbolic link to a directory that does not exist", absolute),
                "Make that directory, or give another one.");
}

Result<std::optional<pid_t>> running_server_of(env::FileSystem& files, const std::string& directory) {
  const std::string path = directory + "/postmaster.pid";
  if (!TRY(files.inspect(path))) return std::optional<pid_t>();
  const std::string text = TRY(env::read_whole_file(files, path, kMaxPidFileBytes));
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // A standalone backend writes its number with a minus.
  const auto process = static_cast<pid_t>(number < 0 ? -number : number);
  if (error != std::errc() || process <= 0 || !env::process_exists(process)) return std::optional<pid_t>();
  // In a container a server is often process 1; elsewhere that is root's, which no server runs as.
  if (process == 1) {
    const auto first = files.inspect("/proc/1");
    if (first && *first && (*first)->owner == 0) return std::optional<pid_t>();
  }
  // By what it is: a bind mount, or a container, gives it another path.
  const auto works_in = files.inspect_following(fmt::format("/proc/{}/cwd", process));
  const auto here = TRY(files.inspect_following(directory));
  if (works_in && *works_in && here &&
      ((*works_in)->device != here->device || (*works_in)->inode != here->inode))
    return std::optional<pid_t>();
  return std::optional(process);
}

Result<TargetState> inspect_target(env::FileSystem& files, const std::string& path,
                                   const TargetRules& rules) {
  TargetState target;
  target.path = env::absolute_path(path);
  if (target.path == "/")
    return refuse("the root directory cannot be a data directory", "Give another directory.");
  // The journal of a clone is json, which has no way to write such a name.
  if (!pg::is_utf8(target.path))
    return refuse(fmt::format("the name of the data directory, \"{}\", is not UTF-8", target.path),
                  "Give another directory.");
  TRY(refuse_inside_data_directory(files, target.path));
  const auto info = TRY(files.inspect(target.path));
  if (!info) return target;
  if (info->kind == env::FileKind::kSymlink) {
    return refuse(fmt::format("\"{}\" is a symbolic link", target.path), "Give the directory it points to.");
  }
  if (info->kind != env::FileKind::kDirectory)
    return refuse(fmt::format("\"{}\" exists and is not a directory", target.path), "Give another path.");
  if (info->owner != env::effective_user()) {
    return refuse(fmt::format("\"{}\" belongs to another user (uid {})", target.path, info->owner),
                  "Run this as the owner of the directory.");
  }
  const env::MountsAt mounts =
      env::mounts_at(TRY(env::read_mount_table(files)), TRY(files.real_path(target.path)));
  target.mounted_entries = mounts.entries;
  target.inside_because = TRY(why_it_stays(files, target.path, mounts));
  if (TRY(is_data_directory(files, target.path))) {
    TRY(inspect_data_directory(files, rules, target));
  } else {
    TRY(inspect_empty_directory(files, target));
  }
  TRY(refuse_unfit_mounts(files, mounts, target));
  return target;
}

}  // namespace standfast::clone

#include "clone/target.h"

#include <charconv>

#include <fmt/format.h>

#include "env/process.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMaxPidFileBytes = 4096;

Error refuse(std::string message, std::string hint) {
  return {ErrorCode::kTargetRefused, std::move(message), std::move(hint)};
}

Result<bool> is_data_directory(env::FileSystem& files, const std::string& path) {
  return TRY(files.inspect(path + "/PG_VERSION")).has_value();
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

Result<void> refuse_around_data_directory(env::FileSystem& files, const std::string& target) {
  for (const std::string& name : TRY(files.list(target))) {
    const std::string path = target + "/" + name;
    const auto info = TRY(files.inspect(path));
    if (info && info->kind == env::FileKind::kDirectory && TRY(is_data_directory(files, path))) {
      return refuse(fmt::format("\"{}\" holds another data directory, \"{}\"", target, path),
                    "Move the inner one out first.");
    }
  }
  return base::ok();
}

Result<void> refuse_mount_point(env::FileSystem& files, const std::string& path, const env::FileInfo& info) {
  const auto parent = TRY(files.inspect_following(env::parent_of(path)));
  if (parent && parent->device != info.device) {
    return refuse(fmt::format("\"{}\" is a mount point, which cannot be replaced by a rename", path),
                  fmt::format("Give a directory inside it, such as \"{}/data\".", path));
  }
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

}  // namespace

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
  const auto works_in = files.real_path(fmt::format("/proc/{}/cwd", process));
  const auto real = TRY(files.real_path(directory));
  if (works_in && *works_in != real) return std::optional<pid_t>();
  return std::optional(process);
}

Result<TargetState> inspect_target(env::FileSystem& files, const std::string& path,
                                   const TargetRules& rules) {
  TargetState target;
  target.path = env::absolute_path(path);
  if (target.path == "/")
    return refuse("the root directory cannot be a data directory", "Give another directory.");
  TRY(refuse_inside_data_directory(files, target.path));
  const auto info = TRY(files.inspect(target.path));
  if (!info) return target;
  if (info->kind == env::FileKind::kSymlink) {
    return refuse(fmt::format("\"{}\" is a symbolic link", target.path), "Give the directory it points to.");
  }
  if (info->kind != env::FileKind::kDirectory)
    return refuse(fmt::format("\"{}\" exists and is not a directory", target.path), "Give another path.");
  TRY(refuse_mount_point(files, target.path, *info));
  if (info->owner != env::effective_user()) {
    return refuse(fmt::format("\"{}\" belongs to another user (uid {})", target.path, info->owner),
                  "Run this as the owner of the directory.");
  }
  if (TRY(is_data_directory(files, target.path))) {
    TRY(inspect_data_directory(files, rules, target));
    return target;
  }
  if (!TRY(env::is_empty_directory(files, target.path))) {
    return refuse(
        fmt::format("\"{}\" is not empty and is no data directory: it has no PG_VERSION", target.path),
        "Give another directory, or empty this one by hand.");
  }
  target.kind = TargetKind::kEmpty;
  return target;
}

Result<OutsideKind> inspect_outside_folder(env::FileSystem& files, const std::string& path,
                                           const std::string& target, const std::string& what) {
  if (path.empty() || path[0] != '/') {
    return refuse(fmt::format("{} must be an absolute path, not \"{}\"", what, path),
                  "Give it from the root on.");
  }
  const auto info = TRY(files.inspect_following(path));
  const std::string real = info ? TRY(files.real_path(path)) : env::absolute_path(path);
  if (env::is_same_or_inside(real, target) || env::is_same_or_inside(target, real)) {
    return refuse(fmt::format("{}, \"{}\", must lie outside the data directory \"{}\"", what, path, target),
                  "For a tablespace, -T OLDDIR=NEWDIR gives another place.");
  }
  TRY(refuse_inside_data_directory(files, real));
  if (!info) return OutsideKind::kMissing;
  if (info->kind != env::FileKind::kDirectory)
    return refuse(fmt::format("{}, \"{}\", is not a directory", what, path), "Give another path.");
  if (info->owner != env::effective_user()) {
    return refuse(fmt::format("{}, \"{}\", belongs to another user (uid {})", what, path, info->owner),
                  "It must belong to the user that the server runs as.");
  }
  if (TRY(env::is_empty_directory(files, path))) return OutsideKind::kEmpty;
  // A file system of its own has this folder from its making.
  if (TRY(files.list(path)) == std::vector<std::string>{"lost+found"}) return OutsideKind::kEmpty;
  return refuse(fmt::format("{}, \"{}\", is not empty", what, path),
                "Empty it by hand. For a tablespace, -T OLDDIR=NEWDIR gives another place.");
}

}  // namespace standfast::clone

// The calls of a simulated disk that deal with names.
#include <algorithm>
#include <cerrno>

#include "env/simulated_disk.h"
#include "env/simulated_inode.h"

namespace standfast::env::testing {
namespace {

using base::Result;
using Lock = std::lock_guard<std::mutex>;

}  // namespace

void SimulatedDisk::change_names(Operation operation) {
  for (const Change& change : operation) {
    if (change.inode) {
      change.directory->names[change.name] = change.inode;
    } else {
      change.directory->names.erase(change.name);
    }
  }
  pending_.push_back(std::move(operation));
}

/// An operation of two directories comes to the device for both or for neither, with all that either had to
/// do before it.
void SimulatedDisk::make_names_durable(Bounds bounds) {
  const auto is_within = [&](std::size_t index) {
    return std::any_of(pending_[index].begin(), pending_[index].end(),
                       [&](const Change& change) { return index < bounds[change.directory->info.inode]; });
  };
  for (std::size_t index = pending_.size(); index-- > 0;) {
    if (!is_within(index)) continue;
    for (const Change& change : pending_[index]) {
      std::size_t& bound = bounds[change.directory->info.inode];
      bound = std::max(bound, index + 1);
    }
  }
  std::vector<Operation> rest;
  for (std::size_t index = 0; index < pending_.size(); ++index) {
    if (!is_within(index)) {
      rest.push_back(std::move(pending_[index]));
      continue;
    }
    for (const Change& change : pending_[index]) {
      if (change.inode) {
        change.directory->durable_names[change.name] = change.inode;
      } else {
        change.directory->durable_names.erase(change.name);
      }
    }
  }
  pending_ = std::move(rest);
}

Result<SimulatedDisk::Place> SimulatedDisk::locate(const std::string& path, LastLink last_link,
                                                   const char* action) {
  constexpr int kMaxLinks = 40;
  std::string rest = absolute_path(path);
  for (int links = 0; links <= kMaxLinks; ++links) {
    Place place{root_, "", root_, "/"};
    std::size_t at = 1;
    bool is_redirected = false;
    while (at < rest.size() && !is_redirected) {
      if (!place.found) return failure(ENOENT, action, path);
      if (place.found->info.kind != FileKind::kDirectory) return failure(ENOTDIR, action, path);
      const std::size_t slash = std::min(rest.find('/', at), rest.size());
      const std::string folder = place.path;
      place.directory = place.found;
      place.name = rest.substr(at, slash - at);
      place.path = (folder == "/" ? "" : folder) + "/" + place.name;
      const auto named = place.directory->names.find(place.name);
      place.found = named == place.directory->names.end() ? nullptr : named->second;
      at = slash + 1;
      const bool is_last = at >= rest.size();
      is_redirected = place.found && place.found->info.kind == FileKind::kSymlink &&
                      (!is_last || last_link == LastLink::kFollow);
      if (is_redirected) {
        const std::string& target = place.found->link_target;
        const std::string whole = target.starts_with('/') ? target : folder + "/" + target;
        rest = absolute_path(whole + "/" + (is_last ? "" : rest.substr(at)));
      }
    }
    if (!is_redirected) return place;
  }
  return failure(ELOOP, action, path);
}

Result<SimulatedDisk::Place> SimulatedDisk::locate_existing(const std::string& path, LastLink last_link,
                                                            const char* action) {
  Place place = TRY(locate(path, last_link, action));
  if (!place.found) return failure(ENOENT, action, path);
  return place;
}

Result<void> SimulatedDisk::make_name(const std::string& path, const char* action,
                                      const std::function<std::shared_ptr<Inode>()>& make) {
  const Place place = TRY(locate(path, LastLink::kKeep, action));
  if (place.found) return failure(EEXIST, action, path);
  change_names({{place.directory, place.name, make()}});
  return base::ok();
}

Result<void> SimulatedDisk::make_directory(const std::string& path, mode_t mode) {
  const Lock lock(mutex_);
  return make_name(path, "create directory", [&] { return new_inode(FileKind::kDirectory, mode); });
}

Result<void> SimulatedDisk::make_symlink(const std::string& target, const std::string& path) {
  const Lock lock(mutex_);
  return make_name(path, "create symbolic link", [&] {
    auto inode = new_inode(FileKind::kSymlink, 0777);
    inode->link_target = target;
    return inode;
  });
}

Result<std::string> SimulatedDisk::read_symlink(const std::string& path) {
  const Lock lock(mutex_);
  const Place place = TRY(locate_existing(path, LastLink::kKeep, "read symbolic link"));
  if (place.found->info.kind != FileKind::kSymlink) return failure(EINVAL, "read symbolic link", path);
  return place.found->link_target;
}

Result<void> SimulatedDisk::rename_no_replace(const std::string& from, const std::string& to) {
  const Lock lock(mutex_);
  return rename(from, to, OnExisting::kFail);
}
Result<void> SimulatedDisk::rename_over(const std::string& from, const std::string& to) {
  const Lock lock(mutex_);
  return rename(from, to, OnExisting::kReplace);
}

Result<void> SimulatedDisk::rename(const std::string& from, const std::string& to, OnExisting on_existing) {
  constexpr auto kAction = "rename";
  const Place source = TRY(locate(from, LastLink::kKeep, kAction));
  const Place goal = TRY(locate(to, LastLink::kKeep, kAction));
  if (!source.found) return failure(ENOENT, kAction, from);
  if (goal.found && on_existing == OnExisting::kFail) return failure(EEXIST, kAction, from);
  const bool is_directory = source.found->info.kind == FileKind::kDirectory;
  if (source.found == goal.found) return base::ok();
  if (is_directory && is_same_or_inside(goal.path, source.path)) return failure(EINVAL, kAction, from);
  if (goal.found) {
    const bool replaces_directory = goal.found->info.kind == FileKind::kDirectory;
    if (is_same_or_inside(source.path, goal.path)) return failure(ENOTEMPTY, kAction, from);
    if (is_directory && !replaces_directory) return failure(ENOTDIR, kAction, from);
    if (!is_directory && replaces_directory) return failure(EISDIR, kAction, from);
    if (!goal.found->names.empty()) return failure(ENOTEMPTY, kAction, from);
  }
  change_names({{source.directory, source.name, nullptr}, {goal.directory, goal.name, source.found}});
  return base::ok();
}

Result<void> SimulatedDisk::set_mode(const std::string& path, mode_t mode) {
  const Lock lock(mutex_);
  const Place place = TRY(locate_existing(path, LastLink::kFollow, "set the permissions of"));
  place.found->info.mode = mode & 07777U;
  return base::ok();
}

Result<void> SimulatedDisk::set_owner(const std::string& path, uid_t owner, gid_t group) {
  const Lock lock(mutex_);
  const Place place = TRY(locate_existing(path, LastLink::kKeep, "set the owner of"));
  if (owner != static_cast<uid_t>(-1)) place.found->info.owner = owner;
  if (group != static_cast<gid_t>(-1)) place.found->info.group = group;
  return base::ok();
}

Result<void> SimulatedDisk::sync_directory(const std::string& path) {
  const Lock lock(mutex_);
  const Place place = TRY(locate_existing(path, LastLink::kFollow, "open directory"));
  if (place.found->info.kind != FileKind::kDirectory) return failure(ENOTDIR, "open directory", path);
  make_names_durable({{place.found->info.inode, pending_.size()}});
  return base::ok();
}

Result<void> SimulatedDisk::remove_file(const std::string& path) {
  const Lock lock(mutex_);
  const Place place = TRY(locate_existing(path, LastLink::kKeep, "remove"));
  if (place.found->info.kind == FileKind::kDirectory) return failure(EISDIR, "remove", path);
  change_names({{place.directory, place.name, nullptr}});
  return base::ok();
}

Result<void> SimulatedDisk::remove_directory(const std::string& path) {
  const Lock lock(mutex_);
  constexpr auto kAction = "remove directory";
  const Place place = TRY(locate_existing(path, LastLink::kKeep, kAction));
  if (place.found->info.kind != FileKind::kDirectory) return failure(ENOTDIR, kAction, path);
  if (place.found == root_) return failure(EBUSY, kAction, path);
  if (!place.found->names.empty()) return failure(ENOTEMPTY, kAction, path);
  change_names({{place.directory, place.name, nullptr}});
  return base::ok();
}

Result<std::optional<FileInfo>> SimulatedDisk::inspect(const std::string& path) {
  const Lock lock(mutex_);
  return inspect(path, LastLink::kKeep);
}
Result<std::optional<FileInfo>> SimulatedDisk::inspect_following(const std::string& path) {
  const Lock lock(mutex_);
  return inspect(path, LastLink::kFollow);
}

Result<std::optional<FileInfo>> SimulatedDisk::inspect(const std::string& path, LastLink last_link) {
  auto place = locate_existing(path, last_link, "look at");
  if (!place) {
    const int reason = place.error().os_errno;
    if (reason == ENOENT || reason == ENOTDIR) return std::optional<FileInfo>();
    return std::move(place).error();
  }
  FileInfo info = place->found->info;
  info.size_bytes = info.kind == FileKind::kSymlink ? place->found->link_target.size() : place->found->size;
  return std::optional(info);
}

Result<std::vector<std::string>> SimulatedDisk::list(const std::string& path) {
  const Lock lock(mutex_);
  const Place place = TRY(locate_existing(path, LastLink::kFollow, "list directory"));
  if (place.found->info.kind != FileKind::kDirectory) return failure(ENOTDIR, "list directory", path);
  std::vector<std::string> names;
  for (const auto& [name, inode] : place.found->names) names.push_back(name);
  return names;
}

Result<DiskSpace> SimulatedDisk::space(const std::string& path) {
  const Lock lock(mutex_);
  TRY(locate_existing(path, LastLink::kFollow, "read the free space of"));
  return DiskSpace{available_bytes_ - std::min(available_bytes_, *taken_bytes_), available_bytes_};
}

Result<std::string> SimulatedDisk::real_path(const std::string& path) {
  const Lock lock(mutex_);
  return TRY(locate_existing(path, LastLink::kFollow, "resolve")).path;
}

}  // namespace standfast::env::testing

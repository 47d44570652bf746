// For tests: a FileSystem that can be told to fail.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "env/file_system.h"

namespace standfast::clone::testing {

class FaultyFileSystem final : public env::FileSystem {
 public:
  enum class Operation { kCreate, kMakeDirectory, kMakeLink, kSetMode, kRename, kRemove, kSync };
  /// True: the operation on this path (a rename: its new name) fails.
  std::function<bool(Operation, const std::string&)> fails = [](Operation, const std::string&) {
    return false;
  };

  /// Not 0: a rename fails with that, as between two disks.
  std::function<int(const std::string& from, const std::string& to)> rename_errno =
      [](const std::string&, const std::string&) { return 0; };
  /// A file that is opened for writing, as its writer gets it.
  std::function<std::unique_ptr<env::File>(std::unique_ptr<env::File>)> opened =
      [](std::unique_ptr<env::File> file) { return file; };
  /// What is read for the mount points.
  std::string mountinfo = "/proc/self/mountinfo";

  base::Result<std::unique_ptr<env::File>> create(const std::string& path, mode_t mode,
                                                  env::OnExisting on_existing) override {
    if (fails(Operation::kCreate, path)) return full(path);
    return real_.create(path, mode, on_existing);
  }
  base::Result<std::unique_ptr<env::File>> open_existing(const std::string& path) override {
    return opened(TRY(real_.open_existing(path)));
  }
  base::Result<std::unique_ptr<env::File>> open_for_reading(const std::string& path) override {
    return real_.open_for_reading(path == "/proc/self/mountinfo" ? mountinfo : path);
  }
  base::Result<void> make_directory(const std::string& path, mode_t mode) override {
    if (fails(Operation::kMakeDirectory, path)) return full(path);
    return real_.make_directory(path, mode);
  }
  base::Result<void> make_symlink(const std::string& target, const std::string& path) override {
    if (fails(Operation::kMakeLink, path)) return full(path);
    return real_.make_symlink(target, path);
  }
  base::Result<std::string> read_symlink(const std::string& path) override {
    return real_.read_symlink(path);
  }
  base::Result<void> rename_no_replace(const std::string& from, const std::string& to) override {
    if (fails(Operation::kRename, to)) return full(to);
    if (const int number = rename_errno(from, to); number != 0)
      return base::error_from_errno(number, "could not rename");
    return real_.rename_no_replace(from, to);
  }
  base::Result<void> rename_over(const std::string& from, const std::string& to) override {
    if (fails(Operation::kRename, to)) return full(to);
    if (const int number = rename_errno(from, to); number != 0)
      return base::error_from_errno(number, "could not rename");
    return real_.rename_over(from, to);
  }
  base::Result<void> set_mode(const std::string& path, mode_t mode) override {
    if (fails(Operation::kSetMode, path)) return full(path);
    return real_.set_mode(path, mode);
  }
  base::Result<void> set_owner(const std::string& path, uid_t owner, gid_t group) override {
    return real_.set_owner(path, owner, group);
  }
  base::Result<void> sync_directory(const std::string& path) override {
    if (fails(Operation::kSync, path)) return full(path);
    return real_.sync_directory(path);
  }
  base::Result<void> remove_file(const std::string& path) override {
    if (fails(Operation::kRemove, path)) return full(path);
    return real_.remove_file(path);
  }
  base::Result<void> remove_directory(const std::string& path) override {
    if (fails(Operation::kRemove, path)) return full(path);
    return real_.remove_directory(path);
  }
  base::Result<std::optional<env::FileInfo>> inspect(const std::string& path) override {
    return real_.inspect(path);
  }
  base::Result<std::optional<env::FileInfo>> inspect_following(const std::string& path) override {
    return real_.inspect_following(path);
  }
  base::Result<std::vector<std::string>> list(const std::string& path) override { return real_.list(path); }
  base::Result<env::DiskSpace> space(const std::string& path) override { return real_.space(path); }
  base::Result<std::string> real_path(const std::string& path) override { return real_.real_path(path); }

 private:
  static base::Error full(const std::string& path) {
    return {base::ErrorCode::kDiskFull, "no room for \"" + path + "\""};
  }
  env::FileSystem& real_ = env::posix_file_system();
};

}  // namespace standfast::clone::testing

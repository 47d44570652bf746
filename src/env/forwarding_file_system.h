// For tests: a FileSystem that hands every call on to another one; a test overrides the calls it meddles
// with.
//
// Threading: as the other one. Ownership: borrows it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/file_system.h"

namespace standfast::env::testing {

class ForwardingFileSystem : public FileSystem {
 public:
  explicit ForwardingFileSystem(FileSystem& to) : to_(to) {}

  base::Result<std::unique_ptr<File>> create(const std::string& path, mode_t mode,
                                             OnExisting on_existing) override {
    return to_.create(path, mode, on_existing);
  }
  base::Result<std::unique_ptr<File>> open_existing(const std::string& path) override {
    return to_.open_existing(path);
  }
  base::Result<std::unique_ptr<File>> open_for_reading(const std::string& path) override {
    return to_.open_for_reading(path);
  }
  base::Result<std::unique_ptr<File>> open_for_direct_reading(const std::string& path) override {
    return to_.open_for_direct_reading(path);
  }
  base::Result<std::unique_ptr<File>> open_for_direct_writing(const std::string& path) override {
    return to_.open_for_direct_writing(path);
  }
  base::Result<void> make_directory(const std::string& path, mode_t mode) override {
    return to_.make_directory(path, mode);
  }
  base::Result<void> make_symlink(const std::string& target, const std::string& path) override {
    return to_.make_symlink(target, path);
  }
  base::Result<std::string> read_symlink(const std::string& path) override { return to_.read_symlink(path); }
  base::Result<void> rename_no_replace(const std::string& from, const std::string& to) override {
    return to_.rename_no_replace(from, to);
  }
  base::Result<void> rename_over(const std::string& from, const std::string& to) override {
    return to_.rename_over(from, to);
  }
  base::Result<void> set_mode(const std::string& path, mode_t mode) override {
    return to_.set_mode(path, mode);
  }
  base::Result<void> set_owner(const std::string& path, uid_t owner, gid_t group) override {
    return to_.set_owner(path, owner, group);
  }
  base::Result<void> sync_directory(const std::string& path) override { return to_.sync_directory(path); }
  base::Result<void> remove_file(const std::string& path) override { return to_.remove_file(path); }
  base::Result<void> remove_directory(const std::string& path) override { return to_.remove_directory(path); }
  base::Result<std::optional<FileInfo>> inspect(const std::string& path) override {
    return to_.inspect(path);
  }
  base::Result<std::optional<FileInfo>> inspect_following(const std::string& path) override {
    return to_.inspect_following(path);
  }
  base::Result<std::vector<std::string>> list(const std::string& path) override { return to_.list(path); }
  base::Result<DiskSpace> space(const std::string& path) override { return to_.space(path); }
  base::Result<std::string> real_path(const std::string& path) override { return to_.real_path(path); }

 private:
  FileSystem& to_;
};

}  // namespace standfast::env::testing

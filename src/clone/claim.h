// A target that this run has for itself, from before it reads what an earlier run left until it is done: two
// runs that both took up one stale journal would rename under each other's hands. What keeps others out are
// locks of the kernel, not numbers of processes, so containers that share a volume are kept apart as well.
//
//   beside the target     DIR.standfast-lock, or DIR/.standfast/lock where DIR has to stay (places.h)
//   the directory itself  where it exists: for a run that sees it at another path
//
// Threading: one thread. Ownership: holds the locks; the destructor gives them up and removes the file. A run
// that is killed leaves the file behind, unlocked; the next one takes it over.
// Fails: kInUse while another run has the target; kTargetRefused, kPermission, kDiskFull, kIo. Where nothing
// can be made beside a target, no lock is held, and no journal can be written either.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "env/file_system.h"
#include "env/folder_lock.h"
#include "env/lock_file.h"

namespace standfast::clone {

class Claim {
 public:
  /// `target`: resolved (target.h).
  static base::Result<Claim> take(env::FileSystem& files, const std::string& target);
  ~Claim() { give_up(); }
  Claim(Claim&& other) noexcept : files_(other.files_) { *this = std::move(other); }
  Claim& operator=(Claim&& other) noexcept;
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  const std::string& target() const { return target_; }
  /// The locks are gone, and what was made for them: for a step that needs the target as it was found.
  void give_up();
  /// What is not locked may be by now: the folder that the target lies in was missing, or all was given up.
  base::Result<void> complete();

 private:
  Claim(env::FileSystem& files, std::string target) : files_(&files), target_(std::move(target)) {}
  base::Result<void> lock_beside_or_inside();

  env::FileSystem* files_;
  std::string target_;
  std::optional<env::FolderLock> directory_ = {};
  std::optional<env::LockFile> file_ = {};
  bool is_inside_ = false;
};

/// Only looks, for --dry-run: kInUse while a run has the target.
base::Result<void> refuse_claimed(env::FileSystem& files, const std::string& target);

}  // namespace standfast::clone

#include "clone/claim.h"

#include <cerrno>

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "clone/inner_folder.h"
#include "clone/places.h"
#include "clone/target.h"
#include "env/process.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kMaxTries = 100;  ///< each is lost to a run that has just taken its folder away

std::string message_of(const std::string& target, const std::string& holder) {
  return fmt::format("another run is at work in \"{}\"{}{}", target, holder.empty() ? "" : ": ", holder);
}

Error in_use(const std::string& target, const std::string& holder) {
  return {ErrorCode::kInUse, message_of(target, holder), "Wait for it, or end it."};
}

/// In a container the number alone says little.
std::string this_process() {
  utsname system{};
  const bool known = uname(&system) == 0;
  return fmt::format("process {}{}{}", getpid(), known ? " of host " : "", known ? system.nodename : "");
}

/// A directory of this user's; any other is refused later, and has no lock.
Result<bool> can_be_a_target(env::FileSystem& files, const std::string& target) {
  const auto info = TRY(files.inspect(target));
  return info && info->kind == env::FileKind::kDirectory && info->owner == env::effective_user();
}

Result<Placing> placing_of(env::FileSystem& files, const std::string& target) {
  const env::MountsAt mounts =
      env::mounts_at(TRY(env::read_mount_table(files)), TRY(files.real_path(target)));
  return TRY(why_it_stays(files, target, mounts)) ? Placing::kInside : Placing::kBeside;
}

}  // namespace

Result<Claim> Claim::take(env::FileSystem& files, const std::string& target) {
  Claim claim(files, target);
  TRY(claim.complete());
  return claim;
}

Result<void> Claim::complete() {
  if (file_) return base::ok();
  auto locked = lock_beside_or_inside();
  if (!file_) remove_inner_folder(*files_, target_);
  TRY(std::move(locked));
  // By another path to the same directory the file may be another one.
  if (!directory_ && TRY(can_be_a_target(*files_, target_)))
    directory_ = TRY(env::FolderLock::take(target_, {message_of(target_, "")}));
  return base::ok();
}

Result<void> Claim::lock_beside_or_inside() {
  const bool there = TRY(can_be_a_target(*files_, target_));
  const Placing placing = there ? TRY(placing_of(*files_, target_)) : Placing::kBeside;
  const std::string path = lock_path_of(target_, placing);
  for (int i = 0; i < kMaxTries; ++i) {
    if (placing == Placing::kInside) TRY(make_inner_folder(*files_, target_));
    auto taken = env::LockFile::take(path, this_process());
    const int reason = taken ? 0 : taken.error().os_errno;
    if (reason == ENOENT && placing == Placing::kInside) continue;
    // Then nothing else is made there either; what is wrong is told by who tries.
    if (reason == ENOENT || reason == ENOTDIR || reason == EACCES || reason == EROFS) break;
    if (!taken) return std::move(taken).error();
    if (!*taken) return in_use(target_, TRY(env::holder_of_lock(path)).value_or(""));
    file_ = *std::move(taken);
    is_inside_ = placing == Placing::kInside;
    break;
  }
  return base::ok();
}

Claim& Claim::operator=(Claim&& other) noexcept {
  std::swap(files_, other.files_);
  std::swap(target_, other.target_);
  std::swap(directory_, other.directory_);
  std::swap(file_, other.file_);
  std::swap(is_inside_, other.is_inside_);
  return *this;
}

void Claim::give_up() {
  directory_.reset();
  if (!file_) return;
  file_.reset();
  if (is_inside_) remove_inner_folder(*files_, target_);
}

Result<void> refuse_claimed(env::FileSystem& files, const std::string& target) {
  const bool there = TRY(can_be_a_target(files, target));
  for (const Placing placing : {Placing::kInside, Placing::kBeside}) {
    const auto holder = env::holder_of_lock(lock_path_of(target, placing));
    if (holder && *holder) return in_use(target, **holder);
  }
  if (there) TRY(env::FolderLock::take(target, {message_of(target, "")}));
  return base::ok();
}

}  // namespace standfast::clone

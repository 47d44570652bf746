#include <cerrno>
#include <cstdlib>
#include <vector>

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/process.h"

namespace standfast::env {
namespace {

using base::error_from_errno;
using base::Result;

constexpr std::size_t kMaxUserEntryBytes = 1U << 20U;

/// `lookup` is getpwnam_r or getpwuid_r with its key bound. Both ask for a larger buffer with ERANGE.
template <typename Lookup>
Result<std::optional<UserInfo>> find_with(const Lookup& lookup) {
  std::vector<char> buffer(1024);
  while (true) {
    struct passwd entry {};
    struct passwd* found = nullptr;
    const int error_number = lookup(&entry, buffer.data(), buffer.size(), &found);
    if (error_number == EINTR) continue;
    if (error_number == ERANGE && buffer.size() < kMaxUserEntryBytes) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (found != nullptr) {
      return std::optional(UserInfo{entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir});
    }
    // getpwnam(3): a user that is not there may come back as one of these.
    if (error_number == 0 || error_number == ENOENT || error_number == ESRCH || error_number == EBADF ||
        error_number == EPERM) {
      return std::optional<UserInfo>();
    }
    return error_from_errno(error_number, "could not look up an operating system user");
  }
}

base::Error cannot_become(const UserInfo& user, int error_number) {
  return error_from_errno(error_number, "could not become operating system user \"" + user.name + "\"");
}

}  // namespace

Result<std::optional<UserInfo>> find_user(const std::string& name) {
  return find_with([&](struct passwd* entry, char* buffer, std::size_t size, struct passwd** found) {
    return getpwnam_r(name.c_str(), entry, buffer, size, found);
  });
}

Result<std::optional<UserInfo>> find_user(uid_t uid) {
  return find_with([&](struct passwd* entry, char* buffer, std::size_t size, struct passwd** found) {
    return getpwuid_r(uid, entry, buffer, size, found);
  });
}

uid_t effective_user() {
  return geteuid();
}

Result<void> become_user_irrevocably(const UserInfo& user) {
  if (user.uid == 0 || user.gid == 0) {
    return base::Error(base::ErrorCode::kPermission,
                       "refusing to go on as \"" + user.name + "\", which is root");
  }
  // The groups first: afterwards there is no right left to change them. They become the user's own, so that
  // he can read what he may read by them (Debian's ssl-cert), and none of root's stay.
  if (initgroups(user.name.c_str(), user.gid) != 0) return cannot_become(user, errno);
  if (setresgid(user.gid, user.gid, user.gid) != 0) return cannot_become(user, errno);
  if (setresuid(user.uid, user.uid, user.uid) != 0) return cannot_become(user, errno);
  uid_t real_user = 0;
  uid_t effective = 0;
  uid_t saved_user = 0;
  const bool is_for_good = getresuid(&real_user, &effective, &saved_user) == 0 && real_user == user.uid &&
                           effective == user.uid && saved_user == user.uid && getegid() == user.gid &&
                           setuid(0) != 0 && seteuid(0) != 0 && setgid(0) != 0;
  if (!is_for_good) {
    return base::Error(base::ErrorCode::kPermission,
                       "the rights of root could not be given up for those of \"" + user.name + "\"");
  }
  umask(077);
  setenv("HOME", user.home.c_str(), 1);
  setenv("USER", user.name.c_str(), 1);
  setenv("LOGNAME", user.name.c_str(), 1);
  return base::ok();
}

}  // namespace standfast::env

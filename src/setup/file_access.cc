#include "setup/file_access.h"

#include <algorithm>
#include <vector>

#include <unistd.h>

#include "env/process.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMaxMountinfoBytes = std::uint64_t{16} << 20U;
/// "36 35 98:0 /root /mount/point options ...": the mount point is the fifth word.
constexpr int kWordsBeforeMountPoint = 4;

bool is_own_group(gid_t group) {
  if (group == getegid()) return true;
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(getgroups(0, nullptr), 0)));
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

/// Blanks, line ends and backslashes stand there as three octal digits.
std::string without_escapes(std::string_view word) {
  std::string text;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '\\' || i + 3 >= word.size()) {
      text += word[i];
      continue;
    }
    text += static_cast<char>((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 + (word[i + 3] - '0'));
    i += 3;
  }
  return text;
}

}  // namespace

bool mountinfo_names(std::string_view mountinfo, std::string_view path) {
  while (!mountinfo.empty()) {
    std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
    mountinfo.remove_prefix(std::min(line.size() + 1, mountinfo.size()));
    for (int i = 0; i < kWordsBeforeMountPoint; ++i) {
      line.remove_prefix(std::min(line.find(' '), line.size()));
      if (!line.empty()) line.remove_prefix(1);
    }
    if (without_escapes(line.substr(0, line.find(' '))) == path) return true;
  }
  return false;
}

Result<bool> is_mount_point(env::FileSystem& files, const std::string& path) {
  return mountinfo_names(TRY(env::read_whole_file(files, "/proc/self/mountinfo", kMaxMountinfoBytes)), path);
}

Result<FileAccess> access_to_file(env::FileSystem& files, const std::string& path,
                                  const std::string& fallback_directory) {
  const auto info = TRY(files.inspect(path));
  if (!info) return Error(ErrorCode::kIo, "\"" + path + "\" is gone");
  const std::string folder = env::parent_of(path);
  const bool folder_is_writable = access(folder.c_str(), W_OK) == 0;
  FileAccess found;
  found.copy_directory = folder_is_writable ? folder : fallback_directory;
  if (access(path.c_str(), W_OK) != 0 && info->owner == env::effective_user()) {
    found.obstacle = "\"" + path + "\" is read-only";
  } else if (!folder_is_writable || TRY(is_mount_point(files, path))) {
    found.way = WriteWay::kInPlace;
    if (access(path.c_str(), W_OK) != 0) found.obstacle = "\"" + path + "\" is not writable";
  } else if (info->owner != env::effective_user()) {
    found.obstacle = "\"" + path + "\" is another user's";
  } else if (!is_own_group(info->group)) {
    found.obstacle = "\"" + path + "\" has a group that this user is not in";
  }
  return found;
}

}  // namespace standfast::setup

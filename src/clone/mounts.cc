#include "clone/mounts.h"

#include <algorithm>

namespace standfast::clone {
namespace {

using base::Result;

constexpr std::uint64_t kMaxMountinfoBytes = 16U << 20U;

bool is_octal(char c) {
  return c >= '0' && c <= '7';
}

std::string unescaped(std::string_view text) {
  constexpr std::size_t kEscapeLength = 4;  // \040
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view digits = text.substr(i, kEscapeLength);
    if (digits.size() == kEscapeLength && digits[0] == '\\' &&
        std::all_of(digits.begin() + 1, digits.end(), is_octal)) {
      result += static_cast<char>((digits[1] - '0') * 64 + (digits[2] - '0') * 8 + (digits[3] - '0'));
      i += kEscapeLength - 1;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace

std::vector<std::string> parse_mount_points(std::string_view mountinfo) {
  constexpr int kFieldsBefore = 4;
  std::vector<std::string> found;
  while (!mountinfo.empty()) {
    std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
    mountinfo.remove_prefix(std::min(mountinfo.size(), line.size() + 1));
    bool complete = true;
    for (int i = 0; i < kFieldsBefore && complete; ++i) {
      const std::size_t blank = line.find(' ');
      complete = blank != std::string_view::npos;
      if (complete) line.remove_prefix(blank + 1);
    }
    const std::string path = unescaped(line.substr(0, line.find(' ')));
    if (complete && path.starts_with('/')) found.push_back(path);
  }
  return found;
}

MountsAt mounts_at(const std::vector<std::string>& mount_points, const std::string& real_path) {
  MountsAt mounts;
  for (const std::string& path : mount_points) {
    if (path == real_path) {
      mounts.itself = true;
    } else if (path.starts_with(real_path + "/")) {
      const std::string below = path.substr(real_path.size() + 1);
      auto& list = below.find('/') == std::string::npos ? mounts.entries : mounts.deeper;
      // One over the other has the same place.
      const std::string& name = &list == &mounts.entries ? below : path;
      if (std::ranges::count(list, name) == 0) list.push_back(name);
    }
  }
  std::ranges::sort(mounts.entries);
  return mounts;
}

Result<std::vector<std::string>> read_mount_points(env::FileSystem& files) {
  return parse_mount_points(TRY(env::read_whole_file(files, "/proc/self/mountinfo", kMaxMountinfoBytes)));
}

}  // namespace standfast::clone

#include "env/mount_table.h"

#include <algorithm>

namespace standfast::env {
namespace {

using base::Result;

constexpr std::uint64_t kMaxMountTableBytes = 16U << 20U;

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(line.size(), end + 1));
  }
  return words;
}

bool is_octal(char c) {
  return c >= '0' && c <= '7';
}

/// Blanks, tabs, line ends and backslashes stand as three octal digits.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
                           is_octal(text[i + 2]) && is_octal(text[i + 3]);
    if (!is_escape) {
      out += text[i];
      continue;
    }
    const int code = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
    out += static_cast<char>(static_cast<unsigned char>(code & 0xFF));
    i += 3;
  }
  return out;
}

bool has_option(std::string_view options, std::string_view wanted) {
  return ("," + std::string(options) + ",").find("," + std::string(wanted) + ",") != std::string::npos;
}

}  // namespace

std::vector<Mount> parse_mount_table(std::string_view text) {
  // ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS [TAG...] - TYPE SOURCE SUPER-OPTIONS
  constexpr std::size_t kMountPoint = 4;
  constexpr std::size_t kOptions = 5;
  std::vector<Mount> mounts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() <= kOptions || dash == words.end() ||
        dash - words.begin() <= static_cast<long>(kOptions) || words.end() - dash < 2) {
      continue;
    }
    std::string mount_point = unescaped(words[kMountPoint]);
    if (!mount_point.starts_with('/')) continue;
    const bool has_super_options = words.end() - dash > 3;
    mounts.push_back({.mount_point = std::move(mount_point),
                      .file_system = std::string(dash[1]),
                      .is_read_only = has_option(words[kOptions], "ro") ||
                                      (has_super_options && has_option(dash[3], "ro"))});
  }
  return mounts;
}

const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view real_path) {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts) {
    if (!is_same_or_inside(real_path, mount.mount_point)) continue;
    if (best == nullptr || mount.mount_point.size() >= best->mount_point.size()) best = &mount;
  }
  return best;
}

MountsAt mounts_at(const std::vector<Mount>& mounts, const std::string& real_path) {
  MountsAt found;
  for (const Mount& mount : mounts) {
    const std::string& path = mount.mount_point;
    if (path == real_path) {
      found.itself = true;
    } else if (path.starts_with(real_path + "/")) {
      const std::string below = path.substr(real_path.size() + 1);
      auto& list = below.find('/') == std::string::npos ? found.entries : found.deeper;
      // One over the other has the same place.
      const std::string& name = &list == &found.entries ? below : path;
      if (std::ranges::count(list, name) == 0) list.push_back(name);
    }
  }
  std::ranges::sort(found.entries);
  return found;
}

Result<std::vector<Mount>> read_mount_table(FileSystem& files) {
  return parse_mount_table(TRY(read_whole_file(files, "/proc/self/mountinfo", kMaxMountTableBytes)));
}

}  // namespace standfast::env

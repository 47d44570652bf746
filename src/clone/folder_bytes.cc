#include "clone/folder_bytes.h"

namespace standfast::clone {

using base::Result;

Result<std::uint64_t> bytes_at(env::FileSystem& files, const std::string& path) {
  const auto info = TRY(files.inspect(path));
  if (!info) return std::uint64_t{0};
  if (info->kind == env::FileKind::kDirectory) return bytes_below(files, path);
  return info->kind == env::FileKind::kRegular ? info->size_bytes : 0;
}

Result<std::uint64_t> bytes_below(env::FileSystem& files, const std::string& folder) {
  std::uint64_t bytes = 0;
  for (const std::string& name : TRY(files.list(folder))) bytes += TRY(bytes_at(files, folder + "/" + name));
  return bytes;
}

}  // namespace standfast::clone

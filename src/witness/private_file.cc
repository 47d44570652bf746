#include "witness/private_file.h"

#include <fmt/format.h>

namespace standfast::witness {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<void> check_private_file(env::FileSystem& files, const std::string& path) {
  constexpr mode_t kOfOthers = 077;
  const auto info = TRY(files.inspect_following(path));
  if (!info || info->kind != env::FileKind::kRegular) {
    return Error(ErrorCode::kIo, fmt::format("\"{}\" is not a file", path), "Check its name.");
  }
  if ((info->mode & kOfOthers) == 0) return base::ok();
  return Error(ErrorCode::kPermission,
               fmt::format("others than its owner may read or write \"{}\" (mode {:04o})", path, info->mode),
               fmt::format("It holds a secret: chmod 600 \"{}\".", path));
}

}  // namespace standfast::witness

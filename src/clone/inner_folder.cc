#include "clone/inner_folder.h"

#include <fmt/format.h>

#include "clone/places.h"
#include "env/process.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<void> make_inner_folder(env::FileSystem& files, const std::string& folder) {
  const std::string inner = inner_folder_of(folder);
  if (const auto info = TRY(files.inspect(inner))) {
    if (info->kind == env::FileKind::kDirectory && info->owner == env::effective_user()) return base::ok();
    return Error(ErrorCode::kTargetRefused, fmt::format("\"{}\" is not a folder of this user's", inner),
                 "Its name is taken by what a clone makes there. Move it away by hand.");
  }
  TRY(files.make_directory(inner, 0700));
  return files.sync_directory(folder);
}

void remove_inner_folder(env::FileSystem& files, const std::string& folder) {
  static_cast<void>(files.remove_directory(inner_folder_of(folder)));
}

}  // namespace standfast::clone

#include "clone/inner_folder.h"

#include <fmt/format.h>

#include "clone/places.h"
#include "env/beneath.h"
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

Result<void> remove_staging(env::FileSystem& files, const std::string& folder) {
  const auto info = TRY(files.inspect(folder));
  if (!info) return base::ok();
  if (info->kind != env::FileKind::kDirectory) return files.remove_file(folder);
  const std::string roots[] = {folder};
  const auto beneath = TRY(env::file_system_beneath(roots));
  for (const std::string& name : TRY(beneath->list(folder)))
    TRY(env::remove_tree(*beneath, fmt::format("{}/{}", folder, name)));
  return files.remove_directory(folder);
}

}  // namespace standfast::clone

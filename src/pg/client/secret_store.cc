#include "pg/client/secret_store.h"

#include <cstdlib>
#include <utility>

#include <unistd.h>

#include "base/check.h"
#include "env/process.h"

namespace standfast::client {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr mode_t kAnyForOthers = 077;
constexpr mode_t kWriteForOthers = 022;

/// Folders that exist must be ours alone to write in, or another user could put files of his own there.
Result<void> check_folder(env::FileSystem& files, const std::string& path) {
  const auto info = TRY(files.inspect(path));
  if (!info) return base::ok();
  if (info->kind != env::FileKind::kDirectory) {
    return Error(ErrorCode::kPermission, "\"" + path + "\" is not a directory",
                 "Move it away, or give another place for the secrets with STANDFAST_HOME.");
  }
  if (info->owner != env::effective_user() || (info->mode & kWriteForOthers) != 0) {
    return Error(ErrorCode::kPermission,
                 "other users may write into the directory of secrets \"" + path + "\"",
                 "Make it yours alone: chown it to the server's user and chmod it to 0700.");
  }
  return base::ok();
}

Result<void> check_folders(env::FileSystem& files, const std::string& root, std::string folder) {
  for (; folder != root; folder = env::parent_of(folder)) TRY(check_folder(files, folder));
  return check_folder(files, root);
}

Error readable_by_others(const std::string& path) {
  return {ErrorCode::kPermission, "others may read, or own, the file of secrets \"" + path + "\"",
          "If nobody but the server's user has read it, chown it to that user and chmod it to 0600; if "
          "somebody may have, remove it and run \"standfast primary setup --rotate-password\"."};
}

}  // namespace

SecretStore::SecretStore(env::FileSystem& files, std::string root)
    : files_(&files), root_(env::absolute_path(root)) {}

Result<SecretStore> SecretStore::locate(env::FileSystem& files) {
  if (const char* given = std::getenv("STANDFAST_HOME"); given != nullptr && *given != '\0') {
    if (*given != '/') {
      return Error(ErrorCode::kUsage, "STANDFAST_HOME is not an absolute path",
                   "Set it to a path that begins with a slash.");
    }
    return SecretStore(files, given);
  }
  const auto user = TRY(env::find_user(env::effective_user()));
  if (!user || user->home.empty()) {
    return Error(ErrorCode::kPrecondition, "this user has no home directory to keep secrets in",
                 "Set STANDFAST_HOME to a directory of this user.");
  }
  return SecretStore(files, user->home + "/.standfast");
}

Result<void> SecretStore::refuse_inside(const std::string& data_directory) const {
  const auto refused = [this](const std::string& where) {
    return Error(ErrorCode::kPrecondition,
                 "the directory of secrets \"" + root_ + "\" lies in the data directory \"" + where + "\"",
                 "A base backup would carry the passwords away. Set STANDFAST_HOME to a directory outside "
                 "every data directory.");
  };
  // Links in the part of the path that exists are resolved, or a link would hide the data directory.
  std::string real = root_;
  while (real != "/" && !TRY(files_->inspect_following(real))) real = env::parent_of(real);
  real = TRY(files_->real_path(real));
  std::string data = env::absolute_path(data_directory);
  if (TRY(files_->inspect_following(data))) data = TRY(files_->real_path(data));
  if (env::is_same_or_inside(real, data) || env::is_same_or_inside(root_, data)) return refused(data);
  for (;; real = env::parent_of(real)) {
    if (TRY(files_->inspect(real + "/PG_VERSION"))) return refused(real);
    if (real == "/") return base::ok();
  }
}

std::string SecretStore::path_of(pg::SystemId system_id, std::string_view name) const {
  const std::size_t slash = name.find('/');
  const std::string_view last = slash == std::string_view::npos ? name : name.substr(slash + 1);
  CHECK(!last.empty() && last.find('/') == std::string_view::npos && last.front() != '.');
  CHECK(name.front() != '.' && name.front() != '/');
  return root_ + "/" + system_id.to_string() + "/" + std::string(name);
}

Result<void> SecretStore::check_writable(pg::SystemId system_id) const {
  std::string folder = env::parent_of(path_of(system_id, "any"));
  TRY(check_folders(*files_, root_, folder));
  while (!TRY(files_->inspect_following(folder))) folder = env::parent_of(folder);
  if (access(folder.c_str(), W_OK | X_OK) == 0) return base::ok();
  return Error(ErrorCode::kPermission,
               "secrets could not be kept in \"" + root_ + "\": \"" + folder + "\" is not writable",
               "Give another place for them with STANDFAST_HOME, or make that directory this user's.");
}

Result<std::optional<base::Secret>> SecretStore::read(pg::SystemId system_id, std::string_view name) const {
  const std::string path = path_of(system_id, name);
  const auto info = TRY(files_->inspect(path));
  if (!info) return std::optional<base::Secret>();
  if (info->kind != env::FileKind::kRegular || info->owner != env::effective_user() ||
      (info->mode & kAnyForOthers) != 0) {
    return readable_by_others(path);
  }
  return std::optional(base::Secret(TRY(env::read_whole_file(*files_, path, kMaxSecretFileBytes))));
}

Result<void> SecretStore::make_folder_of(pg::SystemId system_id, std::string_view name) const {
  const std::string folder = env::parent_of(path_of(system_id, name));
  TRY(check_folders(*files_, root_, folder));
  return env::make_directories(*files_, folder, 0700);
}

Result<SecretStore::Written> SecretStore::write(pg::SystemId system_id, std::string_view name,
                                                const base::Secret& content) const {
  CHECK(content.reveal().size() <= kMaxSecretFileBytes);
  const std::string path = path_of(system_id, name);
  TRY(check_folders(*files_, root_, env::parent_of(path)));
  const auto before = TRY(read(system_id, name));
  if (before && *before == content) return Written::kUnchanged;
  TRY(env::make_directories(*files_, env::parent_of(path), 0700));
  TRY(env::write_file_durably(*files_, path, content.reveal(), {.mode = 0600}));
  return before ? Written::kReplaced : Written::kNew;
}

Result<void> SecretStore::remove(pg::SystemId system_id, std::string_view name) const {
  const std::string path = path_of(system_id, name);
  if (!TRY(files_->inspect(path))) return base::ok();
  TRY(files_->remove_file(path));
  const std::string folder = env::parent_of(path);
  TRY(files_->sync_directory(folder));
  // The folder of a cluster of which nothing is kept any more goes too; it stays while it has other files.
  static_cast<void>(files_->remove_directory(folder));
  return base::ok();
}

}  // namespace standfast::client

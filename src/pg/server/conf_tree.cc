#include "pg/server/conf_tree.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "env/process.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kMaxDepth = 10;  // CONF_FILE_MAX_DEPTH
constexpr std::size_t kMaxFiles = 500;
constexpr std::size_t kMaxBytes = std::size_t{64} << 20U;  // of all files together

bool same_name(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

/// A path in a file is relative to the folder of that file.
std::string place_of(const std::string& named, const std::string& including_file) {
  if (named.starts_with('/')) return named;
  return env::parent_of(including_file) + "/" + named;
}

bool is_there(env::FileSystem& files, const std::string& path) {
  const auto info = files.inspect_following(path);
  return info && *info;
}

/// Whose configuration it is: the folder's owner may put into it what he likes, a link to another's file too.
/// In a folder of root's a file is whose it was given to.
Result<std::optional<env::TrustedOwner>> owner_of(env::FileSystem& files, const std::string& path) {
  const auto folder = TRY(files.inspect_following(env::parent_of(path)));
  const auto file = TRY(files.inspect(path));
  const auto& info = folder && folder->owner == 0 && file ? file : folder;
  return info ? std::optional(env::TrustedOwner{info->owner, info->group}) : std::nullopt;
}

}  // namespace

Result<ConfTree> ConfTree::read(env::FileSystem& files, const std::string& path) {
  ConfTree tree;
  if (env::effective_user() == 0) tree.trusted_ = TRY(owner_of(files, path));
  TRY(tree.add_file(files, path, 0));
  return tree;
}

std::optional<std::string> ConfTree::get(std::string_view name) const {
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(),
                                  [&](const ConfTreeEntry& entry) { return same_name(entry.name, name); });
  if (found == entries_.rend()) return std::nullopt;
  return found->value;
}

Result<void> ConfTree::add_file(env::FileSystem& files, const std::string& path, int depth) {
  if (depth > kMaxDepth || ++files_read_ > kMaxFiles) {
    return Error(ErrorCode::kProtocol, fmt::format("\"{}\" is included too deep, or by itself", path),
                 "Take that include out; PostgreSQL does not take it either.");
  }
  const std::string real = TRY(files.real_path(path));
  const auto info = TRY(files.inspect(real));
  if (!info || info->kind != env::FileKind::kRegular) {
    return Error(ErrorCode::kIo, fmt::format("\"{}\" is not a file", path),
                 "Correct the line that names it.");
  }
  const std::string text = TRY(text_of(files, real));
  bytes_read_ += text.size();
  if (bytes_read_ > kMaxBytes) {
    return Error(ErrorCode::kProtocol, fmt::format("\"{}\" and the files before it are too large", path),
                 "No configuration is that long; look at what is included.");
  }
  auto conf = pg::ConfFile::parse(text);
  if (!conf) return std::move(conf).error().with_context("\"" + path + "\"");
  for (const pg::ConfEntry& entry : conf->entries()) {
    const std::string named = place_of(entry.value, path);
    switch (entry.kind) {
      case pg::ConfEntryKind::kSetting:
        entries_.push_back({entry.name, entry.value, path, entry.line_number});
        break;
      case pg::ConfEntryKind::kIncludeIfExists:
        if (!is_there(files, named)) break;
        [[fallthrough]];
      case pg::ConfEntryKind::kInclude:
        TRY(add_file(files, named, depth + 1));
        break;
      case pg::ConfEntryKind::kIncludeDir:
        TRY(add_folder(files, named, depth + 1));
        break;
    }
  }
  return base::ok();
}

Result<std::string> ConfTree::text_of(env::FileSystem& files, const std::string& real_path) const {
  return trusted_ ? env::read_trusted_file(real_path, *trusted_, pg::kMaxConfFileBytes)
                  : env::read_whole_file(files, real_path, pg::kMaxConfFileBytes);
}

Result<void> ConfTree::add_folder(env::FileSystem& files, const std::string& path, int depth) {
  for (const std::string& name : TRY(files.list(path))) {
    if (name.starts_with('.') || !name.ends_with(".conf")) continue;
    const auto info = TRY(files.inspect_following(path + "/" + name));
    if (info && info->kind == env::FileKind::kDirectory) continue;
    TRY(add_file(files, path + "/" + name, depth));
  }
  return base::ok();
}

}  // namespace standfast::server

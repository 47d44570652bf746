#include "clone/outside.h"

#include <algorithm>

#include <fmt/format.h>

#include "clone/folder_users.h"
#include "env/process.h"
#include "pg/format/utf8.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMaxVersionFileBytes = 64;

/// By what the folders are as well: a bind mount gives one of them another path.
Result<bool> is_same_or_below(env::FileSystem& files, const std::string& path, const std::string& folder) {
  if (env::is_same_or_inside(path, folder)) return true;
  const auto wanted = TRY(files.inspect_following(folder));
  if (!wanted) return false;
  for (std::string at = path;; at = env::parent_of(at)) {
    const auto info = TRY(files.inspect_following(at));
    if (info && info->device == wanted->device && info->inode == wanted->inode) return true;
    if (at == "/") return false;
  }
}

bool consists_of(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
}

/// What a server keeps in pg_wal (access/xlog_internal.h); 17 and later have summaries.
bool is_wal_name(std::string_view name) {
  constexpr std::size_t kTimelineDigits = 8;
  constexpr std::size_t kSegmentDigits = 24;
  if (name == "archive_status" || name == "summaries" || name.starts_with("xlogtemp.")) return true;
  const std::string_view stem = name.substr(0, name.find('.'));
  if (!consists_of(stem, "0123456789ABCDEF")) return false;
  if (stem.size() == kTimelineDigits) return name.substr(stem.size()) == ".history";
  return stem.size() == kSegmentDigits &&
         (name == stem || name.ends_with(".partial") || name.ends_with(".backup"));
}

/// PG_15_202209061
bool is_tablespace_name(std::string_view name) {
  return name.starts_with("PG_") && consists_of(name.substr(3), "0123456789._");
}

Result<void> add_link(env::FileSystem& files, const std::string& data_directory, const std::string& entry,
                      OldLinks& links) {
  const std::string path = data_directory + "/" + entry;
  const auto info = TRY(files.inspect(path));
  if (!info || info->kind != env::FileKind::kSymlink) return base::ok();
  // One that leads nowhere keeps nothing.
  if (const auto real = files.real_path(path)) links.entries[*real] = entry;
  return base::ok();
}

/// Several servers' versions may share a location; only the old directory's own folder is its to give up.
Result<OutsideState> inspect_old_folder(const OutsideQuestion& question, const std::string& entry,
                                        const std::vector<std::string>& names, const OldLinks& old) {
  OutsideState state{.kind = OutsideKind::kOld, .old_entry = entry};
  const bool is_wal = entry == "pg_wal";
  for (const std::string& name : names) {
    if (is_wal ? is_wal_name(name) : is_tablespace_name(name)) {
      if (is_wal || name.starts_with("PG_" + old.version + "_")) state.outgoing.push_back(name);
      continue;
    }
    return refuse(fmt::format("{}, \"{}\", holds \"{}\", which is none of the old data directory's",
                              question.what, question.path, name),
                  "Move it out by hand. For a tablespace, -T OLDDIR=NEWDIR gives another place.");
  }
  return state;
}

/// What the old directory's link leads to need not be its own: in a copy by hand it is the original's.
Result<void> refuse_used_by_a_server(env::FileSystem& files, const OutsideQuestion& question) {
  const auto user = server_that_uses(files, question.path, question.target);
  if (!user) return base::ok();
  return refuse(
      fmt::format("{}, \"{}\", is in use by the server of \"{}\", process {}", question.what, question.path,
                  user->data_directory, user->process),
      "The links of the old data directory lead to files of that server. Give the copy a place of its "
      "own: --waldir another one; for a tablespace, -T OLDDIR=NEWDIR.");
}

}  // namespace

Result<OldLinks> old_links_of(env::FileSystem& files, const TargetState& target) {
  OldLinks links;
  if (target.kind != TargetKind::kDataDirectory) return links;
  const std::string text =
      TRY(env::read_whole_file(files, target.path + "/PG_VERSION", kMaxVersionFileBytes));
  links.version = text.substr(0, text.find('\n'));
  TRY(add_link(files, target.path, "pg_wal", links));
  const std::string tablespaces = target.path + "/pg_tblspc";
  if (!TRY(files.inspect(tablespaces))) return links;
  for (const std::string& name : TRY(files.list(tablespaces)))
    TRY(add_link(files, target.path, "pg_tblspc/" + name, links));
  return links;
}

Result<OutsideState> inspect_outside_folder(env::FileSystem& files, const OutsideQuestion& question,
                                            const OldLinks& old) {
  const std::string& path = question.path;
  const std::string& what = question.what;
  if (path.empty() || path[0] != '/') {
    return refuse(fmt::format("{} must be an absolute path, not \"{}\"", what, path),
                  "Give it from the root on.");
  }
  if (!pg::is_utf8(path)) {
    return refuse(
        fmt::format("the name of {}, \"{}\", is not UTF-8, and the journal of a clone is", what, path),
        "Give another place. For a tablespace, -T OLDDIR=NEWDIR does.");
  }
  const auto info = TRY(files.inspect_following(path));
  const std::string real = info ? TRY(files.real_path(path)) : env::absolute_path(path);
  if (TRY(is_same_or_below(files, real, question.target)) ||
      TRY(is_same_or_below(files, question.target, real))) {
    return refuse(
        fmt::format("{}, \"{}\", must lie outside the data directory \"{}\"", what, path, question.target),
        "Give --waldir another place; for a tablespace, -T OLDDIR=NEWDIR does.");
  }
  TRY(refuse_inside_data_directory(files, real));
  if (!info) return OutsideState{};
  if (info->kind != env::FileKind::kDirectory)
    return refuse(fmt::format("{}, \"{}\", is not a directory", what, path), "Give another path.");
  if (info->owner != env::effective_user()) {
    return refuse(fmt::format("{}, \"{}\", belongs to another user (uid {})", what, path, info->owner),
                  "It must belong to the user that the server runs as.");
  }
  const std::vector<std::string> names = TRY(entries_of(files, path));
  if (names.empty()) return OutsideState{.kind = OutsideKind::kEmpty};
  if (const auto entry = old.entries.find(real); entry != old.entries.end()) {
    TRY(refuse_used_by_a_server(files, question));
    return inspect_old_folder(question, entry->second, names, old);
  }
  return refuse(fmt::format("{}, \"{}\", is not empty", what, path),
                "Empty it by hand. For a tablespace, -T OLDDIR=NEWDIR gives another place.");
}

}  // namespace standfast::clone

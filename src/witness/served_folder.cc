#include "witness/served_folder.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "pg/format/wal_record.h"
#include "store/wal_store.h"
#include "witness/store_news.h"

namespace standfast::witness {

using base::Error;
using base::ErrorCode;
using base::Result;
using wal::serve::ServerFacts;

namespace {

Error nothing_to_serve(const std::string& folder) {
  return {ErrorCode::kPrecondition, fmt::format("\"{}\" holds no WAL that can be served", folder),
          "Let standfast wal receive fill it first."};
}

}  // namespace

Result<std::optional<ServerFacts>> facts_of_folder(env::FileSystem& files, const std::string& folder) {
  constexpr mode_t kOfGroup = 070;
  const auto origin = TRY(store::describe_wal_folder(files, folder));
  if (!origin) return std::optional<ServerFacts>();
  const auto info = TRY(files.inspect_following(folder));
  const auto major = pg::major_of_wal(origin->page_magic);
  if (!major || !info) {
    return Error(ErrorCode::kVersion,
                 fmt::format("the WAL in \"{}\" is of a server version that is not known (page magic {:04X})",
                             folder, origin->page_magic),
                 "Servers of 12 to 18 are supported.");
  }
  return std::optional(ServerFacts{.system_id = origin->system_id,
                                   .server_version = fmt::format("{}", *major),
                                   .segment_bytes = origin->segment_bytes,
                                   .data_directory_mode = (info->mode & kOfGroup) != 0 ? 0750U : 0700U});
}

Result<env::FolderLock> lock_wal_folder(const std::string& folder) {
  return env::FolderLock::take(folder,
                               {.message = fmt::format("another process uses \"{}\"", folder),
                                .hint = "A folder of WAL is one process's at a time: a \"wal receive\", a "
                                        "\"wal serve\" or a \"witness\" runs on it. Stop that one, or "
                                        "name another folder."});
}

Result<ServedFolder> open_served_folder(env::FileSystem& files, const std::string& folder) {
  auto lock = TRY(lock_wal_folder(folder));
  auto facts = TRY(facts_of_folder(files, folder));
  if (!facts) return nothing_to_serve(folder);
  const auto store = TRY(store::WalStore::open(
      files, {.folder = folder, .segment_bytes = facts->segment_bytes, .system_id = facts->system_id}));
  auto view = TRY(view_of_store(files, *store));
  if (!view) return nothing_to_serve(folder);
  return ServedFolder{std::move(lock), *std::move(facts), *std::move(view)};
}

}  // namespace standfast::witness

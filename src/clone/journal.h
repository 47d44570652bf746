// What a clone has made outside its target, written down beside the target, so that a run that was killed
// does not leave anything behind that the next run cannot tell from the user's own: DIR.standfast-clone.json
// (docs/formats/clone-journal.md).
//
// Threading: one thread. Fails: kIo, kPermission; kProtocol for a file that is not understood; kInUse while
// the run that wrote it is alive. Holds no secret.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::clone {

struct JournalSlot {
  std::string name;
  pg::SystemId system_id;
};

/// What putting in place renames; noted before the first rename, so that it can be undone.
struct JournalPlacement {
  struct Entries {
    std::string folder;  ///< one of the journal's; the names go to its parent
    std::vector<std::string> names;
  };
  std::optional<std::string> aside = {};  ///< where the old directory goes
  bool target_was_empty = false;          ///< a folder that has to give way
  std::vector<Entries> entries = {};
};

struct Journal {
  pid_t process = 0;
  std::string process_start;         ///< tells a process from a later one of the same number
  std::vector<std::string> folders;  ///< made by that run; each has a staging name
  std::optional<JournalSlot> slot = {};
  std::optional<JournalPlacement> placement = {};
  bool kept = false;  ///< by --no-clean: the folders are the user's to remove
};

std::string journal_path_of(const std::string& target);
std::string staging_path_of(const std::string& target);
/// The name of the staging folder inside a folder outside the target.
inline constexpr std::string_view kInnerStagingName = "standfast-staging";
bool is_staging_path(const std::string& path);
/// Where a directory that was there is kept begins with this, followed by the time.
std::string aside_prefix_of(const std::string& target);

/// A journal of this process, with nothing in it yet.
base::Result<Journal> new_journal(env::FileSystem& files);
/// The first one of a run: fails with kInUse if there is a journal already, so it is the lock as well.
base::Result<void> create_journal(env::FileSystem& files, const std::string& target, const Journal& journal);
base::Result<void> write_journal(env::FileSystem& files, const std::string& target, const Journal& journal);
base::Result<void> remove_journal(env::FileSystem& files, const std::string& target);
/// What an earlier run left; none if there is nothing. kInUse if that run goes on.
base::Result<std::optional<Journal>> read_stale_journal(env::FileSystem& files, const std::string& target);

}  // namespace standfast::clone

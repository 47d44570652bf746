// Folders outside the data directory that a copy needs: locations of tablespaces, and --waldir. Such a folder
// must be missing, or empty, or hold only what the old data directory, which is to be replaced, keeps there.
//
// Threading: one thread. Nothing is changed here. Fails with kTargetRefused, kPermission, kIo.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/target.h"
#include "env/file_system.h"

namespace standfast::clone {

/// Where the links of a data directory lead: its tablespaces, and its WAL.
struct OldLinks {
  std::map<std::string, std::string> entries;  ///< the folder, links resolved -> "pg_wal", "pg_tblspc/16385"
  std::string version;                         ///< the major one, as in PG_VERSION
};
/// Those of a directory that is to be replaced; none of any other.
base::Result<OldLinks> old_links_of(env::FileSystem& files, const TargetState& target);

enum class OutsideKind : std::uint8_t { kMissing, kEmpty, kOld };

struct OutsideState {
  OutsideKind kind = OutsideKind::kMissing;
  std::string old_entry = {};              ///< with kOld: how the old data directory calls it
  std::vector<std::string> outgoing = {};  ///< with kOld: what of it is the old directory's
};

struct OutsideQuestion {
  std::string path;
  std::string target;
  std::string what;  ///< names it in an error: "tablespace 16385"
};
base::Result<OutsideState> inspect_outside_folder(env::FileSystem& files, const OutsideQuestion& question,
                                                  const OldLinks& old);

}  // namespace standfast::clone

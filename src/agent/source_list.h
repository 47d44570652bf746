// The list of what a base backup of a data directory has: each folder and each file, with the numbers by
// which a client asks for them. A folder comes before what is in it, pg_control comes last.
//
// What vanishes while the list is made is left out, as the server does: WAL tells of it. A link or a special
// file where there should be none is not followed and not listed, but named.
//
// Threading: any; once for each backup, after it has begun. Ownership: a value. It holds what is as much as
// there are files, and the names of one folder at a time.
// Fails: kIo, kPermission as the file system; kPrecondition for more files than may be listed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/messages.h"
#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/backup_files.h"

namespace standfast::agent {

/// Where the files of a number are: the data directory (0) or a tablespace.
struct SourceRoot {
  std::uint32_t tablespace_oid = 0;
  std::string path;  ///< absolute, without links
};

/// A folder, whatever its name is.
using FolderIdentity = std::pair<std::uint64_t, std::uint64_t>;  // device and inode
inline FolderIdentity identity_of(const env::FileInfo& info) {
  return {info.device, info.inode};
}

struct SourceRules {
  pg::Version version;
  pg::BackupLayout layout;
  std::map<FolderIdentity, pg::BackupUse> folders = {};  ///< that are not to be treated by their names
  std::size_t max_entries = 0;
};

constexpr std::size_t kMaxNamedSpecial = 100;

struct SourceList {
  std::vector<FileEntry> entries;    ///< each at the place that its number says
  std::vector<std::string> special;  ///< paths of links and special files that are not in the list, the first
  std::size_t special_count = 0;     ///< kMaxNamedSpecial of so many
};

base::Result<SourceList> list_source(env::FileSystem& files, const std::vector<SourceRoot>& roots,
                                     const SourceRules& rules);

}  // namespace standfast::agent

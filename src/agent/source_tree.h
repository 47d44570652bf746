// What an agent shows of its own data directory: the list of a base backup's files, their bytes and the
// hashes of their blocks. The data directory and its tablespaces are opened once; each file below them is
// reached from there with no link followed and nothing that leads out (env/beneath.h): a client names a
// number of the list, never a path. Who reads one range of a file after the other keeps it open meanwhile.
//
// A read is what is there now: fewer bytes where the file has become shorter, `is_gone` where there is none
// any more, and what has been added to it since the list was made as far as it is asked for. A page may be
// torn: whoever checks it asks again. pg_control and pg_filenode.map are read whole until their own checksum
// holds; a client takes each of them in one range.
//
// Reads go by the page cache, in which the pages that the server has in use are found, and of which O_DIRECT
// would have to write the changed ones first. The kernel is told that each is read once (File::
// expect_single_pass()), so that a copy does not drive out what the server reads again. Nothing is dropped
// from the cache behind a read: that cannot tell a page which the server needs from one that it does not.
//
// Threading: open() in one; the rest by any number at once. Ownership: holds the folders' descriptors.
// Fails: kIo, kPermission as the file system, with the path; kIo where a link, or something that is no file,
// stands where a listed one was; kProtocol for numbers and ranges that there are not; kDamaged for a
// pg_control or map whose checksum does not come to hold; kPrecondition for no data directory; kVersion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/messages.h"
#include "agent/source_list.h"
#include "base/result.h"
#include "env/file_system.h"
#include "env/read_ahead.h"
#include "pg/format/backup_files.h"

namespace standfast::agent {

constexpr std::size_t kMaxListedFiles = 8'000'000;
constexpr int kWholeFileTries = 20;

struct SourceTreeOptions {
  std::string data_directory;
  /// stats_temp_directory relative to it, of servers until 14; empty: not below it.
  std::string stats_temp_folder = {};
  /// Folders that nobody gets anything of, wherever they lie: those with the agent's keys.
  std::vector<std::string> private_folders = {};
  std::size_t max_entries = kMaxListedFiles;
  /// Waits before the next try at a file that was not whole; an error ends the tries. Empty: 10 ms.
  std::function<base::Result<void>()> pause = {};
};

struct RangeRead {
  bool is_gone = false;
  std::size_t bytes = 0;  ///< fewer than were asked for: the file ends there now
};

class SourceTree {
 public:
  /// Makes the list, after the backup has begun: what comes into being later WAL tells of.
  static base::Result<SourceTree> open(SourceTreeOptions options);

  const std::vector<FileEntry>& entries() const { return list_.entries; }
  /// Those that lie elsewhere, as the links in pg_tblspc say; one that lies in pg_tblspc itself is among the
  /// entries of the data directory.
  const std::vector<Tablespace>& tablespaces() const { return tablespaces_; }
  /// Links and special files that are not in the list, as a base backup of the server leaves them out too.
  const std::vector<std::string>& special() const { return list_.special; }
  std::size_t special_count() const { return list_.special_count; }

  /// The file that ranges are read of one after the other, of one reader; one thread at a time.
  class Reading {
   public:
    Reading() = default;

   private:
    friend class SourceTree;
    std::uint32_t number_ = 0;
    std::unique_ptr<env::File> file_ = {};
    env::ReadAhead ahead_;
  };
  base::Result<RangeRead> read_range(Reading& reading, std::uint32_t number, std::uint64_t offset,
                                     std::span<std::byte> into) const;
  base::Result<RangeHashes> hash_range(const HashRange& range) const;

 private:
  struct Source;

  SourceTree() = default;
  base::Result<std::vector<SourceRoot>> find_roots(const std::string& data_directory);
  base::Result<SourceRules> find_rules(const std::vector<SourceRoot>& roots) const;

  /// No value: there is no such file any more.
  base::Result<std::optional<Source>> open_entry(std::uint32_t number) const;
  base::Result<std::optional<std::string>> read_whole(const std::string& path, pg::WholeFile kind) const;

  SourceTreeOptions options_;
  std::unique_ptr<env::FileSystem> files_;
  std::map<std::uint32_t, std::string> roots_;  ///< paths by tablespace, 0 the data directory
  std::vector<Tablespace> tablespaces_;
  SourceList list_;
};

}  // namespace standfast::agent

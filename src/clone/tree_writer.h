// Turns the archives of a backup into files below the staging folders, and keeps of each file what the
// manifest must say about it.
//
// Threading: one thread, the writer's. Ownership: borrows the FileSystem and the SyncPool.
// Invariants: nothing is written outside the folders it was given, through no link either that the archive
// itself brought; no existing file is overwritten; a file is handed to the SyncPool when it is complete.
// Fails: kProtocol for an archive no server makes, and what writing fails with (kDiskFull, kIo).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "base/result.h"
#include "clone/sync_pool.h"
#include "env/file_system.h"
#include "pg/format/backup_stream.h"
#include "pg/format/tar_reader.h"

namespace standfast::clone {

struct ReceivedFile {
  std::string path;  ///< as the manifest names it
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32c = 0;
};

/// 0700 and 0600, or 0750 and 0640 where the source lets its group read.
struct TreeModes {
  mode_t directory = 0700;
  mode_t file_mask = 0700;  ///< of the modes in the archive

  mode_t file() const { return file_mask & 0640; }
};

/// Where a tablespace is written, and what the link in pg_tblspc will point to.
struct TablespacePlace {
  std::string folder;
  std::string link_target;
};

class TreeWriter final : public pg::BackupHandler, private pg::TarHandler {
 public:
  struct Options {
    std::string data_folder;
    std::string wal_folder;  ///< exists, as does archive_status in it
    /// Entries of the data directory that are written elsewhere, such as pg_wal; these folders exist.
    std::map<std::string, std::string> entry_folders = {};
    std::map<std::uint32_t, TablespacePlace> tablespaces = {};
    TreeModes modes = {};
  };
  /// Without a pool nothing is synced.
  TreeWriter(env::FileSystem& files, SyncPool* pool, Options options);

  base::Result<void> begin_archive(const pg::BackupTablespace& tablespace) override;
  base::Result<void> archive_bytes(base::Bytes bytes) override;
  base::Result<void> end_archive() override;
  base::Result<void> begin_manifest() override;
  base::Result<void> manifest_bytes(base::Bytes bytes) override;
  /// After the last byte.
  base::Result<void> finish();

  const std::vector<ReceivedFile>& received_files() const { return received_; }
  /// All folders that have entries to be made durable, parents before their children.
  const std::set<std::string>& folders() const { return folders_; }
  std::uint64_t file_bytes() const { return file_bytes_; }

 private:
  base::Result<void> begin_entry(const pg::TarEntry& entry) override;
  base::Result<void> entry_bytes(base::Bytes bytes) override;
  base::Result<void> end_entry() override;
  base::Result<void> make_link(const pg::TarEntry& entry);
  base::Result<void> make_folder(const std::string& path);
  base::Result<void> hand_over();
  std::string place_of(const std::string& entry_path) const;
  bool has_folder_elsewhere(const std::string& entry_path) const;
  bool lies_behind_link(const std::string& entry_path) const;

  struct Open {
    std::unique_ptr<env::File> file;
    std::string manifest_path;
    std::uint64_t size_bytes = 0;
    std::uint64_t writeback_from = 0;
    base::Crc32c crc;
  };

  env::FileSystem& files_;
  SyncPool* pool_;
  Options options_;
  std::optional<pg::TarReader> tar_;
  bool in_data_folder_ = false;
  std::string root_;             ///< of the archive at hand
  std::string manifest_prefix_;  ///< "pg_tblspc/16385/" or nothing
  std::optional<Open> open_;
  std::vector<ReceivedFile> received_;
  std::set<std::string> folders_;
  std::set<std::string> links_;  ///< of the archive at hand, by their entries' paths
  std::uint64_t file_bytes_ = 0;
};

}  // namespace standfast::clone

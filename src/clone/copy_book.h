// What the fetchers of one copy know together: which file has been begun, what came of each of its pieces,
// which pages are damaged, how far all is. Whoever ends the last piece of a file ends the file: takes it
// away where the source has none any more, gives it its length, makes it durable.
//
// Threading: any number of threads. Ownership: borrows the file system, the layout and the pool, which
// outlive it. Memory: some words for each file; of a file in work a few for each of its pieces. Fails: as the
// file system and the pool do.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "clone/copy_layout.h"
#include "clone/copy_work.h"
#include "clone/page_rules.h"
#include "clone/sync_pool.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::clone {

/// A file as it lies in the folder now.
struct CopiedFile {
  std::string manifest_path;
  std::string place;
  std::uint64_t size_bytes = 0;
  std::int64_t modified_unix_seconds = 0;
  std::optional<std::uint32_t> crc32c = {};  ///< none: it has to be read again for that
};

struct Damage {
  static constexpr std::size_t kMaxNamed = 1000;
  std::vector<DamagedPage> named;  ///< the first ones
  std::uint64_t count = 0;
};

struct CopyProgress {
  std::uint64_t total_bytes = 0;  ///< of the list
  std::uint64_t equal_bytes = 0;  ///< were there already
  std::uint64_t fetched_bytes = 0;
  std::uint64_t total_files = 0;
  std::uint64_t done_files = 0;
};

/// What a fetcher has to say of a piece.
struct PieceOutcome {
  bool is_gone = false;
  std::optional<std::uint64_t> ended_at = {};  ///< the source's file ends there, before it was expected
  std::optional<std::uint32_t> crc32c = {};    ///< of all the piece's bytes
};

class CopyBook {
 public:
  /// Without a pool nothing is made durable.
  CopyBook(env::FileSystem& files, const CopyLayout& layout, const WorkRules& rules, SyncPool* pool);

  /// To be read and written; made by the first who asks, where there was none.
  base::Result<std::unique_ptr<env::File>> open(const Piece& piece);
  /// `file`: what open() gave.
  base::Result<void> end(const Piece& piece, const PieceOutcome& outcome, std::unique_ptr<env::File> file);

  void add_damage(DamagedPage page);
  void add_equal(std::uint64_t bytes) { equal_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  void add_fetched(std::uint64_t bytes) { fetched_bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  CopyProgress progress() const;
  /// Once all pieces have ended.
  Damage take_damage();
  std::vector<CopiedFile> take_files();

 private:
  struct InWork {
    std::uint64_t pieces_left = 0;
    bool is_gone = false;
    std::optional<std::uint64_t> ended_at = {};
    std::vector<std::optional<std::uint32_t>> crcs;  ///< of the pieces
  };
  InWork& in_work(std::size_t file);
  base::Result<void> end_file(const PlannedFile& planned, const InWork& work,
                              std::unique_ptr<env::File> file);
  std::optional<std::uint32_t> crc_of(const PlannedFile& planned, const InWork& work) const;

  env::FileSystem& files_;
  const CopyLayout& layout_;
  const WorkRules rules_;
  SyncPool* pool_;
  std::uint64_t total_bytes_ = 0;

  mutable std::mutex mutex_;
  std::unordered_map<std::size_t, InWork> in_work_;
  std::vector<CopiedFile> copied_;
  Damage damage_;
  std::atomic<std::uint64_t> equal_bytes_ = 0;
  std::atomic<std::uint64_t> fetched_bytes_ = 0;
  std::atomic<std::uint64_t> done_files_ = 0;
};

}  // namespace standfast::clone

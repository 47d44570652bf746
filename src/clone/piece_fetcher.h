// One stream of a copy: takes a unit of work, finds out which bytes of its pieces differ from the source's,
// fetches and writes those.
//
// Pages are checked as they arrive, and those of ours before they count for equal. One that does not fit is
// asked for again, once all else of the unit is there: a torn read and a bit that flipped on the way come
// right then, what stays the same is damaged at the source, and is written as it is.
//
// Threading: one thread for each. Ownership: borrows the stream and what the options name. Memory: the
// stream's, one buffer of kMaxRangeBytes, and hashes for the runs of a unit.
// Fails: as the stream, the file system and the book do; kProtocol for answers that do not fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "agent/block_runs.h"
#include "base/hash128.h"
#include "base/result.h"
#include "clone/copy_book.h"
#include "clone/copy_layout.h"
#include "clone/copy_stream.h"
#include "clone/copy_work.h"
#include "clone/page_rules.h"
#include "clone/rate_limit.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::clone {

struct FetchOptions {
  env::FileSystem& files;
  const CopyLayout& layout;
  CopyBook& book;
  RateLimit& rate;
  const env::StopEvent& stop;
  std::optional<PageRules> pages = {};
  std::uint32_t run_bytes = 8192;
  /// Files from this size on are written past the page cache, short ranges excepted.
  std::uint64_t direct_from_bytes = std::uint64_t{1} << 20U;
};

class PieceFetcher {
 public:
  /// How often a page that does not fit is asked for again, and how often the same in a row is damage.
  static constexpr int kPageTries = 6;
  static constexpr int kSameTimes = 2;

  PieceFetcher(CopyStream& stream, const FetchOptions& options);
  ~PieceFetcher();
  base::Result<void> run(const WorkUnit& unit);

 private:
  struct Part {
    std::uint64_t offset = 0;
    std::uint64_t length_bytes = 0;
    std::uint32_t crc32c = 0;
  };
  struct BadPage {
    std::uint64_t offset = 0;
    base::Hash128 hash;
  };
  struct OpenPiece {
    Piece piece;
    const PlannedFile* planned = nullptr;
    std::unique_ptr<env::File> file = {};
    std::unique_ptr<env::File> direct = {};
    PieceOutcome outcome = {};
    std::vector<agent::FileRange> ranges = {};
    std::vector<Part> parts = {};  ///< of the bytes that are there and right
    std::vector<BadPage> bad_pages = {};
    bool writes_cached = false;

    std::uint64_t end() const { return piece.offset + piece.length_bytes; }
    void note_end(std::uint64_t at);
  };
  struct OurRuns {
    std::vector<base::Hash128> hashes;
    std::vector<std::uint32_t> crcs;
  };
  struct Wanted {
    OpenPiece* piece = nullptr;
    agent::FileRange range;
  };

  base::Result<void> open(const WorkUnit& unit);
  bool is_compared(const OpenPiece& piece) const;
  base::Result<void> compare_all();
  base::Result<OurRuns> hash_ours(const OpenPiece& piece);
  base::Result<void> compare(OpenPiece& piece, const OurRuns& ours);
  base::Result<void> fetch_all();
  base::Result<void> take(OpenPiece& piece, const agent::FileRange& range);
  static base::Result<void> note_whole(OpenPiece& piece, std::uint64_t size_bytes);
  base::Result<void> repair(OpenPiece& piece, const BadPage& bad);
  base::Result<void> write(OpenPiece& piece, std::uint64_t offset, base::Bytes bytes);
  base::Result<void> end(OpenPiece& piece);
  std::vector<std::size_t> bad_pages_in(const OpenPiece& piece, std::uint64_t offset,
                                        base::Bytes bytes) const;
  std::uint32_t block_number(const OpenPiece& piece, std::uint64_t offset) const;
  std::optional<std::uint32_t> crc_of(OpenPiece& piece) const;
  base::Result<void> pause() const;

  CopyStream& stream_;
  const FetchOptions& options_;
  std::vector<OpenPiece> pieces_;
  std::vector<std::byte> buffer_;
};

}  // namespace standfast::clone

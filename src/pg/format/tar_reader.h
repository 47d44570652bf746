// A tar archive as PostgreSQL writes it (port/tar.c tarCreateHeader(), backup/basebackup.c), read as it
// arrives: bytes go in, in pieces of any size, and files come out. Nothing is kept but one header block.
//
// Threading: one thread. Ownership: borrows its handler.
// Invariants: for each entry the handler gets begin_entry(), then entry_bytes() of exactly size_bytes in
// total, then end_entry(). A path is relative, without empty, "." or ".." parts, so that it cannot leave the
// folder it is written below. Where a link may point to is for the handler to decide.
// Fails: kProtocol for a header whose sum does not hold, a kind of entry PostgreSQL does not send, a path
// that is not sane, or an archive that is cut off; and whatever the handler fails with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace standfast::pg {

inline constexpr std::size_t kTarBlockBytes = 512;

enum class TarEntryKind : std::uint8_t { kFile, kDirectory, kSymlink };

struct TarEntry {
  std::string path;
  TarEntryKind kind = TarEntryKind::kFile;
  std::uint64_t size_bytes = 0;
  std::uint32_t mode = 0;  ///< permission bits
  std::string link_target;
};

class TarHandler {
 public:
  virtual ~TarHandler() = default;
  virtual base::Result<void> begin_entry(const TarEntry& entry) = 0;
  virtual base::Result<void> entry_bytes(base::Bytes bytes) = 0;
  virtual base::Result<void> end_entry() = 0;
};

class TarReader {
 public:
  explicit TarReader(TarHandler& handler) : handler_(handler) {}

  base::Result<void> push(base::Bytes bytes);
  /// The archive is over. The two zero blocks at its end may be missing: before 15 the server leaves them
  /// out.
  base::Result<void> finish();

 private:
  enum class State : std::uint8_t { kHeader, kData, kPadding, kTrailer };
  base::Result<void> take_header(base::Bytes& bytes);
  base::Result<void> begin_entry();
  base::Result<void> end_data();

  TarHandler& handler_;
  State state_ = State::kHeader;
  std::array<std::byte, kTarBlockBytes> header_{};
  std::size_t header_filled_bytes_ = 0;
  std::uint64_t data_left_bytes_ = 0;
  std::size_t padding_left_bytes_ = 0;
  std::string path_;  ///< of the entry at hand, for errors
};

}  // namespace standfast::pg

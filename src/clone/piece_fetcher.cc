#include "clone/piece_fetcher.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "env/read_ahead.h"
#include "pg/format/page.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr base::Milliseconds kPagePause(20);
/// What is shorter goes through the page cache: past it, each of the many blocks of a rejoin that lie apart
/// would wait for the disk by itself.
constexpr std::size_t kDirectRangeBytes = std::size_t{64} << 10U;

std::uint32_t crc_of_bytes(base::Bytes bytes) {
  base::Crc32c crc;
  crc.update(bytes);
  return crc.value();
}

bool is_aligned(std::uint64_t offset, const std::byte* memory) {
  return offset % env::kDirectBlockBytes == 0 &&
         reinterpret_cast<std::uintptr_t>(memory) % env::kDirectBlockBytes == 0;
}

}  // namespace

PieceFetcher::PieceFetcher(CopyStream& stream, const FetchOptions& options)
    : stream_(stream), options_(options), buffer_(agent::kMaxRangeBytes) {
  CHECK(options_.run_bytes >= agent::kMinRunBytes && agent::kMaxRangeBytes % options_.run_bytes == 0);
  CHECK(!options_.pages || options_.run_bytes % options_.pages->block_bytes == 0);
}

PieceFetcher::~PieceFetcher() = default;

void PieceFetcher::OpenPiece::note_end(std::uint64_t at) {
  outcome.ended_at = std::min(outcome.ended_at.value_or(at), at);
}

Result<void> PieceFetcher::run(const WorkUnit& unit) {
  pieces_.clear();
  TRY(open(unit));
  TRY(compare_all());
  TRY(fetch_all());
  for (OpenPiece& piece : pieces_) {
    const std::vector<BadPage> bad_pages = std::exchange(piece.bad_pages, {});
    for (const BadPage& bad : bad_pages) TRY(repair(piece, bad));
    TRY(end(piece));
  }
  return base::ok();
}

Result<void> PieceFetcher::open(const WorkUnit& unit) {
  pieces_.reserve(unit.size());
  for (const Piece& piece : unit) {
    OpenPiece next;
    next.piece = piece;
    next.planned = &options_.layout.files[piece.file];
    next.file = TRY(options_.book.open(piece));
    if (next.planned->size_bytes >= options_.direct_from_bytes)
      next.direct = TRY(options_.files.open_for_direct_writing(next.planned->place));
    pieces_.push_back(std::move(next));
  }
  return base::ok();
}

bool PieceFetcher::is_compared(const OpenPiece& piece) const {
  return piece.planned->existing_bytes.value_or(0) > piece.piece.offset && piece.piece.length_bytes > 0;
}

/// Hashes of ours are made while the source makes its own.
Result<void> PieceFetcher::compare_all() {
  std::deque<std::pair<OpenPiece*, OurRuns>> under_way;
  const auto take_one = [&]() -> Result<void> {
    TRY(compare(*under_way.front().first, under_way.front().second));
    under_way.pop_front();
    return base::ok();
  };
  for (OpenPiece& piece : pieces_) {
    if (piece.planned->is_whole) {
      piece.ranges = {{0, agent::kMaxRangeBytes}};
      continue;
    }
    if (!is_compared(piece)) {
      const agent::Stretch all{piece.piece.offset, piece.piece.length_bytes, options_.run_bytes};
      piece.ranges = agent::plan_all(all, piece.planned->size_bytes);
      continue;
    }
    if (under_way.size() == stream_.max_under_way()) TRY(take_one());
    TRY(stream_.ask_hashes({.file = piece.planned->number,
                            .offset = piece.piece.offset,
                            .length_bytes = piece.piece.length_bytes,
                            .run_bytes = options_.run_bytes}));
    OurRuns ours = TRY(hash_ours(piece));
    under_way.emplace_back(&piece, std::move(ours));
  }
  while (!under_way.empty()) TRY(take_one());
  return base::ok();
}

Result<PieceFetcher::OurRuns> PieceFetcher::hash_ours(const OpenPiece& piece) {
  OurRuns ours;
  env::ReadAhead ahead;
  const std::uint64_t end = std::min(piece.end(), piece.planned->existing_bytes.value_or(0));
  for (std::uint64_t offset = piece.piece.offset; offset < end;) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer_.size(), end - offset);
    const std::size_t count = TRY(piece.file->read_at(offset, std::span(buffer_).first(wanted)));
    for (std::size_t at = 0; at < count; at += options_.run_bytes) {
      const base::Bytes run =
          base::Bytes(buffer_).subspan(at, std::min<std::size_t>(options_.run_bytes, count - at));
      base::Hash128 hash = base::hash128(run);
      // A page that does not fit came from damage, here or there: the source has to say so again.
      if (!bad_pages_in(piece, offset + at, run).empty()) hash = {~hash.high, ~hash.low};
      ours.hashes.push_back(hash);
      ours.crcs.push_back(crc_of_bytes(run));
    }
    if (count < wanted) break;
    ahead.went_on(*piece.file, offset, offset + count);
    offset += count;
  }
  return ours;
}

Result<void> PieceFetcher::compare(OpenPiece& piece, const OurRuns& ours) {
  const agent::RangeHashes source = TRY(stream_.take_hashes());
  if (source.is_gone) {
    piece.outcome.is_gone = true;
    return base::ok();
  }
  std::uint64_t source_size = piece.planned->size_bytes;
  if (source.covered_bytes < piece.piece.length_bytes) {
    source_size = piece.piece.offset + source.covered_bytes;
    piece.note_end(source_size);
  }
  const agent::Stretch stretch{piece.piece.offset, piece.piece.length_bytes, options_.run_bytes};
  piece.ranges = agent::plan_stretch(stretch, {piece.planned->existing_bytes.value_or(0), ours.hashes},
                                     {source_size, source.hashes})
                     .fetch;
  // What lies between the ranges is equal.
  std::uint64_t at = piece.piece.offset;
  const auto add_equal = [&](std::uint64_t until) {
    for (; at < until; at += options_.run_bytes) {
      const std::uint64_t length = std::min<std::uint64_t>(options_.run_bytes, until - at);
      piece.parts.push_back({at, length, ours.crcs[(at - piece.piece.offset) / options_.run_bytes]});
      options_.book.add_equal(length);
    }
  };
  for (const agent::FileRange& range : piece.ranges) {
    add_equal(range.offset);
    at = range.offset + range.length_bytes;
  }
  add_equal(std::min(piece.end(), source_size));
  return base::ok();
}

Result<void> PieceFetcher::fetch_all() {
  std::deque<Wanted> under_way;
  const auto take_one = [&]() -> Result<void> {
    const Wanted wanted = under_way.front();
    under_way.pop_front();
    return take(*wanted.piece, wanted.range);
  };
  for (OpenPiece& piece : pieces_) {
    for (const agent::FileRange& range : piece.ranges) {
      // Where there is a limit no answer waits for it: the source would take that for a silent client.
      const std::size_t most = options_.rate.is_limited() ? 1 : stream_.max_under_way();
      while (under_way.size() >= most) TRY(take_one());
      const std::uint64_t expected =
          piece.planned->is_whole ? piece.planned->size_bytes : std::uint64_t{range.length_bytes};
      TRY(options_.rate.take(expected, options_.stop));
      TRY(stream_.ask_bytes(piece.planned->number, range));
      under_way.push_back({&piece, range});
    }
  }
  while (!under_way.empty()) TRY(take_one());
  return base::ok();
}

Result<void> PieceFetcher::take(OpenPiece& piece, const agent::FileRange& range) {
  const CopyStream::Bytes got = TRY(stream_.take_bytes());
  if (got.is_gone) {
    piece.outcome.is_gone = true;
    return base::ok();
  }
  if (got.plain.size() > range.length_bytes)
    return Error(ErrorCode::kProtocol, "the agent sent more bytes than it was asked for");
  if (piece.planned->is_whole) {
    TRY(note_whole(piece, got.plain.size()));
  } else if (got.plain.size() < range.length_bytes) {
    piece.note_end(range.offset + got.plain.size());
  }
  if (piece.outcome.is_gone || got.plain.empty()) return base::ok();

  for (const std::size_t page : bad_pages_in(piece, range.offset, got.plain)) {
    const std::size_t at = page * options_.pages->block_bytes;
    piece.bad_pages.push_back(
        {range.offset + at, base::hash128(got.plain.subspan(at, options_.pages->block_bytes))});
  }
  TRY(write(piece, range.offset, got.plain));
  piece.parts.push_back({range.offset, got.plain.size(), crc_of_bytes(got.plain)});
  options_.book.add_fetched(got.plain.size());
  return base::ok();
}

/// It may be another file by now than the one that was listed: of what no WAL tells, half of one and half of
/// the other, or the first part alone, would be neither.
Result<void> PieceFetcher::note_whole(OpenPiece& piece, std::uint64_t size_bytes) {
  if (size_bytes == agent::kMaxRangeBytes && piece.planned->size_bytes < size_bytes) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("file \"{}\" grew from {} bytes to {} or more while it was copied",
                             piece.planned->manifest_path, piece.planned->size_bytes, size_bytes),
                 "Run this again: the copy begins with how long it is then.");
  }
  if (size_bytes != piece.planned->size_bytes) piece.note_end(size_bytes);
  return base::ok();
}

Result<void> PieceFetcher::repair(OpenPiece& piece, const BadPage& bad) {
  // The part that the page is in has changed: its CRC is to be computed anew, from the file.
  std::erase_if(piece.parts, [&](const Part& part) {
    return bad.offset >= part.offset && bad.offset < part.offset + part.length_bytes;
  });
  const agent::FileRange range{bad.offset, options_.pages->block_bytes};
  base::Hash128 last = bad.hash;
  pg::Lsn lsn;
  int same = 0;
  for (int i = 0; i < kPageTries && same < kSameTimes && !piece.outcome.is_gone; ++i) {
    if (i > 0) TRY(pause());
    TRY(options_.rate.take(range.length_bytes, options_.stop));
    TRY(stream_.ask_bytes(piece.planned->number, range));
    const CopyStream::Bytes got = TRY(stream_.take_bytes());
    piece.outcome.is_gone = piece.outcome.is_gone || got.is_gone;
    if (got.plain.size() != range.length_bytes) {
      if (!got.is_gone) piece.note_end(range.offset + got.plain.size());
      return base::ok();
    }
    TRY(write(piece, bad.offset, got.plain));
    if (bad_pages_in(piece, bad.offset, got.plain).empty()) return base::ok();
    const base::Hash128 hash = base::hash128(got.plain);
    same = hash == last ? same + 1 : 0;
    last = hash;
    lsn = pg::page_header(got.plain).lsn;
  }
  options_.book.add_damage({.path = piece.planned->manifest_path,
                            .block = block_number(piece, bad.offset),
                            .offset = bad.offset,
                            .lsn = lsn});
  return base::ok();
}

Result<void> PieceFetcher::pause() const {
  const auto wait = env::Wait::for_at_most(kPagePause, &options_.stop);
  if (env::wait_for(-1, 0, wait) == env::Ready::kStopped) return env::cancelled_error();
  return base::ok();
}

Result<void> PieceFetcher::write(OpenPiece& piece, std::uint64_t offset, base::Bytes bytes) {
  const std::size_t whole = bytes.size() - bytes.size() % env::kDirectBlockBytes;
  if (piece.direct && whole >= kDirectRangeBytes && is_aligned(offset, bytes.data())) {
    auto written = piece.direct->write_at(offset, bytes.first(whole));
    if (written) {
      offset += whole;
      bytes = bytes.subspan(whole);
    } else if (written.error().os_errno == EINVAL) {
      piece.direct.reset();  // the device wants larger blocks
    } else {
      return written;
    }
  }
  if (bytes.empty()) return base::ok();
  piece.writes_cached = true;
  return piece.file->write_at(offset, bytes);
}

Result<void> PieceFetcher::end(OpenPiece& piece) {
  piece.outcome.crc32c = crc_of(piece);
  piece.direct.reset();
  if (piece.writes_cached) piece.file->start_writeback(piece.piece.offset, piece.piece.length_bytes);
  return options_.book.end(piece.piece, piece.outcome, std::move(piece.file));
}

std::optional<std::uint32_t> PieceFetcher::crc_of(OpenPiece& piece) const {
  std::sort(piece.parts.begin(), piece.parts.end(),
            [](const Part& left, const Part& right) { return left.offset < right.offset; });
  const base::Crc32cJoin run_join(options_.run_bytes);
  std::uint64_t at = piece.piece.offset;
  std::uint32_t crc = 0;
  for (const Part& part : piece.parts) {
    if (part.offset != at) return std::nullopt;
    crc = part.length_bytes == options_.run_bytes ? run_join(crc, part.crc32c)
                                                  : base::Crc32cJoin(part.length_bytes)(crc, part.crc32c);
    at += part.length_bytes;
  }
  if (at != piece.end()) return std::nullopt;
  return crc;
}

std::uint32_t PieceFetcher::block_number(const OpenPiece& piece, std::uint64_t offset) const {
  return piece.planned->relation->first_block_number(options_.pages->segment_blocks) +
         static_cast<std::uint32_t>(offset / options_.pages->block_bytes);
}

std::vector<std::size_t> PieceFetcher::bad_pages_in(const OpenPiece& piece, std::uint64_t offset,
                                                    base::Bytes bytes) const {
  if (!options_.pages || !piece.planned->relation) return {};
  const pg::PageRun run{.bytes = bytes,
                        .first_block_number = block_number(piece, offset),
                        .block_bytes = options_.pages->block_bytes};
  return pg::bad_pages(run, options_.pages->backup_start);
}

}  // namespace standfast::clone

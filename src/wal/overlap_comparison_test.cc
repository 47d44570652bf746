#include "wal/overlap_comparison.h"

#include <gtest/gtest.h>

#include "wal/wal_builder.h"

namespace standfast::wal {
namespace {

using testing::WalBuilder;

constexpr std::uint64_t kSegment = 1U << 20U;

OverlapComparison comparison_of(const WalBuilder& wal, pg::Lsn from) {
  return OverlapComparison({.start = from,
                            .timeline = wal.timeline(),
                            .segment_bytes = kSegment,
                            .system_id = pg::SystemId(0x6B03'34B7'1203'75A1U)});
}

/// In pieces of any size.
OverlapComparison compare(const WalBuilder& wal, std::string_view theirs, pg::Lsn from, std::size_t piece) {
  OverlapComparison comparison = comparison_of(wal, from);
  std::string_view ours = wal.bytes();
  ours.remove_prefix(from.bytes_since(wal.start()));
  theirs.remove_prefix(from.bytes_since(wal.start()));
  while (!ours.empty()) {
    const std::size_t count = std::min(piece, ours.size());
    comparison.feed(base::as_bytes(ours.substr(0, count)), base::as_bytes(theirs.substr(0, count)));
    ours.remove_prefix(count);
    theirs.remove_prefix(count);
  }
  return comparison;
}

pg::Lsn before(pg::Lsn position, std::uint64_t bytes) {
  return pg::Lsn(position.value() - bytes);
}

WalBuilder wal_with_a_switch() {
  WalBuilder wal({.segment_bytes = kSegment});
  for (int i = 0; i < 100; ++i) wal.append({.data = std::string(700, 'a')});
  wal.switch_segment();
  for (int i = 0; i < 100; ++i) wal.append({.data = std::string(700, 'b')});
  return wal;
}

TEST(OverlapComparison, TheFirstByteOfARecordThatDiffersIsNamed) {
  const WalBuilder wal = wal_with_a_switch();
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{8192}, std::size_t{100'000}, std::size_t{1} << 21U}) {
    EXPECT_FALSE(compare(wal, wal.bytes(), wal.start(), piece).difference());
    for (const auto& record : {wal.records().front(), wal.records()[50], wal.records().back()}) {
      std::string theirs = wal.bytes();
      const std::uint64_t at = record.start.bytes_since(wal.start()) + 20;
      theirs[at] = static_cast<char>(theirs[at] ^ 1);
      EXPECT_EQ(compare(wal, theirs, wal.start(), piece).difference(), wal.start() + at);
    }
  }
}

TEST(OverlapComparison, WhatASwitchLeftUnusedMayDiffer) {
  const WalBuilder wal = wal_with_a_switch();
  const pg::Lsn segment_end = wal.start() + kSegment;
  std::string theirs = wal.bytes();
  for (std::uint64_t at = 100'000; at < kSegment; ++at) theirs[at] = 'z';
  for (const std::size_t piece :
       {std::size_t{40}, std::size_t{8192}, std::size_t{100'000}, std::size_t{1} << 21U}) {
    const auto whole = compare(wal, theirs, wal.start(), piece);
    EXPECT_FALSE(whole.difference());
    EXPECT_LT(whole.compared_bytes(), wal.bytes().size());
    // Also where the comparison begins in it.
    const auto rest = compare(wal, theirs, before(segment_end, 2 * 8192), piece);
    EXPECT_FALSE(rest.difference());
    EXPECT_EQ(rest.compared_bytes(), wal.end().bytes_since(segment_end));
  }
  theirs[kSegment + 50] = static_cast<char>(theirs[kSegment + 50] ^ 1);
  EXPECT_EQ(compare(wal, theirs, before(segment_end, 8192), 8192).difference(), segment_end + 50);
}

TEST(OverlapComparison, ItMayBeginWithinARecord) {
  WalBuilder wal({.segment_bytes = kSegment});
  wal.append({.data = std::string(50'000, 'a')});
  wal.append({.data = "b"});
  std::string theirs = wal.bytes();
  EXPECT_EQ(compare(wal, theirs, wal.start() + 8192, 8192).compared_bytes(), wal.bytes().size() - 8192);
  theirs[30'000] = 'x';
  EXPECT_EQ(compare(wal, theirs, wal.start() + 8192, 8192).difference(), wal.start() + 30'000);
}

}  // namespace
}  // namespace standfast::wal

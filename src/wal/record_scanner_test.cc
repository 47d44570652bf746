#include "wal/record_scanner.h"

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wal/wal_builder.h"

namespace standfast::wal {
namespace {

using ::testing::HasSubstr;
using testing::Placed;
using testing::Record;
using testing::WalBuilder;

constexpr std::uint64_t kPage = 8192;
constexpr std::uint64_t kSegment = 64U << 10U;  // small, so that records meet many ends

WalBuilder new_builder(std::uint64_t segment_bytes = kSegment) {
  return WalBuilder({.segment_bytes = segment_bytes});
}

Record of_size(std::size_t data_bytes) {
  Record record;
  record.data.assign(data_bytes, 'd');
  return record;
}

RecordScanner::Options options_for(const WalBuilder& builder) {
  return {.start = builder.start(),
          .timeline = builder.timeline(),
          .segment_bytes = builder.segment_bytes(),
          .system_id = pg::SystemId(0x6B03'34B7'1203'75A1U)};
}

void feed(RecordScanner& scanner, std::string_view bytes, std::size_t chunk_bytes = SIZE_MAX) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(chunk_bytes, bytes.size())))
    scanner.feed(base::as_bytes(bytes.substr(0, chunk_bytes)));
}

/// The bytes from `from` on.
std::string_view bytes_from(const WalBuilder& builder, const std::string& bytes, pg::Lsn from) {
  return std::string_view(bytes).substr(static_cast<std::size_t>(from.bytes_since(builder.start())));
}

RecordScanner scan(const WalBuilder& builder, std::size_t chunk_bytes = SIZE_MAX) {
  RecordScanner scanner(options_for(builder));
  feed(scanner, builder.bytes(), chunk_bytes);
  return scanner;
}

/// What a scanner finds when the byte at `position` has been changed.
RecordScanner scan_changed(const WalBuilder& builder, pg::Lsn position,
                           const std::function<void(char&)>& change) {
  std::string bytes = builder.bytes();
  change(bytes[static_cast<std::size_t>(position.bytes_since(builder.start()))]);
  RecordScanner scanner(options_for(builder));
  feed(scanner, bytes);
  return scanner;
}

void flip(char& byte) {
  byte = static_cast<char>(byte ^ 0x10);
}

void expect_damage(const RecordScanner& scanner, pg::Lsn at, const std::string& what) {
  ASSERT_TRUE(scanner.damage()) << "no damage found, complete up to " << scanner.complete_end().to_string();
  EXPECT_EQ(scanner.damage()->at.to_string(), at.to_string()) << scanner.damage()->what;
  EXPECT_THAT(scanner.damage()->what, HasSubstr(what));
}

TEST(RecordScanner, FindsTheEndOfEachRecordInAnyChunking) {
  WalBuilder builder = new_builder();
  for (const std::size_t size : {0U, 1U, 7U, 300U, 9'000U, 20U, 30'000U, 3U}) builder.append(of_size(size));
  for (const std::size_t chunk_bytes : {std::size_t{1}, std::size_t{7}, std::size_t{8192}, SIZE_MAX}) {
    const RecordScanner scanner = scan(builder, chunk_bytes);
    EXPECT_FALSE(scanner.damage());
    EXPECT_EQ(scanner.complete_end(), builder.end());
    EXPECT_EQ(scanner.position(), builder.end());
    EXPECT_EQ(scanner.last_record(), builder.records().back().start);
  }
  RecordScanner scanner(options_for(builder));
  std::vector<pg::Lsn> ends;
  for (std::size_t i = 0; i < builder.bytes().size(); ++i) {
    scanner.feed(base::as_bytes(std::string_view(builder.bytes()).substr(i, 1)));
    ASSERT_LE(scanner.complete_end(), scanner.position());
    if (scanner.complete_end() == scanner.position()) ends.push_back(scanner.complete_end());
  }
  EXPECT_EQ(ends, builder.record_ends());
}

TEST(RecordScanner, TellsOfEachRecordWhatItIs) {
  WalBuilder wal = new_builder();
  std::mt19937_64 random(7);
  std::vector<std::uint8_t> infos;
  for (int i = 0; i < 200; ++i) {
    infos.push_back(static_cast<std::uint8_t>((random() % 8) << 4U));
    wal.append({.data = std::string(random() % 3000, 'd'), .resource_manager = 1, .info = infos.back()});
  }
  for (const std::size_t chunk_bytes : {std::size_t{7}, std::size_t{8192}, wal.bytes().size()}) {
    RecordScanner scanner(options_for(wal));
    std::size_t seen = 0;
    base::Bytes bytes = base::as_bytes(wal.bytes());
    while (!bytes.empty()) {
      const auto before = scanner.last_record();
      const std::size_t taken = scanner.feed_to_next_end(bytes.first(std::min(chunk_bytes, bytes.size())));
      ASSERT_GT(taken, 0U);
      bytes = bytes.subspan(taken);
      if (scanner.last_record() == before) continue;
      ASSERT_EQ(*scanner.last_record(), wal.records()[seen].start);
      EXPECT_EQ(scanner.complete_end(), wal.records()[seen].end);
      EXPECT_EQ(scanner.last_header().info, infos[seen]);
      const bool is_commit = infos[seen] == 0x00 || infos[seen] == 0x30;
      EXPECT_EQ(scanner.last_header().is_commit(), is_commit);
      ++seen;
    }
    EXPECT_EQ(seen, infos.size());
  }
}

TEST(RecordScanner, FollowsARecordOverManyPagesAndSegments) {
  WalBuilder builder = new_builder();
  builder.append(of_size(10));
  const Placed large = builder.append(of_size(5 * kSegment));
  builder.append(of_size(10));
  RecordScanner scanner(options_for(builder));
  feed(scanner, std::string_view(builder.bytes()).substr(0, 3 * kSegment), 1000);
  EXPECT_EQ(scanner.complete_end(), builder.records()[0].end) << "its beginning counts for nothing";
  feed(scanner, std::string_view(builder.bytes()).substr(3 * kSegment), 1000);
  EXPECT_FALSE(scanner.damage());
  EXPECT_EQ(scanner.complete_end(), builder.end());
  EXPECT_GT(large.end.bytes_since(large.start), 5 * kSegment);
}

TEST(RecordScanner, FollowsAHeaderThatPagesSplit) {
  for (const std::size_t left : {8U, 16U}) {
    WalBuilder builder = new_builder();
    builder.append(of_size(kPage - 40 - 24 - 5 - left));  // so many bytes of the page are left
    ASSERT_EQ(builder.end().value() % kPage, kPage - left);
    builder.append(of_size(0));
    builder.append(of_size(500));
    for (const std::size_t chunk_bytes : {std::size_t{1}, std::size_t{11}, SIZE_MAX}) {
      const RecordScanner scanner = scan(builder, chunk_bytes);
      EXPECT_FALSE(scanner.damage());
      EXPECT_EQ(scanner.complete_end(), builder.end());
    }
  }
}

TEST(RecordScanner, ASwitchLeavesTheRestOfItsSegmentUnused) {
  WalBuilder builder = new_builder();
  builder.append(of_size(10));
  builder.switch_segment();
  const std::uint64_t switch_end = 40 + 40 + 24;  // the page's header, the record, the switch
  std::string bytes = builder.bytes();
  std::fill(bytes.begin() + switch_end + 100, bytes.end(), 'x');  // a server that crashed may keep anything
  RecordScanner scanner(options_for(builder));
  feed(scanner, std::string_view(bytes).substr(0, kSegment - 1), 4000);
  EXPECT_TRUE(scanner.is_in_unused_rest());
  EXPECT_EQ(scanner.complete_end(), builder.start() + switch_end);
  RecordScanner again = scanner.at_complete_end();
  EXPECT_EQ(again.position(), builder.start() + switch_end);
  feed(again, std::string_view(bytes).substr(switch_end));
  feed(scanner, std::string_view(bytes).substr(kSegment - 1));
  for (const RecordScanner& each : {scanner, again}) {
    EXPECT_FALSE(each.is_in_unused_rest());
    EXPECT_EQ(each.complete_end(), builder.start() + kSegment);
    EXPECT_FALSE(each.damage());
  }
  builder.append(of_size(99));
  feed(scanner, std::string_view(builder.bytes()).substr(kSegment));
  EXPECT_EQ(scanner.complete_end(), builder.end());
}

TEST(RecordScanner, StopsAtASwitchWhereThatIsAskedFor) {
  WalBuilder builder = new_builder();
  builder.append(of_size(10));
  builder.switch_segment();
  const pg::Lsn switch_end = builder.start() + 40 + 40 + 24;
  RecordScanner scanner(options_for(builder));
  scanner.stop_at_segment_switch();
  feed(scanner, builder.bytes());
  expect_damage(scanner, switch_end, "the segment was switched here");
  EXPECT_EQ(scanner.complete_end(), switch_end);
  // What goes on there takes the rest of the segment as it comes, and stops at no other switch.
  RecordScanner after = scanner.at_complete_end();
  EXPECT_TRUE(after.is_in_unused_rest());
  builder.append(of_size(10));
  builder.switch_segment();
  feed(after, bytes_from(builder, builder.bytes(), switch_end));
  EXPECT_FALSE(after.damage());
  EXPECT_EQ(after.complete_end(), builder.end());
}

/// The end of a switch is then all that the segment has: the rest of it is what the switch left.
TEST(RecordScanner, StartsWithinASwitchThatASegmentsEndSplits) {
  for (const std::size_t left : {8U, 16U}) {
    WalBuilder builder = new_builder();
    // One record up to there: its header and that of its data, and a header for each page.
    builder.append(of_size(kSegment - left - 40 - 7 * 24 - 24 - 5));
    ASSERT_EQ(builder.end(), builder.start() + (kSegment - left));
    builder.switch_segment();
    ASSERT_EQ(builder.end(), builder.start() + 2 * kSegment);
    const pg::Lsn switch_end = builder.start() + kSegment + 40 + (24 - left);
    builder.append(of_size(100));
    RecordScanner::Options options = options_for(builder);
    options.start = builder.start() + kSegment;
    const std::string_view bytes = bytes_from(builder, builder.bytes(), options.start);
    for (const std::size_t chunk_bytes : {std::size_t{1}, std::size_t{100}, SIZE_MAX}) {
      RecordScanner scanner(options);
      feed(scanner, bytes, chunk_bytes);
      EXPECT_FALSE(scanner.damage());
      EXPECT_EQ(scanner.complete_end(), builder.end());
      RecordScanner stopping(options);
      stopping.stop_at_segment_switch();
      feed(stopping, bytes, chunk_bytes);
      expect_damage(stopping, switch_end, "the segment was switched here");
      RecordScanner after = stopping.at_complete_end();
      EXPECT_TRUE(after.is_in_unused_rest());
      feed(after, bytes_from(builder, builder.bytes(), switch_end));
      EXPECT_EQ(after.complete_end(), builder.end());
    }
    EXPECT_EQ(scan(builder).complete_end(), builder.end());
  }
}

TEST(RecordScanner, TakesAnAbandonedRecordForNone) {
  WalBuilder builder = new_builder();
  builder.append(of_size(10));
  const auto lost = builder.abandon(of_size(5 * kPage), 2);
  const pg::Lsn before = builder.records()[0].end;
  RecordScanner scanner(options_for(builder));
  const auto lost_bytes = static_cast<std::size_t>(lost.lost_from.bytes_since(builder.start()));
  feed(scanner, std::string_view(builder.bytes()).substr(0, lost_bytes), 777);
  EXPECT_EQ(scanner.complete_end(), before);
  feed(scanner, std::string_view(builder.bytes()).substr(lost_bytes), 777);
  EXPECT_FALSE(scanner.damage());
  EXPECT_EQ(scanner.complete_end(), builder.end());

  // One that the start lies in is abandoned as well.
  RecordScanner::Options options = options_for(builder);
  options.start = builder.start() + kPage;
  RecordScanner within(options);
  feed(within, bytes_from(builder, builder.bytes(), options.start));
  EXPECT_FALSE(within.damage());
  EXPECT_EQ(within.complete_end(), builder.end());
  const auto unproven = within.take_unproven();
  ASSERT_EQ(unproven.size(), 1U);
  EXPECT_EQ(unproven[0].start, options.start);
  EXPECT_EQ(unproven[0].end, lost.lost_from);
}

/// What no checksum vouches for has a sum of its own, over the bytes as they lie there.
TEST(RecordScanner, TellsWhatNothingVouchesFor) {
  WalBuilder builder = new_builder();
  builder.append(of_size(3 * kPage));
  const pg::Lsn first_end = builder.end();
  builder.append(of_size(10));
  const auto lost = builder.abandon(of_size(3 * kPage), 2);
  builder.append(of_size(10));
  RecordScanner::Options options = options_for(builder);
  options.start = builder.start() + kPage;
  const std::string_view bytes = bytes_from(builder, builder.bytes(), options.start);
  const auto range = [&](pg::Lsn start, pg::Lsn end) {
    base::Crc32c sum;
    sum.update(base::as_bytes(bytes.substr(static_cast<std::size_t>(start.bytes_since(options.start)),
                                           static_cast<std::size_t>(end.bytes_since(start)))));
    return UnprovenRange{pg::TimelineId(1), start, end, sum.value()};
  };
  const std::vector<UnprovenRange> wanted = {range(options.start, first_end),
                                             range(lost.start, lost.lost_from)};
  RecordScanner scanner(options);
  feed(scanner, bytes, 500);
  EXPECT_EQ(scanner.take_unproven(), wanted);
  EXPECT_TRUE(scanner.take_unproven().empty());

  RecordScanner trusting(options);
  trusting.trust_only(wanted);
  feed(trusting, bytes, 300);
  EXPECT_FALSE(trusting.damage());
  EXPECT_EQ(trusting.complete_end(), builder.end());
  for (std::size_t without = 0; without < wanted.size(); ++without) {
    auto others = wanted;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(without));
    RecordScanner doubting(options);
    doubting.trust_only(others);
    feed(doubting, bytes, 300);
    expect_damage(doubting, wanted[without].start, "nothing vouches for the bytes from here to");
    EXPECT_LE(doubting.complete_end(), wanted[without].start);
  }
  for (const UnprovenRange& each : wanted) {
    std::string changed(bytes);
    const auto offset = static_cast<std::size_t>(each.end.bytes_since(options.start)) - 9;
    changed[offset] = static_cast<char>(changed[offset] ^ 1);
    RecordScanner doubting(options);
    doubting.trust_only(wanted);
    feed(doubting, changed, 300);
    expect_damage(doubting, each.start, "nothing vouches for");
  }
}

TEST(RecordScanner, FollowsATimelineOverItsFork) {
  WalBuilder old = new_builder();
  for (int i = 0; i < 5; ++i) old.append(of_size(5'000));
  WalBuilder builder = old.fork(old.records()[2].end, pg::TimelineId(2));
  builder.append(of_size(20'000));
  EXPECT_EQ(scan(builder).complete_end(), builder.end());

  RecordScanner of_old_timeline(options_for(old));
  feed(of_old_timeline, builder.bytes());
  expect_damage(of_old_timeline, builder.start() + 2 * kPage, "the page is of timeline 2");
  EXPECT_EQ(of_old_timeline.complete_end(), old.records()[2].end);
}

TEST(RecordScanner, ATimelineNeverGoesBack) {
  WalBuilder builder = WalBuilder({.segment_bytes = kSegment, .timeline = pg::TimelineId(2)});
  for (int i = 0; i < 5; ++i) builder.append(of_size(5'000));
  const RecordScanner scanner =
      scan_changed(builder, builder.start() + kPage + 4, [](char& byte) { byte = 1; });
  expect_damage(scanner, builder.start() + kPage, "the page is of timeline 1");
  expect_damage(scan_changed(builder, builder.start() + 4, [](char& byte) { byte = 0; }), builder.start(),
                "the page is of timeline 0");
}

TEST(RecordScanner, StartsWithinARecord) {
  WalBuilder builder = new_builder();
  builder.append(of_size(3 * kPage));
  const pg::Lsn first_end = builder.end();
  builder.append(of_size(10));
  RecordScanner::Options options = options_for(builder);
  options.start = builder.start() + kPage;
  RecordScanner scanner(options);
  EXPECT_TRUE(scanner.is_in_first_continuation());
  const std::string_view bytes = bytes_from(builder, builder.bytes(), options.start);
  feed(scanner, bytes.substr(0, kPage), 100);
  EXPECT_TRUE(scanner.is_in_first_continuation());
  EXPECT_EQ(scanner.complete_end(), options.start);
  feed(scanner, bytes.substr(kPage), 100);
  EXPECT_FALSE(scanner.is_in_first_continuation());
  EXPECT_EQ(scanner.complete_end(), builder.end());
  const auto unproven = scanner.take_unproven();
  ASSERT_EQ(unproven.size(), 1U);
  EXPECT_EQ(unproven[0].end, first_end);

  // What is known to begin behind a whole record has nothing to go on with.
  options.previous_record = builder.start() + 8;
  RecordScanner knowing(options);
  feed(knowing, bytes);
  expect_damage(knowing, options.start, "continues a record that has ended");
}

TEST(RecordScanner, StartsWhereARecordBegins) {
  WalBuilder builder = new_builder();
  for (int i = 0; i < 4; ++i) builder.append(of_size(5'000));
  RecordScanner::Options options = options_for(builder);
  options.start = builder.records()[1].start;
  options.previous_record = builder.records()[0].start;
  RecordScanner scanner(options);
  EXPECT_FALSE(scanner.is_in_first_continuation());
  feed(scanner, bytes_from(builder, builder.bytes(), options.start), 333);
  EXPECT_FALSE(scanner.damage());
  EXPECT_EQ(scanner.complete_end(), builder.end());

  options.previous_record = builder.start();
  RecordScanner wrong(options);
  feed(wrong, bytes_from(builder, builder.bytes(), options.start));
  expect_damage(wrong, options.start, "says that it follows the one at");
  EXPECT_EQ(wrong.complete_end(), options.start);
}

class DamagedWal : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 20; ++i) builder_.append(of_size(5'000));
  }
  /// Changes a byte of the page that begins at `page`, and expects that page named.
  void expect_page_damage(std::uint64_t page, std::uint64_t offset, const std::string& what) {
    const pg::Lsn at = builder_.start() + page * kPage;
    expect_damage(scan_changed(builder_, at + offset, flip), at, what);
  }
  WalBuilder builder_ = new_builder();
};

TEST_F(DamagedWal, IsNamedByItsRecord) {
  const Placed& record = builder_.records()[3];
  const pg::Lsn before = builder_.records()[2].end;
  const auto at = [&](std::uint64_t offset) { return scan_changed(builder_, record.start + offset, flip); };
  for (const std::uint64_t offset : {4U, 7U, 16U, 17U, 18U, 19U, 20U, 23U, 24U, 300U, 5'000U}) {
    const RecordScanner scanner = at(offset);
    expect_damage(scanner, record.start, "the checksum of the record does not match");
    EXPECT_EQ(scanner.complete_end(), before) << offset;
  }
  expect_damage(at(8), record.start, "says that it follows the one at");
  // A longer one is seen to be none where its page ends.
  const pg::Lsn next_page((record.start.value() / kPage + 1) * kPage);
  expect_damage(at(3), next_page, "does not go on in the page");
  expect_damage(scan_changed(builder_, record.start + 3, [](char& byte) { byte = '\x7F'; }), record.start,
                "the record's length is");
}

TEST_F(DamagedWal, IsNamedByItsPage) {
  expect_page_damage(1, 0, "the page's magic number is D1");
  expect_page_damage(1, 1, "the page's magic number is C110");
  expect_page_damage(1, 2, "the page's flags are");
  expect_page_damage(1, 5, "the page is of timeline 4097");
  expect_page_damage(2, 9, "the page says that it is the one at");
  expect_page_damage(1, 16, "does not go on in the page");
  const std::uint64_t second_segment = kSegment / kPage;
  expect_page_damage(second_segment, 24, "the page is of the system");
  expect_page_damage(second_segment, 33, "the page is of segments of");
  expect_page_damage(second_segment, 37, "and pages of");
  // A page that does not say that it goes on with the record, and one that is none.
  expect_damage(scan_changed(builder_, builder_.start() + kPage + 2, [](char& byte) { byte = 4; }),
                builder_.start() + kPage, "does not go on in the page");
}

TEST_F(DamagedWal, ASegmentBeginsWithALongHeaderAndNoOtherPageDoes) {
  const auto change = [](char bits) { return [bits](char& byte) { byte = static_cast<char>(byte ^ bits); }; };
  const std::uint64_t second_segment = kSegment;
  expect_damage(scan_changed(builder_, builder_.start() + second_segment + 2, change(2)),
                builder_.start() + second_segment, "the page's flags are");
  expect_damage(scan_changed(builder_, builder_.start() + kPage + 2, change(2)), builder_.start() + kPage,
                "the page's flags are");
}

TEST_F(DamagedWal, IsTheLastThatIsTaken) {
  const Placed& record = builder_.records()[3];
  RecordScanner scanner = scan_changed(builder_, record.start + 100, flip);
  const pg::Lsn position = scanner.position();
  const WalDamage damage = *scanner.damage();
  feed(scanner, builder_.bytes());
  EXPECT_EQ(scanner.position(), position);
  EXPECT_EQ(scanner.damage()->at, damage.at);
  // A stream that brings the same bytes whole goes on from there.
  RecordScanner again = scanner.at_complete_end();
  feed(again, bytes_from(builder_, builder_.bytes(), again.position()));
  EXPECT_FALSE(again.damage());
  EXPECT_EQ(again.complete_end(), builder_.end());
}

TEST_F(DamagedWal, ZerosAreWhereNoRecordBegins) {
  RecordScanner scanner(options_for(builder_));
  const std::string zeros(100, '\0');
  feed(scanner, builder_.bytes());
  feed(scanner, zeros);
  expect_damage(scanner, builder_.end(), "no record begins here");
  EXPECT_EQ(scanner.complete_end(), builder_.end());
}

/// What stood on the pages after the end has no say in what comes there instead.
TEST(RecordScanner, GoesOnAtTheEndAsThePagesBeforeItWere) {
  WalBuilder old = new_builder();
  old.append(of_size(10));
  const pg::Lsn end = old.end();
  WalBuilder newer = old.fork(end, pg::TimelineId(2));
  newer.append(of_size(3 * kPage));
  old.append(of_size(3 * kPage));

  RecordScanner::Options options = options_for(newer);
  RecordScanner scanner(options);
  feed(scanner,
       std::string_view(newer.bytes()).substr(0, 2 * kPage));  // pages of timeline 2, no record's end
  EXPECT_EQ(scanner.complete_end(), end);
  RecordScanner again = scanner.at_complete_end();
  feed(again, bytes_from(old, old.bytes(), end));
  EXPECT_FALSE(again.damage());
  EXPECT_EQ(again.complete_end(), old.end());
}

// ---------------------------------------------------------------- random WAL

WalBuilder random_wal(std::mt19937_64& random, int records) {
  WalBuilder builder = new_builder(std::uint64_t{16} << (10U + random() % 4));
  for (int i = 0; i < records; ++i) builder.append_random(random, {});
  if (random() % 3 == 0) {
    const Placed& at = builder.records()[random() % builder.records().size()];
    builder = builder.fork(at.end, pg::TimelineId(2));
    for (int i = 0; i < 10; ++i) builder.append_random(random, {});
  }
  return builder;
}

void feed_randomly(RecordScanner& scanner, std::string_view bytes, std::mt19937_64& random) {
  const std::size_t most = std::size_t{1} << (random() % 16);
  while (!bytes.empty()) {
    const std::size_t count = std::min(bytes.size(), 1 + static_cast<std::size_t>(random()) % most);
    scanner.feed(base::as_bytes(bytes.substr(0, count)));
    bytes.remove_prefix(count);
  }
}

/// A part of a record that no page header interrupts.
struct Piece {
  pg::Lsn start, end;
};
std::vector<Piece> pieces_of(const Placed& record, std::uint64_t segment_bytes) {
  std::vector<Piece> pieces;
  pg::Lsn at = record.start;
  for (std::uint64_t left = record.total_bytes; left > 0;) {
    if (at.value() % kPage == 0) at = at + (at.value() % segment_bytes == 0 ? 40 : 24);
    const std::uint64_t count = std::min(left, kPage - at.value() % kPage);
    pieces.push_back({at, at + count});
    at = at + count;
    left -= count;
  }
  return pieces;
}

/// Where a position may count as complete: at the ends of records, and of what a switch leaves.
bool is_an_end(const WalBuilder& builder, pg::Lsn position) {
  if (position == builder.start()) return true;
  return std::any_of(builder.records().begin(), builder.records().end(), [&](const Placed& record) {
    return position == record.end ||
           position == pg::align_wal(pieces_of(record, builder.segment_bytes()).back().end);
  });
}

constexpr std::uint64_t kSeeds = 300;

TEST(RandomWal, IsWholeToItsEnd) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    const WalBuilder builder = random_wal(random, 40);
    RecordScanner scanner(options_for(builder));
    feed_randomly(scanner, builder.bytes(), random);
    ASSERT_FALSE(scanner.damage()) << "seed " << seed << ": " << scanner.damage()->what;
    ASSERT_EQ(scanner.complete_end(), builder.end()) << "seed " << seed;
    ASSERT_EQ(scanner.last_record(), builder.records().back().start) << "seed " << seed;
  }
}

TEST(RandomWal, CutAnywhereItGoesOnAtItsCompleteEnd) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    const WalBuilder builder = random_wal(random, 40);
    const std::size_t cut = random() % (builder.bytes().size() + 1);
    RecordScanner scanner(options_for(builder));
    feed_randomly(scanner, std::string_view(builder.bytes()).substr(0, cut), random);
    ASSERT_FALSE(scanner.damage()) << "seed " << seed;
    ASSERT_TRUE(is_an_end(builder, scanner.complete_end())) << "seed " << seed;
    for (const Placed& record : builder.records()) {
      if (record.end > builder.start() + cut) break;
      ASSERT_GE(scanner.complete_end(), record.end) << "seed " << seed;
    }
    if (scanner.is_in_first_continuation()) continue;
    RecordScanner again = scanner.at_complete_end();
    feed_randomly(again, bytes_from(builder, builder.bytes(), again.position()), random);
    ASSERT_FALSE(again.damage()) << "seed " << seed << ": " << again.damage()->what;
    ASSERT_EQ(again.complete_end(), builder.end()) << "seed " << seed;
  }
}

TEST(RandomWal, FromAnyPageItFindsTheSameEnds) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    const WalBuilder builder = random_wal(random, 40);
    RecordScanner::Options options = options_for(builder);
    options.start = builder.start() + random() % (builder.bytes().size() / kPage + 1) * kPage;
    if (options.start >= builder.end()) continue;
    const auto within = std::find_if(
        builder.records().begin(), builder.records().end(),
        [&](const Placed& record) { return record.start < options.start && options.start < record.end; });
    const bool is_in_unused_rest = within != builder.records().end() &&
                                   options.start >= pieces_of(*within, builder.segment_bytes()).back().end;
    if (is_in_unused_rest) continue;  // there are no pages there
    RecordScanner scanner(options);
    feed_randomly(scanner, bytes_from(builder, builder.bytes(), options.start), random);
    ASSERT_FALSE(scanner.damage()) << "seed " << seed << ": " << scanner.damage()->what;
    ASSERT_EQ(scanner.complete_end(), builder.end()) << "seed " << seed;
  }
}

/// Whether a record's own bytes, not what fills up behind it or the headers of its pages, are at `position`.
bool is_of_record(const Placed& record, pg::Lsn position, std::uint64_t segment_bytes) {
  const auto pieces = pieces_of(record, segment_bytes);
  return std::any_of(pieces.begin(), pieces.end(),
                     [&](const Piece& piece) { return position >= piece.start && position < piece.end; });
}

TEST(RandomWal, WithABitFlippedIsWholeNoFurtherThanThat) {
  std::uint64_t in_records = 0;
  for (std::uint64_t seed = 0; seed < 10 * kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    const WalBuilder builder = random_wal(random, 20);
    std::string bytes = builder.bytes();
    const std::size_t offset = random() % bytes.size();
    bytes[offset] = static_cast<char>(bytes[offset] ^ static_cast<char>(1U << (random() % 8)));
    RecordScanner scanner(options_for(builder));
    feed_randomly(scanner, bytes, random);
    ASSERT_TRUE(is_an_end(builder, scanner.complete_end())) << "seed " << seed;
    const pg::Lsn position = builder.start() + offset;
    const auto& records = builder.records();
    const auto record = std::find_if(records.begin(), records.end(), [&](const Placed& each) {
      return is_of_record(each, position, builder.segment_bytes());
    });
    if (record == records.end()) continue;
    ++in_records;
    ASSERT_LE(scanner.complete_end(), record->start) << "seed " << seed;
  }
  EXPECT_GT(in_records, kSeeds);
}

}  // namespace
}  // namespace standfast::wal

#include "agent/block_runs.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "agent/messages.h"
#include "base/bytes.h"

namespace standfast::agent {
namespace {

using base::Hash128;

constexpr std::uint32_t kRun = 8192;
using Hashes = std::vector<Hash128>;
using Ranges = std::vector<FileRange>;

/// Of runs that are told apart by a letter.
Hashes hashes_of(std::string_view letters) {
  Hashes hashes;
  for (const char letter : letters) hashes.push_back({.high = 7, .low = static_cast<std::uint64_t>(letter)});
  return hashes;
}

StretchPlan plan_of(std::string_view ours, std::uint64_t our_bytes, std::string_view source,
                    std::uint64_t source_bytes) {
  const Hashes our_hashes = hashes_of(ours);
  const Hashes source_hashes = hashes_of(source);
  return plan_stretch({.offset = 0, .length_bytes = 100 * kRun, .run_bytes = kRun},
                      {.size_bytes = our_bytes, .hashes = our_hashes},
                      {.size_bytes = source_bytes, .hashes = source_hashes});
}

TEST(BlockRuns, EqualFilesNeedNothing) {
  const StretchPlan plan = plan_of("abc", 2 * kRun + 1, "abc", 2 * kRun + 1);
  EXPECT_TRUE(plan.fetch.empty());
  EXPECT_FALSE(plan.truncate_to);
  EXPECT_TRUE(plan_of("", 0, "", 0).fetch.empty());
  EXPECT_FALSE(plan_of("", 0, "", 0).truncate_to);
}

TEST(BlockRuns, WhatDiffersIsFetchedInOnePieceWhereItIsOne) {
  EXPECT_EQ(plan_of("abcdef", 6 * kRun, "aBCdeF", 6 * kRun).fetch,
            (Ranges{{kRun, 2 * kRun}, {5 * kRun, kRun}}));
}

TEST(BlockRuns, AFileThatGrewIsFetchedFromWhereOursEnds) {
  const StretchPlan plan = plan_of("ab", 2 * kRun, "abcd", 3 * kRun + 5);
  EXPECT_EQ(plan.fetch, (Ranges{{2 * kRun, kRun + 5}}));
  EXPECT_FALSE(plan.truncate_to);
  // Ours ended within a run.
  EXPECT_EQ(plan_of("ab", kRun + 9, "ab", 2 * kRun).fetch, (Ranges{{kRun, kRun}}));
}

TEST(BlockRuns, AFileThatShrankIsTruncated) {
  const StretchPlan plan = plan_of("abcd", 4 * kRun, "ab", kRun + 100);
  EXPECT_EQ(plan.fetch, (Ranges{{kRun, 100}}));
  EXPECT_EQ(plan.truncate_to, kRun + 100);
  const StretchPlan empty = plan_of("abcd", 4 * kRun, "", 0);
  EXPECT_TRUE(empty.fetch.empty());
  EXPECT_EQ(empty.truncate_to, 0U);
}

TEST(BlockRuns, ARunWithoutAHashDiffers) {
  EXPECT_EQ(plan_of("abc", 3 * kRun, "a", 3 * kRun).fetch, (Ranges{{kRun, 2 * kRun}}));
  EXPECT_EQ(plan_of("a", 3 * kRun, "abc", 3 * kRun).fetch, (Ranges{{kRun, 2 * kRun}}));
  EXPECT_TRUE(plan_of("abc", 3 * kRun, "abcdef", 3 * kRun).fetch.empty());
}

TEST(BlockRuns, TruncationIsForTheStretchInWhichTheSourceEnds) {
  const Stretch first = {.offset = 0, .length_bytes = 2 * kRun, .run_bytes = kRun};
  const Stretch second = {.offset = 2 * kRun, .length_bytes = 2 * kRun, .run_bytes = kRun};
  const Stretch third = {.offset = 4 * kRun, .length_bytes = 2 * kRun, .run_bytes = kRun};
  const HashedFile ours = {.size_bytes = 6 * kRun, .hashes = {}};
  const HashedFile source = {.size_bytes = 3 * kRun, .hashes = {}};
  EXPECT_FALSE(plan_stretch(first, ours, source).truncate_to);
  EXPECT_EQ(plan_stretch(first, ours, source).fetch, (Ranges{{0, 2 * kRun}}));
  EXPECT_EQ(plan_stretch(second, ours, source).truncate_to, 3 * kRun);
  EXPECT_EQ(plan_stretch(second, ours, source).fetch, (Ranges{{2 * kRun, kRun}}));
  EXPECT_EQ(plan_stretch(third, ours, source).truncate_to, 3 * kRun);
  EXPECT_TRUE(plan_stretch(third, ours, source).fetch.empty());
}

TEST(BlockRuns, RangesAreBounded) {
  const auto max = static_cast<std::uint32_t>(kMaxRangeBytes);
  EXPECT_EQ(
      plan_all({.offset = 0, .length_bytes = 10 * kMaxRangeBytes, .run_bytes = kRun}, 2 * kMaxRangeBytes + 7),
      (Ranges{{0, max}, {max, max}, {2 * kMaxRangeBytes, 7}}));
  EXPECT_EQ(plan_all({.offset = 100, .length_bytes = 50, .run_bytes = kRun}, 1000), (Ranges{{100, 50}}));
  EXPECT_TRUE(plan_all({.offset = 100, .length_bytes = 50, .run_bytes = kRun}, 100).empty());
  EXPECT_TRUE(plan_all({.offset = 0, .length_bytes = 50, .run_bytes = kRun}, 0).empty());
  // Neither arithmetic runs over at the end of what can be.
  const std::uint64_t most = ~std::uint64_t{0};
  EXPECT_EQ(plan_all({.offset = most - 5, .length_bytes = most, .run_bytes = kRun}, most),
            (Ranges{{most - 5, 5}}));
}

Hashes hash_runs(std::string_view file, const Stretch& stretch) {
  Hashes hashes;
  if (file.size() <= stretch.offset) return hashes;
  std::string_view part = file.substr(stretch.offset, stretch.length_bytes);
  for (; !part.empty(); part.remove_prefix(std::min<std::size_t>(part.size(), stretch.run_bytes)))
    hashes.push_back(base::hash128(base::as_bytes(part.substr(0, stretch.run_bytes))));
  return hashes;
}

class RandomFiles {
 public:
  explicit RandomFiles(std::uint64_t seed) : random_(seed) {
    source_.resize(below(kLargest));
    for (std::size_t at = 0; at + sizeof(std::uint64_t) <= source_.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = random_();
      std::memcpy(source_.data() + at, &word, sizeof word);
    }
    ours_ = source_;
    for (std::uint64_t i = below(4); i > 0; --i) change();
    run_bytes_ = static_cast<std::uint32_t>(1U << (12 + below(9)));
    if (below(4) == 0) run_bytes_ += static_cast<std::uint32_t>(below(5000));
  }

  /// Stretch by stretch, as a fetcher does.
  void make_equal() {
    const std::uint64_t length = run_bytes_ * (below(20) + 1);
    const std::uint64_t end = std::max(source_.size(), ours_.size());
    for (std::uint64_t offset = 0; offset <= end; offset += length)
      make_equal({.offset = offset, .length_bytes = length, .run_bytes = run_bytes_});
    EXPECT_TRUE(ours_ == source_) << ours_.size() << " and " << source_.size() << " bytes";
  }

  void make_from_nothing() {
    std::string made;
    const std::uint64_t length = below(kLargest) + 1;
    for (std::uint64_t offset = 0; offset < source_.size(); offset += length)
      for (const FileRange& range : plan_all({.offset = offset, .length_bytes = length}, source_.size())) {
        ASSERT_EQ(range.offset, made.size());
        ASSERT_LE(range.length_bytes, kMaxRangeBytes);
        made += source_.substr(range.offset, range.length_bytes);
      }
    EXPECT_TRUE(made == source_);
  }

 private:
  static constexpr std::uint64_t kLargest = std::uint64_t{3} << 20U;

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  void change() {
    switch (below(3)) {
      case 0:
        ours_.resize(below(ours_.size() + 1));
        break;
      case 1:
        ours_.resize(ours_.size() + below(kLargest / 4), 'x');
        break;
      default:
        if (ours_.empty()) return;
        for (std::uint64_t at = below(ours_.size()), n = below(50'000); n > 0 && at < ours_.size(); --n, ++at)
          ours_[at] = static_cast<char>(random_());
    }
  }

  void make_equal(const Stretch& stretch) {
    const Hashes our_hashes = hash_runs(ours_, stretch);
    const Hashes source_hashes = hash_runs(source_, stretch);
    const StretchPlan plan = plan_stretch(stretch, {.size_bytes = ours_.size(), .hashes = our_hashes},
                                          {.size_bytes = source_.size(), .hashes = source_hashes});
    std::uint64_t done = stretch.offset;
    for (const FileRange& range : plan.fetch) {
      ASSERT_GE(range.offset, done);
      ASSERT_GT(range.length_bytes, 0U);
      ASSERT_LE(range.length_bytes, kMaxRangeBytes);
      done = range.offset + range.length_bytes;
      ASSERT_LE(done, source_.size());
      ASSERT_LE(done, stretch.offset + stretch.length_bytes);
      if (ours_.size() < done) ours_.resize(done);
      ASSERT_FALSE(
          ours_.compare(range.offset, range.length_bytes, source_, range.offset, range.length_bytes) == 0 &&
          range.length_bytes % run_bytes_ == 0 && our_hashes == source_hashes)
          << "what is equal is fetched";
      ours_.replace(range.offset, range.length_bytes, source_, range.offset, range.length_bytes);
    }
    if (plan.truncate_to) {
      ASSERT_LT(*plan.truncate_to, ours_.size());
      ours_.resize(*plan.truncate_to);
    }
  }

  std::mt19937_64 random_;
  std::string source_;
  std::string ours_;
  std::uint32_t run_bytes_ = 0;
};

TEST(BlockRuns, ApplyingThePlanMakesEqualFiles) {
  const std::uint64_t first = std::random_device()();
  for (std::uint64_t seed = first; seed < first + 60; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    RandomFiles files(seed);
    files.make_from_nothing();
    files.make_equal();
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace standfast::agent

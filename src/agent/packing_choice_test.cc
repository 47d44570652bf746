#include "agent/packing_choice.h"

#include <algorithm>
#include <array>
#include <deque>
#include <random>

#include <gtest/gtest.h>

namespace standfast::agent {
namespace {

constexpr double kMegabyte = 1e6;
constexpr std::uint64_t kRange = kMaxRangeBytes;

struct Packs {
  double bytes_per_second = 0;
  double part_left = 1;
};
struct Hosts {
  double link_bytes_per_second = 0;
  double receiver_bytes_per_second = 1e12;
  Packs lz4 = {600 * kMegabyte, 0.5};
  Packs zstd = {250 * kMegabyte, 0.3};
};

/// One stream: ranges are asked for some ahead, packed, and sent into a socket's buffer, which the link
/// drains meanwhile; whoever sends waits only where it is full.
class Stream {
 public:
  explicit Stream(const Hosts& hosts) : hosts_(hosts) {}

  PackingChoice choice_;
  Hosts hosts_;
  double clock_ = 0;

  void run_for(double seconds, double jitter = 0) {
    for (const double end = clock_ + seconds; clock_ < end;) one_range(jitter);
  }
  void run_bytes(std::uint64_t bytes) {
    for (std::uint64_t done = 0; done < bytes; done += kRange) one_range(0);
  }
  void fix(Compression fixed) { fixed_ = fixed; }

 private:
  void one_range(double jitter) {
    asked_.push_back(fixed_.value_or(choice_.next()));
    if (asked_.size() < kAhead) return;
    RangeCost cost{.asked = asked_.front(), .plain_bytes = kRange};
    asked_.pop_front();
    const double factor = 1 + jitter * (2 * std::uniform_real_distribution<>()(random_) - 1);
    const Packs packs = packs_of(cost.asked);
    const double plain = static_cast<double>(kRange);
    if (packs.bytes_per_second > 0) cost.cpu_seconds = plain / packs.bytes_per_second * factor;
    pass(cost.cpu_seconds);
    const double waits = send(plain * packs.part_left) * factor;
    cost.client_waited_seconds = waits;
    cost.agent_waited_seconds = waits;
    receiver_free_ = std::max(receiver_free_, clock_) + plain / hosts_.receiver_bytes_per_second;
    const double behind = receiver_free_ - clock_ - kMayLag;
    if (behind > 0) {
      pass(behind);
      cost.agent_waited_seconds += behind;
    }
    choice_.measured(cost);
  }
  Packs packs_of(Compression which) const {
    switch (which) {
      case Compression::kLz4:
        return hosts_.lz4;
      case Compression::kZstd:
        return hosts_.zstd;
      case Compression::kNone:
        break;
    }
    return {};
  }
  void pass(double seconds) {
    clock_ += seconds;
    in_buffer_ = std::max(0.0, in_buffer_ - seconds * hosts_.link_bytes_per_second);
  }
  double send(double bytes) {
    const double waits = std::max(0.0, (in_buffer_ + bytes - kBuffer) / hosts_.link_bytes_per_second);
    pass(waits);
    in_buffer_ += bytes;
    return waits;
  }

  static constexpr std::size_t kAhead = 4;
  static constexpr double kBuffer = 4 * kMegabyte;
  static constexpr double kMayLag = 0.01;  // seconds that a receiver's buffer holds
  std::optional<Compression> fixed_;
  std::deque<Compression> asked_;
  double in_buffer_ = 0;
  double receiver_free_ = 0;
  std::mt19937_64 random_{11};
};

TEST(PackingChoice, ASlowLinkIsPackedForHard) {
  Stream stream({.link_bytes_per_second = 50 * kMegabyte});
  stream.run_for(20);
  EXPECT_EQ(stream.choice_.chosen(), Compression::kZstd);
  EXPECT_EQ(stream.choice_.changes(), 1);
}

TEST(PackingChoice, ALinkOfMiddleSpeedGetsWhatPacksFast) {
  Stream stream({.link_bytes_per_second = 200 * kMegabyte});
  stream.run_for(20);
  EXPECT_EQ(stream.choice_.chosen(), Compression::kLz4);
  EXPECT_EQ(stream.choice_.changes(), 1);
}

TEST(PackingChoice, AFastLinkGetsThePlainBytes) {
  Stream stream({.link_bytes_per_second = 1000 * kMegabyte});
  stream.run_for(60);
  EXPECT_EQ(stream.choice_.chosen(), Compression::kNone);
  EXPECT_EQ(stream.choice_.changes(), 0);
}

TEST(PackingChoice, CostsLittleMoreThanTheBestThatIsKnownBeforehand) {
  struct Case {
    double link;
    Compression best;
  };
  for (const Case& one :
       {Case{5 * kMegabyte, Compression::kZstd}, Case{50 * kMegabyte, Compression::kZstd},
        Case{200 * kMegabyte, Compression::kLz4}, Case{1000 * kMegabyte, Compression::kNone},
        Case{5000 * kMegabyte, Compression::kNone}}) {
    constexpr std::uint64_t kBytes = 8'000'000'000;
    Stream chooses({.link_bytes_per_second = one.link});
    chooses.run_bytes(kBytes);
    Stream knows({.link_bytes_per_second = one.link});
    knows.fix(one.best);
    knows.run_bytes(kBytes);
    EXPECT_EQ(chooses.choice_.chosen(), one.best) << one.link;
    EXPECT_LT(chooses.clock_, 1.15 * knows.clock_) << one.link;
  }
}

TEST(PackingChoice, FollowsALinkThatChanges) {
  Stream stream({.link_bytes_per_second = 1000 * kMegabyte});
  stream.run_for(60);
  ASSERT_EQ(stream.choice_.chosen(), Compression::kNone);
  stream.hosts_.link_bytes_per_second = 50 * kMegabyte;
  stream.run_for(10);
  EXPECT_EQ(stream.choice_.chosen(), Compression::kZstd);
  stream.run_for(60);
  stream.hosts_.link_bytes_per_second = 1000 * kMegabyte;
  stream.run_for(10);
  EXPECT_EQ(stream.choice_.chosen(), Compression::kNone);
  EXPECT_EQ(stream.choice_.changes(), 2);
}

TEST(PackingChoice, WhatDoesNotPackIsSentAsItIs) {
  Stream stream({.link_bytes_per_second = 50 * kMegabyte,
                 .lz4 = {2000 * kMegabyte, 1.0},
                 .zstd = {800 * kMegabyte, 1.0}});
  stream.run_for(60);
  EXPECT_EQ(stream.choice_.chosen(), Compression::kNone);
  EXPECT_EQ(stream.choice_.changes(), 0);
}

TEST(PackingChoice, AReceiverThatIsSlowGetsNoSoonerByPacking) {
  Stream stream({.link_bytes_per_second = 1000 * kMegabyte, .receiver_bytes_per_second = 100 * kMegabyte});
  stream.run_for(60);
  EXPECT_EQ(stream.choice_.chosen(), Compression::kNone);
  EXPECT_EQ(stream.choice_.changes(), 0);
}

TEST(PackingChoice, ASourceThatIsSlowGetsNoSoonerByPacking) {
  PackingChoice choice;
  constexpr std::array kCpuForByte = {1e-9, 1.5e-9, 4e-9};
  for (int i = 0; i < 10'000; ++i) {
    choice.measured({.asked = choice.next(),
                     .plain_bytes = kRange,
                     .client_waited_seconds = kRange * 10e-9,
                     .cpu_seconds = kRange * kCpuForByte[static_cast<std::size_t>(choice.next())]});
  }
  EXPECT_EQ(choice.chosen(), Compression::kNone);
  EXPECT_EQ(choice.changes(), 0);
}

TEST(PackingChoice, WhatSavesMoreInTlsThanPackingTakesIsPacked) {
  PackingChoice choice;
  constexpr std::array kCpuForByte = {1.5e-9, 1e-9, 2e-9};
  for (int i = 0; i < 10'000; ++i) {
    choice.measured({.asked = choice.next(),
                     .plain_bytes = kRange,
                     .cpu_seconds = kRange * kCpuForByte[static_cast<std::size_t>(choice.next())]});
  }
  EXPECT_EQ(choice.chosen(), Compression::kLz4);
  EXPECT_EQ(choice.changes(), 1);
}

TEST(PackingChoice, ALinkAtTheBorderDoesNotMakeItFlip) {
  for (const double link : {380, 420, 460, 500, 550, 600}) {
    Stream stream({.link_bytes_per_second = link * kMegabyte});
    stream.run_for(300, 0.5);
    EXPECT_LE(stream.choice_.changes(), 1) << link;
  }
}

TEST(PackingChoice, ALinkThatChangesAllTheTimeIsNotFollowed) {
  Stream stream({.link_bytes_per_second = 1000 * kMegabyte});
  for (int i = 0; i < 600; ++i) {
    stream.hosts_.link_bytes_per_second = (i % 2 == 0 ? 50 : 1000) * kMegabyte;
    stream.run_for(0.7, 0.2);
  }
  EXPECT_LE(stream.choice_.changes(), 12);  // each waits twice as long as the one before
}

TEST(PackingChoice, LateRangesOfAnotherKindCountForNothing) {
  constexpr std::array kSecondsForByte = {20e-9, 10e-9, 6e-9};
  PackingChoice choice;
  for (int i = 0; i < 100'000; ++i) {
    const Compression which = choice.next();
    for (int late = 0; which != choice.chosen() && late < 20; ++late) {
      choice.measured({.asked = choice.chosen(), .plain_bytes = kRange});
    }
    choice.measured({.asked = which, .plain_bytes = 0, .cpu_seconds = 1});  // a file that has ended
    choice.measured({.asked = which,
                     .plain_bytes = kRange,
                     .cpu_seconds = kRange * kSecondsForByte[static_cast<std::size_t>(which)]});
  }
  EXPECT_EQ(choice.chosen(), Compression::kZstd);
  EXPECT_EQ(choice.changes(), 1);
}

TEST(PackingChoice, WhereNothingIsWaitedForNothingIsPacked) {
  PackingChoice choice;
  for (int i = 0; i < 100'000; ++i) choice.measured({.asked = choice.next(), .plain_bytes = kRange});
  EXPECT_EQ(choice.chosen(), Compression::kNone);
}

}  // namespace
}  // namespace standfast::agent

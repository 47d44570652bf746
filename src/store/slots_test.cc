#include "store/slots.h"

#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "env/simulated_disk.h"

namespace standfast::store {
namespace {

using wal::serve::SlotOutcome;
using wal::serve::StoreView;

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
const pg::Lsn kEnd(0x5012'3450);
const StoreView kView{.timeline = pg::TimelineId(3),
                      .durable_end = kEnd,
                      .ancestors = {{pg::TimelineId(1), pg::Lsn(0x4000'0000)}, {pg::TimelineId(2), kEnd}}};

class SlotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(disk_.make_directory("/wal", 0700));
    ASSERT_TRUE(disk_.sync_directory("/"));
    open();
  }
  void open() {
    auto opened = Slots::open(disk_, {.folder = "/wal",
                                      .segment_bytes = kSegmentBytes,
                                      .max_slots = 3,
                                      .max_keep_bytes = 8 * kSegmentBytes});
    ASSERT_TRUE(opened) << opened.error().message;
    slots_ = *std::move(opened);
  }
  void cut_power_and_open() {
    disk_.power_cut(random_);
    open();
  }
  SlotOutcome create(const std::string& name, pg::ReserveWal reserve = pg::ReserveWal::kNo,
                     pg::SlotLife life = pg::SlotLife::kPersistent) {
    return slots_->create({.slot = name, .life = life, .reserve_wal = reserve}, kView, 1).outcome;
  }
  SlotOutcome drop(const std::string& name, pg::WhenActive when = pg::WhenActive::kFail) {
    return slots_->drop({name, when}, 1, base::Deadline::after(base::Seconds(30))).outcome;
  }
  void advance(SlotUser user, pg::Lsn flushed) { slots_->advance(user, {kView.timeline, flushed}); }
  wal::RetainedSlot retained(const std::string& name, const StoreView& view = kView) {
    for (const wal::RetainedSlot& slot : slots_->retained(view)) {
      if (slot.name == name) return slot;
    }
    ADD_FAILURE() << "no slot " << name;
    return {};
  }
  static StoreView view_up_to(pg::Lsn end) {
    StoreView view = kView;
    view.durable_end = end;
    return view;
  }
  wal::serve::SlotAnswer read(const std::string& name) { return slots_->read(name, kView); }

  std::mt19937_64 random_{20261122};
  env::testing::SimulatedDisk disk_;
  std::unique_ptr<Slots> slots_;
};

TEST_F(SlotsTest, WhatIsMadeAndDroppedIsSoAfterAPowerCut) {
  EXPECT_EQ(create("a"), SlotOutcome::kDone);
  EXPECT_EQ(create("b", pg::ReserveWal::kYes), SlotOutcome::kDone);
  EXPECT_EQ(create("b"), SlotOutcome::kExists);
  cut_power_and_open();
  EXPECT_FALSE(read("a").restart.is_valid());
  EXPECT_EQ(read("b").restart, pg::Lsn(0x5010'0000));
  EXPECT_EQ(read("b").restart_timeline, pg::TimelineId(2));
  EXPECT_EQ(drop("b"), SlotOutcome::kDone);
  cut_power_and_open();
  EXPECT_EQ(read("a").outcome, SlotOutcome::kDone);
  EXPECT_EQ(read("b").outcome, SlotOutcome::kMissing);
  EXPECT_EQ(drop("b"), SlotOutcome::kMissing);
}

TEST_F(SlotsTest, IsUsedByOneAtATime) {
  ASSERT_EQ(create("a"), SlotOutcome::kDone);
  EXPECT_EQ(slots_->acquire("a", 1).outcome, SlotOutcome::kDone);
  EXPECT_EQ(slots_->acquire("a", 2).outcome, SlotOutcome::kActive);
  EXPECT_EQ(drop("a"), SlotOutcome::kActive);
  EXPECT_EQ(slots_->acquire("b", 2).outcome, SlotOutcome::kMissing);
  std::thread waiter([this] { EXPECT_EQ(drop("a", pg::WhenActive::kWait), SlotOutcome::kDone); });
  slots_->release(1);
  waiter.join();
  EXPECT_EQ(read("a").outcome, SlotOutcome::kMissing);
}

TEST_F(SlotsTest, ThereAreOnlySoMany) {
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(create(name), SlotOutcome::kDone);
  EXPECT_EQ(create("d"), SlotOutcome::kTooMany);
}

TEST_F(SlotsTest, ATemporaryOneGoesWithItsSession) {
  ASSERT_EQ(create("t", pg::ReserveWal::kYes, pg::SlotLife::kTemporary), SlotOutcome::kDone);
  EXPECT_EQ(slots_->acquire("t", 2).outcome, SlotOutcome::kActive);  // it is another's
  EXPECT_EQ(slots_->acquire("t", 1).outcome, SlotOutcome::kDone);
  EXPECT_EQ(retained("t").restart, pg::Lsn(0x5010'0000));
  slots_->end_session(2);
  EXPECT_EQ(read("t").outcome, SlotOutcome::kDone);
  slots_->end_session(1);
  EXPECT_EQ(read("t").outcome, SlotOutcome::kMissing);
  EXPECT_TRUE(slots_->retained(kView).empty());
}

TEST_F(SlotsTest, NobodyElseDropsATemporaryOne) {
  ASSERT_EQ(create("t", pg::ReserveWal::kNo, pg::SlotLife::kTemporary), SlotOutcome::kDone);
  const auto soon = base::Deadline::after(base::Seconds(30));
  EXPECT_EQ(slots_->drop({"t", pg::WhenActive::kFail}, 2, soon).outcome, SlotOutcome::kActive);
  EXPECT_EQ(read("t").outcome, SlotOutcome::kDone);
  std::thread waiter([this, soon] {
    EXPECT_EQ(slots_->drop({"t", pg::WhenActive::kWait}, 2, soon).outcome, SlotOutcome::kMissing);
  });
  slots_->end_session(1);
  waiter.join();
  ASSERT_EQ(create("t", pg::ReserveWal::kNo, pg::SlotLife::kTemporary), SlotOutcome::kDone);
  EXPECT_EQ(drop("t"), SlotOutcome::kDone) << "it is its maker's to drop";
}

TEST_F(SlotsTest, OnlyWhatAReceiverReportedIsOnItsDisk) {
  ASSERT_EQ(create("a", pg::ReserveWal::kYes), SlotOutcome::kDone);
  EXPECT_FALSE(retained("a").flushed.is_valid()) << "nobody has used it";
  ASSERT_EQ(slots_->acquire("a", 7).outcome, SlotOutcome::kDone);
  EXPECT_FALSE(retained("a").flushed.is_valid()) << "nothing was reported";
  advance(7, pg::Lsn(0x5011'0000));
  EXPECT_EQ(retained("a").flushed, pg::Lsn(0x5011'0000));
  ASSERT_TRUE(slots_->save());
  cut_power_and_open();
  EXPECT_EQ(retained("a").flushed, pg::Lsn(0x5011'0000));
}

TEST_F(SlotsTest, AFlushBeyondAForkIsNotOfOurHistory) {
  ASSERT_EQ(create("a"), SlotOutcome::kDone);
  ASSERT_EQ(slots_->acquire("a", 7).outcome, SlotOutcome::kDone);
  slots_->advance(7, {pg::TimelineId(1), pg::Lsn(0x4500'0000)});
  const pg::Lsn fork(0x4000'0000);
  const StoreView before{.timeline = pg::TimelineId(1), .durable_end = kEnd};
  EXPECT_EQ(retained("a", before).flushed, pg::Lsn(0x4500'0000));
  EXPECT_EQ(retained("a").flushed, fork);
  EXPECT_EQ(retained("a").restart, fork);
  EXPECT_EQ(read("a").restart, fork);
  EXPECT_EQ(read("a").restart_timeline, pg::TimelineId(2));
  const StoreView unrelated{.timeline = pg::TimelineId(9), .durable_end = kEnd};
  EXPECT_FALSE(retained("a", unrelated).flushed.is_valid());
  EXPECT_EQ(retained("a", unrelated).restart, pg::Lsn(0x4500'0000));
}

TEST_F(SlotsTest, AnAdvanceLetsWalGoOnlyWhenItIsDurable) {
  ASSERT_EQ(create("a", pg::ReserveWal::kYes), SlotOutcome::kDone);
  ASSERT_EQ(slots_->acquire("a", 7).outcome, SlotOutcome::kDone);
  advance(7, kEnd);
  EXPECT_EQ(read("a").restart, kEnd);
  EXPECT_EQ(retained("a").restart, pg::Lsn(0x5010'0000));
  ASSERT_TRUE(slots_->save());
  EXPECT_EQ(retained("a").restart, kEnd);
  advance(7, pg::Lsn(0x5011'0000));  // a standby from an older copy
  EXPECT_EQ(retained("a").restart, pg::Lsn(0x5011'0000));
  EXPECT_EQ(retained("a").flushed, pg::Lsn(0x5011'0000));
  cut_power_and_open();
  EXPECT_EQ(read("a").restart, kEnd);
}

TEST_F(SlotsTest, NobodyAdvancesASlotThatHeDoesNotUse) {
  ASSERT_EQ(create("a", pg::ReserveWal::kYes), SlotOutcome::kDone);
  advance(7, kEnd);
  EXPECT_EQ(read("a").restart, pg::Lsn(0x5010'0000));
}

TEST_F(SlotsTest, AtItsBoundASlotIsLostForGood) {
  ASSERT_EQ(create("a", pg::ReserveWal::kYes), SlotOutcome::kDone);
  ASSERT_EQ(create("idle"), SlotOutcome::kDone);
  ASSERT_EQ(slots_->acquire("a", 7).outcome, SlotOutcome::kDone);
  const pg::Lsn bound(0x5010'0000 + 8 * kSegmentBytes);
  EXPECT_TRUE(slots_->enforce_bound(view_up_to(bound))->empty());
  EXPECT_EQ(*slots_->enforce_bound(view_up_to(bound + 1)), (std::vector<LostSlot>{{"a", 7}}));
  EXPECT_TRUE(slots_->enforce_bound(view_up_to(bound + 2))->empty());  // told once
  slots_->release(7);
  EXPECT_EQ(slots_->acquire("a", 1).outcome, SlotOutcome::kLost);
  EXPECT_TRUE(retained("a").is_lost);
  cut_power_and_open();
  EXPECT_EQ(read("a").outcome, SlotOutcome::kLost);
  EXPECT_EQ(read("idle").outcome, SlotOutcome::kDone);
}

TEST_F(SlotsTest, ALossThatIsNotDurableIsToldLaterAndLetsNothingGo) {
  ASSERT_EQ(create("a", pg::ReserveWal::kYes), SlotOutcome::kDone);
  const StoreView view = view_up_to(kEnd + 9 * kSegmentBytes);
  disk_.set_available_bytes(0);
  EXPECT_FALSE(slots_->enforce_bound(view));
  EXPECT_FALSE(retained("a").is_lost);
  EXPECT_EQ(retained("a").restart, pg::Lsn(0x5010'0000));
  EXPECT_FALSE(slots_->enforce_bound(view));
  disk_.set_available_bytes(kSegmentBytes);
  EXPECT_EQ(slots_->enforce_bound(view)->size(), 1U);
  EXPECT_TRUE(retained("a").is_lost);
}

TEST_F(SlotsTest, AnotherBoundCountsFromThenOn) {
  ASSERT_EQ(create("a", pg::ReserveWal::kYes), SlotOutcome::kDone);
  const StoreView view = view_up_to(pg::Lsn(0x5010'0000 + 8 * kSegmentBytes));
  ASSERT_TRUE(slots_->set_bound(9 * kSegmentBytes));
  EXPECT_TRUE(slots_->enforce_bound(view)->empty());
  ASSERT_TRUE(slots_->set_bound(0));
  EXPECT_TRUE(slots_->enforce_bound(view_up_to(view.durable_end + 99 * kSegmentBytes))->empty());
  ASSERT_TRUE(slots_->set_bound(7 * kSegmentBytes));
  EXPECT_EQ(slots_->enforce_bound(view)->size(), 1U);
}

TEST_F(SlotsTest, FeedbackStaysWithTheSlotWhileItsStandbyIsAway) {
  const pg::HotStandbyFeedback feedback{.xmin = 748, .xmin_epoch = 1, .catalog_xmin = 4'000'000'000};
  ASSERT_EQ(create("a", pg::ReserveWal::kYes), SlotOutcome::kDone);
  EXPECT_FALSE(slots_->keep_feedback(7, feedback)) << "it holds no slot";
  ASSERT_EQ(slots_->acquire("a", 7).outcome, SlotOutcome::kDone);
  EXPECT_TRUE(slots_->keep_feedback(7, feedback));
  ASSERT_TRUE(slots_->save());
  slots_->end_session(7);
  EXPECT_EQ(slots_->feedbacks(), std::vector{feedback});
  cut_power_and_open();
  EXPECT_EQ(slots_->feedbacks(), std::vector{feedback});
  EXPECT_EQ(slots_->enforce_bound(view_up_to(kEnd + 9 * kSegmentBytes))->size(), 1U);
  EXPECT_TRUE(slots_->feedbacks().empty()) << "nothing is kept for what is lost";
  EXPECT_EQ(drop("a"), SlotOutcome::kDone);
  ASSERT_EQ(create("a"), SlotOutcome::kDone);
  ASSERT_EQ(slots_->acquire("a", 7).outcome, SlotOutcome::kDone);
  EXPECT_TRUE(slots_->keep_feedback(7, feedback));
  EXPECT_TRUE(slots_->keep_feedback(7, {}));
  EXPECT_TRUE(slots_->feedbacks().empty());
}

TEST_F(SlotsTest, LeftAloneASlotMayHoldHalfOfTheFileSystem) {
  EXPECT_EQ(slots_->max_keep_bytes(), 8 * kSegmentBytes);
  const auto of_itself = Slots::open(disk_, {.folder = "/wal", .segment_bytes = kSegmentBytes});
  ASSERT_TRUE(of_itself);
  EXPECT_EQ((*of_itself)->max_keep_bytes(), disk_.space("/wal")->total_bytes / 2);
  const auto any =
      Slots::open(disk_, {.folder = "/wal", .segment_bytes = kSegmentBytes, .max_keep_bytes = 0});
  ASSERT_TRUE(any);
  EXPECT_EQ((*any)->max_keep_bytes(), 0U);
}

TEST_F(SlotsTest, AFileThatIsNotUnderstoodIsAnError) {
  ASSERT_EQ(create("a"), SlotOutcome::kDone);
  ASSERT_TRUE(env::write_file_durably(disk_, "/wal/standfast.slots/a", "standfast slot 2\n", {}));
  const auto opened = Slots::open(disk_, {.folder = "/wal", .segment_bytes = kSegmentBytes});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, base::ErrorCode::kDamaged);
}

TEST_F(SlotsTest, ADiskThatIsFullMakesNoSlot) {
  disk_.set_available_bytes(0);
  EXPECT_EQ(create("a"), SlotOutcome::kFailed);
  EXPECT_EQ(read("a").outcome, SlotOutcome::kMissing);
}

TEST(SlotFile, IsReadAsItWasWritten) {
  const SlotState full{.restart = pg::Lsn(0x16'B374'D848),
                       .flushed = pg::Lsn(0x16'B375'0000),
                       .timeline = pg::TimelineId(3),
                       .xmin = (std::uint64_t{1} << 32U) + 748,
                       .catalog_xmin = 700};
  for (const SlotState& slot : {SlotState{}, full, SlotState{.restart = pg::Lsn(1), .is_lost = true}}) {
    EXPECT_EQ(parse_slot(encode_slot(slot)), slot);
  }
  const std::string good = encode_slot(full);
  EXPECT_EQ(good,
            "standfast slot 2\nrestart 16/B374D848\nflushed 16/B3750000\ntimeline 3\nxmin 4294968044\n"
            "catalog_xmin 700\nstate kept\n");
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(parse_slot(good.substr(0, length)));
  EXPECT_FALSE(parse_slot(good + "more\n"));
}

TEST(SlotFile, OfTheFormatBeforeSaysNothingOfAFlush) {
  EXPECT_EQ(parse_slot("standfast slot 1\nrestart 16/B374D848\nstate kept\n"),
            SlotState{.restart = pg::Lsn(0x16'B374'D848)});
  EXPECT_EQ(parse_slot("standfast slot 1\nrestart 0/0\nstate lost\n"), SlotState{.is_lost = true});
}

}  // namespace
}  // namespace standfast::store

#include "setup/promotion_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

PromotionOutcome outcome_with(std::optional<pg::Lsn> primary, pg::Lsn begins_at) {
  PromotionOutcome outcome;
  outcome.standby.received = begins_at;
  outcome.begins_at = begins_at;
  outcome.primary.last_known = primary;
  return outcome;
}

TEST(Gap, BytesOfThePrimaryBeyondTheNewTimelineStayBehind) {
  const auto outcome = outcome_with(pg::Lsn(0x5000400), pg::Lsn(0x5000000));
  EXPECT_EQ(outcome.bytes_left_behind(), 0x400U);
  EXPECT_NE(describe_gap(outcome).line.find("0/5000400"), std::string::npos);
  EXPECT_NE(describe_gap(outcome).line.find("1024 bytes"), std::string::npos);
}

TEST(Gap, StandbyThatHasAllLeavesNothingBehind) {
  EXPECT_EQ(outcome_with(pg::Lsn(0x5000000), pg::Lsn(0x5000000)).bytes_left_behind(), 0U);
  EXPECT_EQ(outcome_with(pg::Lsn(0x4000000), pg::Lsn(0x5000000)).bytes_left_behind(), 0U);
}

TEST(Gap, PrimaryOfWhichNothingIsKnownIsNotCalledHarmless) {
  const auto outcome = outcome_with(std::nullopt, pg::Lsn(0x5000000));
  EXPECT_FALSE(outcome.bytes_left_behind().has_value());
  EXPECT_NE(describe_gap(outcome).line.find("nothing is known"), std::string::npos);
  EXPECT_NE(describe_gap(outcome).line.find("0/5000000"), std::string::npos);
}

WitnessBefore keeper_at(std::uint64_t lsn, WitnessState state) {
  WitnessBefore witness{.name = "keeper", .where = "10.20.20.3 port 5433"};
  witness.position = WalPosition{pg::TimelineId(1), pg::Lsn(lsn)};
  witness.judgement.state = state;
  witness.conninfo.set("host", "10.20.20.3");
  witness.conninfo.set("port", "5433");
  return witness;
}

TEST(Gap, WhatAWitnessHasStaysBehindToo) {
  PromotionOutcome outcome = outcome_with(pg::Lsn(0x5000000), pg::Lsn(0x5000000));
  outcome.witnesses = {keeper_at(0x5000000, WitnessState::kHasNoMore)};
  EXPECT_EQ(outcome.bytes_left_behind(), 0U);
  outcome.witnesses = {keeper_at(0x5000800, WitnessState::kIsAhead)};
  outcome.witnesses[0].judgement.bytes_ahead = 0x800;
  EXPECT_EQ(outcome.bytes_left_behind(), 0x800U);
  EXPECT_THAT(describe_gap(outcome).line, HasSubstr("up to 0/5000800: 2048 bytes of it stay behind"));
  EXPECT_THAT(describe_gap(outcome).hint, HasSubstr("keep both"));
  outcome.primary.last_known.reset();
  EXPECT_EQ(outcome.bytes_left_behind(), 0x800U);
}

TEST(Gap, AWitnessOfAnotherLineIsBehindByWhatCameAfterItsFork) {
  PromotionOutcome outcome = outcome_with(pg::Lsn(0x6000000), pg::Lsn(0x6000000));
  outcome.witnesses = {keeper_at(0x5000800, WitnessState::kDiverged)};
  outcome.witnesses[0].judgement.bytes_ahead = 0x2000800;
  EXPECT_EQ(outcome.bytes_left_behind(), 0x2000800U);
}

TEST(Gap, WhatTheNewPrimaryHasWrittenIsNotLeftBehind) {
  PromotionOutcome outcome = outcome_with(pg::Lsn(0x5000000), pg::Lsn(0x5000000));
  outcome.timeline = pg::TimelineId(2);
  outcome.witnesses_after = {keeper_at(0x5000100, WitnessState::kIsAhead)};
  outcome.witnesses_after[0].position->timeline = pg::TimelineId(2);
  outcome.witnesses_after[0].judgement.bytes_ahead = 0x100;
  EXPECT_EQ(outcome.bytes_left_behind(), 0U);
}

TEST(Gap, AnAcceptedLossIsNotCalledNothing) {
  PromotionOutcome outcome = outcome_with(pg::Lsn(0x5000000), pg::Lsn(0x5000000));
  EXPECT_THAT(describe_gap(outcome).line, HasSubstr("nothing known of it stays behind"));
  EXPECT_EQ(describe_gap(outcome).hint, "");
  outcome.not_safe_because = "witness \"keeper\" cannot be asked";
  EXPECT_THAT(describe_gap(outcome).line, HasSubstr("more may stay behind, as was accepted"));
  EXPECT_THAT(describe_gap(outcome).hint, HasSubstr("keep its data directory"));
}

TEST(AfterPromotion, WitnessThatGoesOnGettingWalHasAPrimaryThatLives) {
  PromotionOutcome outcome = outcome_with({}, pg::Lsn(0x5000000));
  outcome.witnesses = {keeper_at(0x5000000, WitnessState::kHasNoMore)};
  outcome.witnesses_after = {keeper_at(0x5000000, WitnessState::kHasNoMore)};
  EXPECT_THAT(remarks_on_witnesses(outcome), IsEmpty());
  outcome.witnesses_after = {keeper_at(0x5000100, WitnessState::kDiverged)};
  EXPECT_THAT(remarks_on_witnesses(outcome),
              ElementsAre(Field(&Remark::line, HasSubstr("the old primary lives"))));
  outcome.witnesses = outcome.witnesses_after;
  const auto remarks = remarks_on_witnesses(outcome);
  EXPECT_THAT(remarks, ElementsAre(Field(&Remark::line, HasSubstr("0/5000100, beyond"))));
  EXPECT_THAT(remarks[0].line, testing::Not(HasSubstr("lives")));
}

TEST(AfterPromotion, InheritedListThatStopsCommitsIsSaidWithTheWayOut) {
  PromotionOutcome outcome = outcome_with({}, pg::Lsn(0x5000000));
  outcome.synchronous_standby_names = "ANY 1 (a)";
  EXPECT_THAT(remarks_on_commits(outcome, "/srv/data"), IsEmpty());
  outcome.commits_stand_still = true;
  const auto remarks = remarks_on_commits(outcome, "/srv/data");
  EXPECT_THAT(remarks, ElementsAre(Field(&Remark::hint, HasSubstr("standfast sync disable -D /srv/data"))));
  EXPECT_THAT(remarks[0].line, HasSubstr("ANY 1 (a)"));
}

TEST(AfterPromotion, WitnessesAreToBeLedToTheNewPrimary) {
  PromotionOutcome outcome = outcome_with({}, pg::Lsn(0x5000000));
  outcome.witnesses = {keeper_at(0x5000000, WitnessState::kHasNoMore)};
  EXPECT_THAT(remarks_on_commits(outcome, "/srv/data"),
              ElementsAre(Field(&Remark::line, HasSubstr("--witness 10.20.20.3:5433=keeper")),
                          Field(&Remark::line, HasSubstr("wait for nobody"))));
  outcome.witnesses[0].judgement.state = WitnessState::kGivenUp;
  EXPECT_THAT(remarks_on_commits(outcome, "/srv/data"), IsEmpty());
}

}  // namespace
}  // namespace standfast::setup

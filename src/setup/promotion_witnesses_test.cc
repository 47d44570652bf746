#include "setup/promotion_witnesses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::HasSubstr;

constexpr pg::Lsn kFork{0x5000000};

WalPosition at(std::uint32_t timeline, std::uint64_t lsn) {
  return {pg::TimelineId(timeline), pg::Lsn(lsn)};
}

/// Timeline 2 left 1 at kFork.
std::optional<pg::TimelineHistory> history_of_two() {
  return pg::TimelineHistory::parse(pg::TimelineId(2), "1\t0/5000000\tno recovery target specified\n");
}

TEST(JudgeWitness, OnOneTimelineTheFlushPositionsTell) {
  EXPECT_EQ(judge_witness(at(1, 0x5000000), at(1, 0x5000000), {}).state, WitnessState::kHasNoMore);
  EXPECT_EQ(judge_witness(at(1, 0x5000001), at(1, 0x5000000), {}).state, WitnessState::kHasNoMore);
  const WitnessJudgement ahead = judge_witness(at(1, 0x5000000), at(1, 0x5000148), {});
  EXPECT_EQ(ahead.state, WitnessState::kIsAhead);
  EXPECT_EQ(ahead.bytes_ahead, 0x148U);
}

TEST(JudgeWitness, OneOnAnOlderTimelineHasNoMoreUpToItsEnd) {
  EXPECT_EQ(judge_witness(at(2, 0x6000000), at(1, kFork.value()), {.standby = history_of_two()}).state,
            WitnessState::kHasNoMore);
}

TEST(JudgeWitness, WalOfAnOlderTimelineBeyondItsEndCannotBeGotHowFarTheStandbyMayBe) {
  const WitnessJudgement judged =
      judge_witness(at(2, 0x6000000), at(1, 0x5000100), {.standby = history_of_two()});
  EXPECT_EQ(judged.state, WitnessState::kDiverged);
  EXPECT_EQ(judged.bytes_ahead, 0x100U);
  EXPECT_THAT(judged.why, HasSubstr("0/5000000"));
}

TEST(JudgeWitness, OneOnANewerTimelineThatBeginsAheadIsFollowed) {
  EXPECT_EQ(judge_witness(at(1, 0x4000000), at(2, 0x5000100), {.witness = history_of_two()}).state,
            WitnessState::kIsAhead);
  EXPECT_EQ(judge_witness(at(1, kFork.value()), at(2, kFork.value()), {.witness = history_of_two()}).state,
            WitnessState::kIsAhead);
}

TEST(JudgeWitness, StandbyBeyondTheForkOfANewerTimelineIsNotToFollowIt) {
  const WitnessJudgement judged =
      judge_witness(at(1, 0x5000001), at(2, 0x7000000), {.witness = history_of_two()});
  EXPECT_EQ(judged.state, WitnessState::kDiverged);
  EXPECT_FALSE(judged.why.empty());
}

TEST(JudgeWitness, TimelinesWithoutAHistoryAreNotTakenForHarmless) {
  EXPECT_EQ(judge_witness(at(2, 0x6000000), at(1, 0x100), {}).state, WitnessState::kDiverged);
  EXPECT_EQ(judge_witness(at(1, 0x100), at(2, 0x6000000), {}).state, WitnessState::kDiverged);
  EXPECT_EQ(judge_witness(at(3, 0x6000000), at(2, 0x100),
                          {.standby = pg::TimelineHistory::parse(pg::TimelineId(3), "1\t0/5000000\tx\n"),
                           .witness = history_of_two()})
                .state,
            WitnessState::kDiverged);
}

TEST(JudgeWitness, TwoTimelinesOfOneNumberAreOneOnlyWhereTheyBeganAtOnePlace) {
  const auto another = pg::TimelineHistory::parse(pg::TimelineId(2), "1\t0/5000100\tx\n");
  const Histories same = {.standby = history_of_two(), .witness = history_of_two()};
  EXPECT_EQ(judge_witness(at(2, 0x6000000), at(2, 0x6000000), same).state, WitnessState::kHasNoMore);
  EXPECT_EQ(judge_witness(at(2, 0x6000000), at(2, 0x6000001), same).state, WitnessState::kIsAhead);
  const auto judged = judge_witness(at(2, 0x6000000), at(2, 0x5000200), {history_of_two(), another});
  EXPECT_EQ(judged.state, WitnessState::kDiverged);
  EXPECT_THAT(judged.why, HasSubstr("0/5000100"));
  EXPECT_EQ(judge_witness(at(2, 0x6000000), at(2, 0x5000200), {.standby = history_of_two()}).state,
            WitnessState::kDiverged);
}

TEST(JudgeWitness, NewerTimelineOfAnotherLineIsNotFollowedNorAnOlderOneTakenForOurs) {
  const auto three = pg::TimelineHistory::parse(pg::TimelineId(3), "1\t0/5000100\tx\n2\t0/7000000\tx\n");
  EXPECT_EQ(judge_witness(at(2, 0x6000000), at(3, 0x8000000), {history_of_two(), three}).state,
            WitnessState::kDiverged);
  EXPECT_EQ(judge_witness(at(3, 0x8000000), at(2, 0x6000000), {three, history_of_two()}).state,
            WitnessState::kDiverged);
  const auto ours = pg::TimelineHistory::parse(pg::TimelineId(3), "1\t0/5000000\tx\n2\t0/7000000\tx\n");
  EXPECT_EQ(judge_witness(at(2, 0x6000000), at(3, 0x8000000), {history_of_two(), ours}).state,
            WitnessState::kIsAhead);
}

ReplicationLogin login_with(std::string_view conninfo) {
  return {.conninfo = *pg::Conninfo::parse(conninfo), .password = base::Secret("hunter2")};
}

TEST(WitnessLogin, KeepsWhoLogsInAndNothingOfThePrimary) {
  const auto conninfo = conninfo_towards(
      login_with("host=10.20.20.1 hostaddr=10.20.20.1 port=5432 user=replicator application_name=pgstandby1 "
                 "sslmode=verify-ca sslrootcert=/x/pgstandby1.crt channel_binding=require"),
      to_ask({"witness1", "10.20.20.3", 5433}), pg::Version(150000));
  EXPECT_EQ(conninfo.get("host"), "10.20.20.3");
  EXPECT_EQ(conninfo.get("hostaddr"), std::nullopt);
  EXPECT_EQ(conninfo.get("port"), "5433");
  EXPECT_EQ(conninfo.get("user"), "replicator");
  EXPECT_EQ(conninfo.get("application_name"), "pgstandby1");
  EXPECT_EQ(conninfo.get("sslrootcert"), std::nullopt);
  EXPECT_EQ(conninfo.get("sslmode"), "require");
  EXPECT_EQ(conninfo.get("channel_binding"), "require");
  EXPECT_EQ(conninfo.get("password"), std::nullopt);
}

TEST(WitnessLogin, OldLibpqKnowsNoChannelBinding) {
  const auto conninfo = conninfo_towards(login_with("host=10.20.20.1 user=r sslmode=require"),
                                         to_ask({"witness1", "10.20.20.3", 5433}), pg::Version(120000));
  EXPECT_EQ(conninfo.get("sslmode"), "require");
  EXPECT_EQ(conninfo.get("channel_binding"), std::nullopt);
}

TEST(WitnessLogin, OnOneHostOrWithoutTlsNothingIsDemanded) {
  const auto stays = conninfo_towards(login_with("host=10.20.20.1 sslmode=verify-ca"),
                                      to_ask({"witness1", "127.0.0.1", 5433}), pg::Version(150000));
  EXPECT_EQ(stays.get("sslmode"), "prefer");
  const auto plain = conninfo_towards(login_with("host=10.20.20.1"), to_ask({"witness1", "10.20.20.3", 5433}),
                                      pg::Version(150000));
  EXPECT_EQ(plain.get("sslmode"), "prefer");
}

TEST(WitnessLogin, WhatTheUserSaysCounts) {
  const auto witness = witness_by_hand("host=10.20.20.3 port=6000 sslmode=disable user=keeper");
  ASSERT_TRUE(witness);
  const auto conninfo = conninfo_towards(login_with("host=10.20.20.1 user=replicator sslmode=verify-ca"),
                                         *witness, pg::Version(150000));
  EXPECT_EQ(conninfo.get("sslmode"), "disable");
  EXPECT_EQ(conninfo.get("user"), "keeper");
  EXPECT_EQ(conninfo.get("port"), "6000");
}

TEST(WitnessLogin, PasswordOnTheCommandLineIsRefusedAndNotQuoted) {
  const auto witness = witness_by_hand("host=10.20.20.3 password=hunter2");
  ASSERT_FALSE(witness);
  EXPECT_EQ(witness.error().code, ErrorCode::kUsage);
  EXPECT_EQ(witness.error().message.find("hunter2"), std::string::npos);
  EXPECT_EQ(witness_by_hand("port=5433").error().code, ErrorCode::kUsage);
}

WitnessBefore witness_in(WitnessState state, std::uint64_t lsn = 0x5000000) {
  WitnessBefore witness{.name = "w", .where = "10.20.20.3 port 5433"};
  witness.position = at(1, lsn);
  witness.judgement = {state, 1, "so it is"};
  return witness;
}

TEST(Witnesses, OneThatCannotBeAskedIsAReasonToRefuse) {
  EXPECT_EQ(reason_to_refuse({}), std::nullopt);
  EXPECT_EQ(reason_to_refuse({witness_in(WitnessState::kHasNoMore), witness_in(WitnessState::kIsAhead)}),
            std::nullopt);
  const auto silent =
      reason_to_refuse({witness_in(WitnessState::kHasNoMore), witness_in(WitnessState::kUnreachable)});
  ASSERT_TRUE(silent);
  EXPECT_THAT(*silent, HasSubstr("cannot be asked"));
  EXPECT_TRUE(reason_to_refuse({witness_in(WitnessState::kDiverged)}));
}

TEST(Witnesses, TwoThatAreAheadOnDifferentLinesAreNotFollowed) {
  WitnessBefore old_line = witness_in(WitnessState::kIsAhead, 0x5000900);
  old_line.name = "old";
  WitnessBefore new_line = witness_in(WitnessState::kIsAhead);
  new_line.position = at(2, 0x5000a00);
  new_line.history = history_of_two();
  const auto reason = reason_to_refuse({old_line, new_line});
  ASSERT_TRUE(reason);
  EXPECT_THAT(*reason, HasSubstr("two lines"));
  EXPECT_THAT(ways_out({old_line, new_line}), HasSubstr("--without-witness old"));
  old_line.position = at(1, kFork.value());
  EXPECT_EQ(reason_to_refuse({old_line, new_line}), std::nullopt) << "the new line has all of it";
}

TEST(Witnesses, TheFurthestIsStreamedFrom) {
  const std::vector<WitnessBefore> witnesses = {witness_in(WitnessState::kIsAhead, 0x5000100),
                                                witness_in(WitnessState::kIsAhead, 0x5000200),
                                                witness_in(WitnessState::kDiverged, 0x9000000)};
  EXPECT_EQ(furthest_ahead(witnesses), &witnesses[1]);
  EXPECT_EQ(furthest_ahead({witness_in(WitnessState::kHasNoMore)}), nullptr);
}

TEST(Witnesses, OneThatIsGivenUpIsNeitherAReasonNorFollowed) {
  EXPECT_EQ(reason_to_refuse({witness_in(WitnessState::kGivenUp)}), std::nullopt);
  EXPECT_EQ(furthest_ahead({witness_in(WitnessState::kGivenUp)}), nullptr);
}

TEST(Witnesses, WaysOutNameTheWitnessesThatStandInTheWay) {
  const std::string hint =
      ways_out({witness_in(WitnessState::kIsAhead), witness_in(WitnessState::kUnreachable)});
  EXPECT_THAT(hint, HasSubstr("--without-witness w"));
  EXPECT_THAT(hint, HasSubstr("--accept-data-loss"));
}

TEST(Witnesses, WhoHasMoreThanBeforeIsBeingWrittenTo) {
  const std::vector<WitnessBefore> before = {witness_in(WitnessState::kIsAhead, 0x5000100)};
  EXPECT_EQ(one_that_moved(before, before), nullptr);
  const std::vector<WitnessBefore> now = {witness_in(WitnessState::kIsAhead, 0x5000101)};
  EXPECT_EQ(one_that_moved(before, now), &now[0]);
  EXPECT_EQ(one_that_moved({}, now), nullptr) << "one that was not known before tells nothing";
}

}  // namespace
}  // namespace standfast::setup

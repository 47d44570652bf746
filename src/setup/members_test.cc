#include "setup/members.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr pg::Lsn kHead{0x3013BF8};
constexpr std::uint64_t kMegabyte = 1024 * 1024;

WalSender streaming_sender() {
  return {.pid = 4647,
          .application_name = "pgstandby1",
          .client_address = "10.20.20.2",
          .state = "streaming",
          .sent = kHead,
          .write = kHead,
          .flush = kHead,
          .replay = kHead,
          .replay_lag = {},
          .sync_state = "async"};
}

Slot active_slot() {
  return {.name = "pgstandby1",
          .is_physical = true,
          .is_active = true,
          .active_pid = 4647,
          .restart_lsn = kHead,
          .wal_status = "reserved",
          .safe_wal_bytes = {},
          .invalidation_reason = ""};
}

ServerFacts primary() {
  ServerFacts facts;
  facts.host = "10.20.20.1";
  facts.port = "5432";
  facts.version = pg::Version(150018);
  facts.system_id = pg::SystemId(7);
  facts.timeline = pg::TimelineId(1);
  facts.head = kHead;
  facts.senders = {streaming_sender()};
  facts.slots = {active_slot()};
  return facts;
}

ServerFacts standby() {
  ServerFacts facts;
  facts.host = "/var/run/postgresql";
  facts.port = "5432";
  facts.version = pg::Version(150018);
  facts.system_id = pg::SystemId(7);
  facts.timeline = pg::TimelineId(1);
  facts.is_in_recovery = true;
  facts.head = kHead;
  facts.replay = kHead;
  facts.application_name = "pgstandby1";
  facts.primary_slot_name = "pgstandby1";
  facts.receiver = WalReceiver{.status = "streaming",
                               .flushed = kHead,
                               .timeline = pg::TimelineId(1),
                               .latest_end = kHead,
                               .slot = "pgstandby1",
                               .sender_host = "10.20.20.1",
                               .sender_port = "5432"};
  return facts;
}

StatusReport report_of(std::vector<ServerFacts> servers, MaxLag limit = {}) {
  return make_report({.servers = std::move(servers), .unreachable = {}, .max_lag = limit});
}

std::vector<ErrorCode> codes_of(const StatusReport& report) {
  std::vector<ErrorCode> codes;
  for (const Finding& finding : report.findings) codes.push_back(finding.code);
  return codes;
}

TEST(Status, HealthyPairIsWell) {
  const StatusReport report = report_of({primary()});
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.exit_code(), 0);
  ASSERT_EQ(report.members.size(), 2U);
  EXPECT_EQ(report.members[0].role, MemberRole::kPrimary);
  EXPECT_EQ(report.members[1].name, "pgstandby1");
  EXPECT_EQ(report.members[1].timeline, pg::TimelineId(1));
  ASSERT_TRUE(report.members[1].slot);
  EXPECT_EQ(report.members[1].slot->name, "pgstandby1");
  EXPECT_EQ(report.members[1].slot->held_bytes, 0U);
}

TEST(Status, IdlePairHasNoLagEvenWithAnOldMeasurement) {
  ServerFacts facts = primary();
  facts.senders[0].replay_lag = std::chrono::minutes(5);
  const StatusReport report = report_of({facts}, {.bytes = 0, .time = milliseconds(0)});
  EXPECT_EQ(report.members[1].lag_bytes, 0U);
  EXPECT_EQ(report.members[1].lag_time, milliseconds(0));
  EXPECT_THAT(report.findings, IsEmpty());
}

TEST(Status, IdleStandbyAskedAloneHasNoLag) {
  const ServerFacts facts = standby();
  const StatusReport report = report_of({facts}, {.bytes = {}, .time = milliseconds(1)});
  ASSERT_EQ(report.members.size(), 1U);
  EXPECT_EQ(report.members[0].lag_bytes, 0U);
  EXPECT_EQ(report.members[0].lag_time, milliseconds(0));
  EXPECT_THAT(report.findings, IsEmpty());
}

TEST(Status, StandbyAskedAloneWithARecordInFlightIsNotLateAndSaysWhatItCannotTell) {
  ServerFacts facts = standby();
  facts.receiver->latest_end = kHead + 56;
  const StatusReport report = report_of({facts}, {.bytes = {}, .time = milliseconds(1)});
  EXPECT_EQ(report.members[0].lag_bytes, 56U);
  EXPECT_FALSE(report.members[0].lag_time);
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("for how long is not known")));
  EXPECT_THAT(report_of({facts}).notes, IsEmpty()) << "nobody asked for it";
}

TEST(Status, LagTimeOfAPairIsWhatTheSenderMeasured) {
  ServerFacts above = primary();
  above.head = kHead + 56;
  EXPECT_FALSE(report_of({above, standby()}).members[1].lag_time);
  above.senders[0].replay_lag = milliseconds(3);
  EXPECT_EQ(report_of({above, standby()}).members[1].lag_time, milliseconds(3));
}

TEST(Status, StandbyAheadOfTheHeadReadBeforeItHasNoLag) {
  ServerFacts facts = primary();
  facts.senders[0].replay = kHead + 4096;
  EXPECT_EQ(report_of({facts}).members[1].lag_bytes, 0U);
}

TEST(Status, LagIsJudgedInBytesAndInTime) {
  ServerFacts facts = primary();
  facts.head = kHead + 20 * kMegabyte;
  facts.senders[0].replay_lag = std::chrono::seconds(40);
  EXPECT_THAT(report_of({facts}).findings, IsEmpty()) << "without --max-lag no lag is too much";
  EXPECT_THAT(codes_of(report_of({facts}, {.bytes = 16 * kMegabyte, .time = {}})),
              ElementsAre(ErrorCode::kLagging));
  EXPECT_THAT(codes_of(report_of({facts}, {.bytes = {}, .time = std::chrono::seconds(30)})),
              ElementsAre(ErrorCode::kLagging));
  EXPECT_THAT(report_of({facts}, {.bytes = 32 * kMegabyte, .time = std::chrono::minutes(1)}).findings,
              IsEmpty());
  EXPECT_EQ(report_of({facts}, {.bytes = 1, .time = {}}).exit_code(), 31);
}

TEST(Status, ReceiverWithoutReplayIsMeasuredByWhatItHolds) {
  ServerFacts facts = primary();
  facts.senders[0].replay.reset();
  facts.head = kHead + 100;
  EXPECT_EQ(report_of({facts}).members[1].lag_bytes, 100U);
}

TEST(Status, InactiveSlotHoldingWalIsItsOwnVerdict) {
  ServerFacts facts = primary();
  facts.senders.clear();
  facts.slots[0].is_active = false;
  facts.slots[0].active_pid.reset();
  facts.head = kHead + 5 * kMegabyte;
  const StatusReport report = report_of({facts});
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kSlotInactive));
  EXPECT_EQ(report.exit_code(), 33);
  EXPECT_THAT(report.findings[0].message, HasSubstr("5 MiB"));
  EXPECT_EQ(report.members[1].role, MemberRole::kSlot);
  EXPECT_EQ(report.members[1].slot->held_bytes, 5 * kMegabyte);
}

TEST(Status, LostSlotIsMoreSeriousThanTheInactiveOne) {
  ServerFacts facts = primary();
  facts.senders.clear();
  facts.slots[0].is_active = false;
  Slot lost = active_slot();
  lost.name = "pgstandby2";
  lost.is_active = false;
  lost.restart_lsn.reset();
  lost.wal_status = "lost";
  facts.slots.push_back(lost);
  const StatusReport report = report_of({facts});
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kSlotLost, ErrorCode::kSlotInactive));
  EXPECT_EQ(report.exit_code(), 32);
}

TEST(Status, InvalidatedSlotOfNewServersIsLost) {
  ServerFacts facts = primary();
  facts.slots[0].is_active = false;
  facts.slots[0].active_pid.reset();
  facts.slots[0].invalidation_reason = "idle_timeout";
  EXPECT_THAT(codes_of(report_of({facts})), ElementsAre(ErrorCode::kSlotLost));
}

TEST(Status, SlotThatWasNeverUsedHoldsNothingAndIsNoStandby) {
  ServerFacts facts = primary();
  facts.senders.clear();
  facts.slots[0].is_active = false;
  facts.slots[0].restart_lsn.reset();
  const StatusReport report = report_of({facts});
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kNotStreaming));
  EXPECT_THAT(report.findings[0].message, HasSubstr("no standby"));
  EXPECT_EQ(report.members[1].state, "never used");
}

TEST(Status, PrimaryAloneHasNoStandby) {
  ServerFacts facts = primary();
  facts.senders.clear();
  facts.slots.clear();
  EXPECT_EQ(report_of({facts}).exit_code(), 30);
}

TEST(Status, BackupInProgressIsNoStandby) {
  ServerFacts facts = primary();
  facts.senders[0].state = "backup";
  facts.slots.clear();
  EXPECT_THAT(codes_of(report_of({facts})), ElementsAre(ErrorCode::kNotStreaming));
  facts.senders.push_back(streaming_sender());
  EXPECT_THAT(report_of({facts}).findings, IsEmpty());
}

TEST(Status, CatchingUpIsNotStreamingYet) {
  ServerFacts facts = primary();
  facts.senders[0].state = "catchup";
  const StatusReport report = report_of({facts});
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kNotStreaming));
  EXPECT_FALSE(report.members[1].timeline) << "it may still send an older timeline";
}

TEST(Status, MaskedViewIsSaidAndNotTakenForABrokenStandby) {
  ServerFacts facts = primary();
  facts.sees_everything = false;
  facts.role = "alice \"a\"";
  facts.senders[0] = {.pid = 4647,
                      .application_name = "pgstandby1",
                      .client_address = "",
                      .state = "",
                      .sent = {},
                      .write = {},
                      .flush = {},
                      .replay = {},
                      .replay_lag = {},
                      .sync_state = ""};
  const StatusReport report = report_of({facts});
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kPermission));
  EXPECT_THAT(report.findings[0].hint, HasSubstr("GRANT pg_monitor TO \"alice \"\"a\"\"\","));
}

TEST(Status, BothSidesAreOneRowEach) {
  const StatusReport report = report_of({standby(), primary()});
  EXPECT_THAT(report.findings, IsEmpty());
  ASSERT_EQ(report.members.size(), 2U);
  EXPECT_EQ(report.members[0].role, MemberRole::kPrimary);
  EXPECT_EQ(report.members[1].host, "10.20.20.2");
}

TEST(Status, StandbyThatTheMasterDoesNotSeeIsNotStreaming) {
  ServerFacts lonely = primary();
  lonely.senders.clear();
  lonely.slots[0].is_active = false;
  lonely.slots[0].active_pid.reset();
  ServerFacts broken = standby();
  broken.receiver.reset();
  const StatusReport report = report_of({lonely, broken});
  ASSERT_EQ(report.members.size(), 2U);
  EXPECT_EQ(report.members[1].role, MemberRole::kStandby);
  EXPECT_EQ(report.members[1].state, "not receiving");
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kNotStreaming, ErrorCode::kSlotInactive));
}

TEST(Status, StandbyWithoutASlotIsFoundByItsName) {
  ServerFacts slotless = primary();
  slotless.slots.clear();
  ServerFacts below = standby();
  below.primary_slot_name = "";
  below.receiver->slot = "";
  EXPECT_EQ(report_of({slotless, below}).members.size(), 2U);
  below.application_name = "other";
  EXPECT_EQ(report_of({slotless, below}).members.size(), 3U);
}

TEST(Status, UnreachableServerIsAVerdictIfItWasNamedAndElseANote) {
  Unreachable missing{.what = "the server at 10.0.0.9", .error = base::Error(ErrorCode::kConnect, "refused")};
  StatusReport report = make_report({.servers = {primary()}, .unreachable = {missing}, .max_lag = {}});
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kStandbyUnreachable));
  EXPECT_EQ(report.exit_code(), 34);
  report = make_report({.servers = {standby()}, .unreachable = {missing}, .max_lag = {}});
  EXPECT_EQ(report.exit_code(), 34) << "a standby that still streams does not stand in for it";
  EXPECT_THAT(report.findings[0].message, HasSubstr("10.0.0.9"));
  missing.source = Source::kPrimaryConninfo;
  report = make_report({.servers = {standby()}, .unreachable = {missing}, .max_lag = {}});
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("refused")));
}

TEST(Status, MostSeriousFindingGivesTheExitCode) {
  ServerFacts facts = primary();
  facts.head = kHead + kMegabyte;
  facts.senders[0].state = "catchup";
  Slot idle = active_slot();
  idle.name = "other";
  idle.is_active = false;
  idle.active_pid.reset();
  facts.slots.push_back(idle);
  const Unreachable missing{.what = "x", .error = base::Error(ErrorCode::kConnect, "refused")};
  const StatusReport report =
      make_report({.servers = {facts}, .unreachable = {missing}, .max_lag = {.bytes = 1, .time = {}}});
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kStandbyUnreachable, ErrorCode::kNotStreaming,
                                            ErrorCode::kSlotInactive, ErrorCode::kLagging));
}

TEST(Status, PromotedStandbyIsASecondPrimary) {
  ServerFacts promoted = standby();
  promoted.is_in_recovery = false;
  promoted.timeline = pg::TimelineId(2);
  const StatusReport report = report_of({primary(), promoted});
  ASSERT_FALSE(report.findings.empty());
  EXPECT_THAT(report.findings[0].message, HasSubstr("is a primary too"));
}

TEST(Status, ForeignClusterAndOtherTimelineAreNamed) {
  ServerFacts foreign = standby();
  foreign.system_id = pg::SystemId(8);
  EXPECT_THAT(report_of({primary(), foreign}).findings[0].message,
              HasSubstr("system identifiers are 8 and 7"));
  ServerFacts old = standby();
  old.timeline = pg::TimelineId(3);
  EXPECT_THAT(report_of({primary(), old}).findings[0].message, HasSubstr("timeline 3"));
}

TEST(Status, PausedAndDelayedReplayAreNoted) {
  ServerFacts facts = standby();
  facts.is_replay_paused = true;
  facts.apply_delay = std::chrono::hours(1);
  EXPECT_THAT(report_of({facts}).notes, ElementsAre(HasSubstr("paused"), HasSubstr("late on purpose")));
}

TEST(Status, CascadedStandbysStandBelowTheirs) {
  ServerFacts middle = standby();
  middle.senders = {streaming_sender()};
  middle.senders[0].application_name = "leaf";
  const StatusReport report = report_of({primary(), middle});
  ASSERT_EQ(report.members.size(), 3U);
  EXPECT_EQ(report.members[2].name, "leaf");
  EXPECT_THAT(report.findings, IsEmpty());
}

/// A standby of standby(), which is the primary's.
ServerFacts leaf() {
  ServerFacts facts = standby();
  facts.host = "10.20.20.3";
  facts.application_name = "pgstandby2";
  facts.primary_slot_name = "pgstandby2";
  facts.receiver->slot = "pgstandby2";
  facts.receiver->sender_host = "10.20.20.2";
  return facts;
}

ServerFacts middle_of_a_chain() {
  ServerFacts facts = standby();
  facts.host = "10.20.20.2";
  facts.senders = {streaming_sender()};
  facts.senders[0].application_name = "pgstandby2";
  facts.slots = {active_slot()};
  facts.slots[0].name = "pgstandby2";
  return facts;
}

TEST(Status, AChainIsShownFromTheTopInWhateverOrderItIsAsked) {
  for (const auto& servers : {std::vector{primary(), middle_of_a_chain(), leaf()},
                              {leaf(), middle_of_a_chain(), primary()},
                              {middle_of_a_chain(), leaf(), primary()},
                              {middle_of_a_chain(), primary()}}) {
    const StatusReport report = report_of(servers);
    EXPECT_THAT(report.findings, IsEmpty());
    ASSERT_EQ(report.members.size(), 3U);
    EXPECT_EQ(report.members[0].role, MemberRole::kPrimary);
    EXPECT_EQ(report.members[0].from, "");
    EXPECT_EQ(report.members[1].name, "pgstandby1");
    EXPECT_EQ(report.members[1].from, "primary");
    EXPECT_EQ(report.members[2].name, "pgstandby2");
    EXPECT_EQ(report.members[2].from, "standby pgstandby1");
    EXPECT_THAT(report.notes, ElementsAre(HasSubstr("follows the standby \"pgstandby1\"")));
  }
}

TEST(Status, LagBehindAStandbyIsCountedFromThereAndItsOwnIsSaid) {
  ServerFacts top = primary();
  top.head = kHead + 2 * kMegabyte;
  ServerFacts middle = middle_of_a_chain();
  middle.senders[0].replay = pg::Lsn(kHead.value() - 100);
  const StatusReport report = report_of({top, middle});
  EXPECT_EQ(report.members[2].lag_bytes, 100U);
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("2 MiB behind the primary")));
}

TEST(Status, AStandbyAskedAloneNamesItsSource) {
  EXPECT_EQ(report_of({leaf()}).members[0].from, "10.20.20.2 port 5432");
}

TEST(Status, AStandbyOfAServerThatWasNotAskedIsNotThePrimarys) {
  const StatusReport report = report_of({primary(), leaf()});
  EXPECT_THAT(report.findings, IsEmpty());
  ASSERT_EQ(report.members.size(), 3U);
  EXPECT_EQ(report.members[2].from, "10.20.20.2 port 5432");
}

TEST(Status, OneNameOnTwoLevelsIsToldApartByTheAddress) {
  ServerFacts middle = middle_of_a_chain();
  middle.senders[0].application_name = "pgstandby1";
  middle.slots[0].name = "pgstandby1";
  ServerFacts below = leaf();
  below.application_name = below.primary_slot_name = below.receiver->slot = "pgstandby1";
  const StatusReport report = report_of({primary(), middle, below});
  ASSERT_EQ(report.members.size(), 3U);
  EXPECT_EQ(report.members[2].from, "standby pgstandby1");
}

TEST(MaxLagTest, TakesPostgresUnits) {
  EXPECT_EQ(parse_max_lag("16MB")->bytes, 16 * kMegabyte);
  EXPECT_EQ(parse_max_lag("512kB")->bytes, 512U * 1024);
  EXPECT_EQ(parse_max_lag("0")->bytes, 0U);
  EXPECT_EQ(parse_max_lag("30s")->time, milliseconds(30'000));
  EXPECT_EQ(parse_max_lag("5 min")->time, milliseconds(300'000));
  EXPECT_FALSE(parse_max_lag("30s")->bytes);
}

TEST(MaxLagTest, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "s", "MB", "-1", "16mb", "1 fortnight", "16MB ", "99999999999999999999",
                           "9999999999999999TB", "999999999999d"}) {
    const auto limit = parse_max_lag(text);
    ASSERT_FALSE(limit) << text;
    EXPECT_EQ(limit.error().code, ErrorCode::kUsage);
  }
}

UnfinishedCopy unfinished_copy() {
  UnfinishedCopy copy{.facts = {.target = "/srv/data",
                                .begun = "2026-01-31 12:00:00 UTC",
                                .system_id = pg::SystemId(7),
                                .slot = "mine",
                                .made_slot = true}};
  copy.held_bytes = kMegabyte;
  return copy;
}

TEST(Status, UnfinishedCopyIsAFindingWithItsTwoWaysOn) {
  const StatusReport report = make_report({.servers = {}, .unfinished = {unfinished_copy()}});
  ASSERT_THAT(codes_of(report), ElementsAre(ErrorCode::kNotStreaming));
  EXPECT_THAT(report.findings[0].message, HasSubstr("begun at 2026-01-31 12:00:00 UTC, did not end"));
  EXPECT_THAT(report.findings[0].message, HasSubstr("slot \"mine\" holds back 1 MiB of WAL for it"));
  EXPECT_THAT(report.findings[0].hint, HasSubstr("Run the same command again"));
  EXPECT_THAT(report.findings[0].hint, HasSubstr("standfast standby clone --abandon -D /srv/data"));
  EXPECT_THAT(report.members, IsEmpty());
}

TEST(Status, SlotOfAnUnfinishedCopyIsToldOfOnce) {
  ServerFacts facts = primary();
  Slot idle = active_slot();
  idle.name = "mine";
  idle.is_active = false;
  idle.active_pid = {};
  facts.slots.push_back(idle);
  EXPECT_THAT(codes_of(report_of({facts})), ElementsAre(ErrorCode::kSlotInactive));
  const StatusReport report = make_report({.servers = {facts}, .unfinished = {unfinished_copy()}});
  EXPECT_THAT(codes_of(report), ElementsAre(ErrorCode::kNotStreaming));
  UnfinishedCopy of_another = unfinished_copy();
  of_another.facts.system_id = pg::SystemId(8);
  EXPECT_THAT(codes_of(make_report({.servers = {facts}, .unfinished = {of_another}})),
              ElementsAre(ErrorCode::kNotStreaming, ErrorCode::kSlotInactive));
}

TEST(Status, RejoinThatDidNotEndHasNothingToAbandon) {
  UnfinishedCopy rejoin = unfinished_copy();
  rejoin.facts.kind = clone::Unfinished::Kind::kRejoin;
  rejoin.facts.is_in_pieces = true;
  const StatusReport report = make_report({.servers = {}, .unfinished = {rejoin}});
  EXPECT_THAT(report.findings[0].message, HasSubstr("no server starts from it"));
  EXPECT_THAT(report.findings[0].hint, HasSubstr("standby clone --replace -D /srv/data"));
  rejoin.facts.is_in_pieces = false;
  rejoin.facts.has_begun = false;
  EXPECT_THAT(make_report({.servers = {}, .unfinished = {rejoin}}).findings[0].hint,
              HasSubstr("standby clone --abandon -D /srv/data"));
}

}  // namespace
}  // namespace standfast::setup

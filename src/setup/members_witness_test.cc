#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "setup/members.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr pg::Lsn kHead{0x3013BF8};

const std::vector<KnownWitness> kKnown = {{"witness1", "10.20.20.3", 5433}};

WalSender sender(std::string name, std::int64_t pid) {
  WalSender sender;
  sender.pid = pid;
  sender.application_name = std::move(name);
  sender.client_address = "10.20.20.3";
  sender.state = "streaming";
  sender.sent = sender.write = sender.flush = kHead;
  sender.sync_state = "quorum";
  return sender;
}

WalSender standby_sender() {
  WalSender standby = sender("pgstandby1", 10);
  standby.replay = kHead;
  return standby;
}

Slot slot(std::string name, std::optional<std::int64_t> pid) {
  Slot slot;
  slot.name = std::move(name);
  slot.is_active = pid.has_value();
  slot.active_pid = pid;
  slot.restart_lsn = kHead;
  slot.wal_status = "reserved";
  return slot;
}

ServerFacts primary(std::vector<WalSender> senders, std::vector<Slot> slots = {}) {
  ServerFacts facts;
  facts.host = "10.20.20.1";
  facts.port = "5432";
  facts.system_id = pg::SystemId(7);
  facts.timeline = pg::TimelineId(1);
  facts.head = kHead;
  facts.senders = std::move(senders);
  facts.slots = std::move(slots);
  facts.synchronous_standby_names = "ANY 1 (pgstandby1, \"witness1\")";
  return facts;
}

StatusReport report_of(ServerFacts facts, std::vector<std::string> remote_apply = {}) {
  return make_report(
      {.servers = {std::move(facts)}, .witnesses = kKnown, .remote_apply = std::move(remote_apply)});
}

const Member& member_named(const StatusReport& report, std::string_view name) {
  for (const Member& member : report.members) {
    if (member.name == name) return member;
  }
  ADD_FAILURE() << "no member " << name;
  return report.members.front();
}

std::vector<ErrorCode> codes_of(const StatusReport& report) {
  std::vector<ErrorCode> codes;
  for (const Finding& finding : report.findings) codes.push_back(finding.code);
  return codes;
}

TEST(StatusOfWitness, IsARoleOfItsOwnAndItsLagIsThatOfItsFlush) {
  ServerFacts facts = primary({standby_sender(), sender("witness1", 11)});
  facts.senders[1].flush = pg::Lsn(kHead.value() - 100);
  facts.senders[1].flush_lag = milliseconds(7);
  const StatusReport report = report_of(facts);
  const Member& witness = member_named(report, "witness1");
  EXPECT_EQ(witness.role, MemberRole::kWitness);
  EXPECT_EQ(describe(witness.role), "witness");
  EXPECT_EQ(witness.lag_bytes, 100U);
  EXPECT_EQ(witness.lag_time, milliseconds(7));
  EXPECT_EQ(member_named(report, "pgstandby1").role, MemberRole::kStandby);
  EXPECT_THAT(report.findings, IsEmpty());
}

TEST(StatusOfWitness, ReceiverThatNobodyNamedAWitnessIsAReceiver) {
  const StatusReport report =
      report_of(primary({standby_sender(), sender("witness1", 11), sender("tape", 12)}));
  EXPECT_EQ(member_named(report, "tape").role, MemberRole::kReceiver);
  EXPECT_EQ(describe(MemberRole::kReceiver), "receiver");
}

TEST(StatusOfWitness, StandbyThatHasAWitnesssNameIsAStandby) {
  WalSender standby = sender("witness1", 11);
  standby.replay = kHead;
  EXPECT_EQ(member_named(report_of(primary({standby})), "witness1").role, MemberRole::kStandby);
}

TEST(StatusOfWitness, ListedOneThatDoesNotStreamIsAFinding) {
  const StatusReport idle = report_of(primary({standby_sender()}, {slot("witness1", {})}));
  EXPECT_EQ(member_named(idle, "witness1").state, "not connected");
  EXPECT_EQ(member_named(idle, "witness1").role, MemberRole::kWitness);
  EXPECT_THAT(codes_of(idle), ElementsAre(ErrorCode::kNotStreaming, ErrorCode::kSlotInactive));
  EXPECT_THAT(idle.findings[0].message, HasSubstr("commits may wait"));
  EXPECT_THAT(idle.findings[0].hint, HasSubstr("standfast sync disable witness1"));
  EXPECT_THAT(idle.findings[1].message, HasSubstr("of a witness"));
  EXPECT_THAT(idle.findings[1].hint, HasSubstr("Start its witness"));

  const StatusReport missing = report_of(primary({standby_sender()}));
  EXPECT_THAT(codes_of(missing), ElementsAre(ErrorCode::kNotStreaming));
  EXPECT_EQ(member_named(missing, "witness1").host, "10.20.20.3");

  ServerFacts catching_up = primary({standby_sender(), sender("witness1", 11)});
  catching_up.senders[1].state = "catchup";
  EXPECT_THAT(codes_of(report_of(catching_up)), ElementsAre(ErrorCode::kNotStreaming));
}

TEST(StatusOfWitness, OneThatNoCommitWaitsForKeepsEveryPromotionFromGoingOn) {
  ServerFacts facts = primary({standby_sender()});
  facts.synchronous_standby_names = "";
  const StatusReport report = report_of(facts);
  ASSERT_THAT(codes_of(report), ElementsAre(ErrorCode::kNotStreaming));
  EXPECT_THAT(report.findings[0].message, HasSubstr("a promotion would be refused"));
  EXPECT_THAT(report.findings[0].hint, HasSubstr("--remove-witness witness1"));
  EXPECT_EQ(member_named(report, "witness1").state, "not connected");
  facts.slots = {slot("witness1", {})};
  EXPECT_THAT(codes_of(report_of(facts)), ElementsAre(ErrorCode::kSlotInactive)) << "that says enough";
}

TEST(StatusOfWitness, ListedOneThatCatchesUpIsNotToBeStarted) {
  ServerFacts facts = primary({standby_sender(), sender("witness1", 11)});
  facts.senders[1].state = "catchup";
  const StatusReport report = report_of(facts);
  ASSERT_THAT(codes_of(report), ElementsAre(ErrorCode::kNotStreaming));
  EXPECT_THAT(report.findings[0].hint, HasSubstr("wait"));
}

TEST(StatusOfWitness, RemoteApplyIsNotedWhereAWitnessIsListed) {
  const ServerFacts facts = primary({standby_sender(), sender("witness1", 11)});
  EXPECT_THAT(report_of(facts, {"role \"app\""}).notes, ElementsAre(HasSubstr("role \"app\"")));
  EXPECT_THAT(report_of(facts).notes, IsEmpty());
}

}  // namespace
}  // namespace standfast::setup

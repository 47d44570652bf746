#include "setup/sync.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr pg::Lsn kFlushed{0x3000148};

WalSender sender(std::string name) {
  WalSender sender;
  sender.application_name = std::move(name);
  sender.state = "streaming";
  sender.flush = kFlushed;
  sender.replay = kFlushed;
  return sender;
}

SyncFacts facts_with(std::string names, std::vector<std::string> streaming) {
  SyncFacts facts;
  facts.names = std::move(names);
  facts.source = "configuration file";
  for (std::string& name : streaming) facts.senders.push_back(sender(std::move(name)));
  return facts;
}

std::string enabled(const SyncFacts& facts, const SyncChange& change) {
  const auto list = plan_enable(facts, change);
  EXPECT_TRUE(list) << list.error().message;
  return list ? list->to_string() : "";
}

std::string disabled(const SyncFacts& facts, const SyncChange& change) {
  const auto list = plan_disable(facts, change);
  EXPECT_TRUE(list) << list.error().message;
  return list ? list->to_string() : "";
}

base::Error refused(const base::Result<pg::SyncStandbyNames>& list) {
  EXPECT_FALSE(list) << list->to_string();
  return list ? base::Error() : list.error();
}

TEST(SyncEnable, FirstNameIsOneOfAny) {
  EXPECT_EQ(enabled(facts_with("", {"witness1"}), {.names = {"witness1"}}), "ANY 1 (\"witness1\")");
}

TEST(SyncEnable, NameIsAddedToWhatIsThereOnce) {
  const SyncFacts facts = facts_with("ANY 1 (witness1)", {"witness1", "pgstandby1"});
  EXPECT_EQ(enabled(facts, {.names = {"pgstandby1"}}), "ANY 1 (\"witness1\", \"pgstandby1\")");
  EXPECT_EQ(enabled(facts, {.names = {"WITNESS1"}}), "ANY 1 (\"witness1\")");
}

TEST(SyncEnable, MethodAndCountThatAreThereStay) {
  const SyncFacts facts = facts_with("FIRST 2 (a, b)", {"a", "b", "c"});
  EXPECT_EQ(enabled(facts, {.names = {"c"}}), "FIRST 2 (\"a\", \"b\", \"c\")");
  EXPECT_EQ(enabled(facts, {.names = {"c"}, .method = pg::SyncMethod::kAny, .count = 1}),
            "ANY 1 (\"a\", \"b\", \"c\")");
}

TEST(SyncEnable, OnlyGivesUpTheOldListAndIsNotHeldUpByIt) {
  const SyncFacts facts = facts_with("ANY 1 (gone, *)", {"a"});
  EXPECT_EQ(enabled(facts, {.names = {"a"}, .only_these = true}), "ANY 1 (\"a\")");
}

TEST(SyncEnable, NobodyIsListedWhoDoesNotStream) {
  const base::Error error = refused(plan_enable(facts_with("", {"a", "b"}), {.names = {"witness1"}}));
  EXPECT_EQ(error.code, ErrorCode::kPrecondition);
  EXPECT_THAT(error.message, HasSubstr("witness1"));
  EXPECT_THAT(error.hint, HasSubstr("a, b"));
}

TEST(SyncEnable, OneThatIsListedAlreadyHasToStreamToo) {
  EXPECT_THAT(refused(plan_enable(facts_with("ANY 1 (gone)", {"a"}), {.names = {"a"}})).message,
              HasSubstr("gone"));
}

TEST(SyncEnable, OneThatIsListedAndDeadHasItsWaysOut) {
  const base::Error error = refused(plan_enable(facts_with("ANY 1 (gone)", {"a"}), {.names = {"a"}}));
  EXPECT_THAT(error.hint, HasSubstr("sync disable gone"));
  EXPECT_THAT(error.hint, HasSubstr("--only"));
}

TEST(SyncEnable, NameThatStreamsTwiceWouldCountTwice) {
  EXPECT_THAT(refused(plan_enable(facts_with("", {"a", "A"}), {.names = {"a"}})).message,
              HasSubstr("2 connections"));
}

TEST(SyncEnable, SenderWithoutAFlushPositionCannotBeWaitedFor) {
  SyncFacts facts = facts_with("", {"a"});
  facts.senders[0].flush.reset();
  EXPECT_EQ(refused(plan_enable(facts, {.names = {"a"}})).code, ErrorCode::kPrecondition);
  facts = facts_with("", {"a"});
  facts.senders[0].state = "catchup";
  EXPECT_THAT(refused(plan_enable(facts, {.names = {"a"}})).message, HasSubstr("catchup"));
  facts.senders[0].state = "";
  EXPECT_EQ(refused(plan_enable(facts, {.names = {"a"}})).code, ErrorCode::kPermission);
}

TEST(SyncEnable, WildcardIsNotMerged) {
  EXPECT_THAT(refused(plan_enable(facts_with("*", {"a"}), {.names = {"a"}})).hint, HasSubstr("--only"));
}

TEST(SyncEnable, MoreThanThereAreCannotBeWaitedFor) {
  EXPECT_EQ(refused(plan_enable(facts_with("", {"a"}), {.names = {"a"}, .count = 2})).code,
            ErrorCode::kUsage);
}

TEST(SyncEnable, ServerThatMayNotBeChangedIsNotAndTheLineIsTold) {
  SyncFacts facts = facts_with("", {"a"});
  facts.is_in_recovery = true;
  EXPECT_THAT(refused(plan_enable(facts, {.names = {"a"}})).message, HasSubstr("standby"));
  facts = facts_with("", {"a"});
  facts.may_alter_system = false;
  EXPECT_THAT(refused(plan_enable(facts, {.names = {"a"}})).hint, HasSubstr("'ANY 1 (\"a\")'"));
  facts = facts_with("", {"a"});
  facts.source = "command line";
  EXPECT_THAT(refused(plan_enable(facts, {.names = {"a"}})).message, HasSubstr("command line"));
  EXPECT_THAT(refused(plan_enable(facts, {.names = {"a"}})).hint, HasSubstr("restart"));
}

TEST(SyncDisable, WithoutNamesTheListIsEmptied) {
  EXPECT_EQ(disabled(facts_with("FIRST 2 (a, b)", {}), {}), "");
  EXPECT_EQ(disabled(facts_with("*", {}), {}), "");
  EXPECT_EQ(disabled(facts_with("", {}), {}), "");
}

TEST(SyncDisable, OneIsTakenOutAndNoMoreIsWaitedForThanAreLeft) {
  EXPECT_EQ(disabled(facts_with("FIRST 2 (a, b)", {"a"}), {.names = {"B"}}), "FIRST 1 (\"a\")");
  EXPECT_EQ(disabled(facts_with("ANY 1 (a)", {}), {.names = {"a"}}), "");
}

TEST(SyncDisable, WhatIsLeftMustNotHoldUpEveryCommit) {
  const base::Error error =
      refused(plan_disable(facts_with("ANY 1 (s1, witness1)", {"witness1"}), {.names = {"witness1"}}));
  EXPECT_EQ(error.code, ErrorCode::kPrecondition);
  EXPECT_THAT(error.hint, HasSubstr("sync disable"));
  EXPECT_EQ(disabled(facts_with("ANY 1 (s1, witness1)", {}), {}), "");
  SyncFacts facts = facts_with("ANY 1 (s1, witness1)", {"s1", "witness1"});
  facts.senders[0].flush.reset();
  EXPECT_EQ(refused(plan_disable(facts, {.names = {"witness1"}})).code, ErrorCode::kPrecondition);
  EXPECT_EQ(disabled(facts_with("ANY 1 (a, *)", {"other"}), {.names = {"a"}}), "ANY 1 (*)");
}

TEST(SyncDisable, NameThatIsNotThereIsSaid) {
  EXPECT_EQ(refused(plan_disable(facts_with("ANY 1 (a)", {}), {.names = {"b"}})).code,
            ErrorCode::kPrecondition);
}

TEST(SyncList, StaleIsWhoHasNotWhatTheServerHad) {
  const SyncFacts facts = facts_with("", {"a", "b"});
  const auto list = *pg::SyncStandbyNames::parse("ANY 1 (A, b, gone)");
  EXPECT_THAT(stale_names(list, facts.senders, kFlushed), ElementsAre("gone"));
  EXPECT_THAT(stale_names(list, facts.senders, pg::Lsn(kFlushed.value() + 1)), ElementsAre("A", "b", "gone"));
}

TEST(SyncList, WitnessThatTheTableDoesNotNameIsTold) {
  SyncFacts facts = facts_with("", {"standby", "keeper", "stranger", "unlisted"});
  for (std::size_t i : {1U, 2U, 3U}) facts.senders[i].replay.reset();
  const auto list = *pg::SyncStandbyNames::parse("ANY 1 (standby, keeper, stranger)");
  EXPECT_THAT(unknown_witnesses(list, facts.senders, {{"keeper", "10.20.20.3", 5433}}),
              ElementsAre("stranger"));
}

TEST(SyncList, OnlyThoseThatReplayNothingHoldUpRemoteApply) {
  SyncFacts facts = facts_with("ANY 1 (a, witness1)", {"a", "witness1", "other"});
  facts.senders[1].replay.reset();
  facts.senders[2].replay.reset();
  EXPECT_THAT(listed_without_replay(facts), ElementsAre("witness1"));
}

}  // namespace
}  // namespace standfast::setup

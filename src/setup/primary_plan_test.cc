#include "setup/primary_plan.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "setup/primary_look.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::HasSubstr;

constexpr std::uint64_t kGigabyte = std::uint64_t{1} << 30U;

/// A server as initdb and a first start leave it, with a standby behind a network card.
PrimaryState plain_server(int version = 150000) {
  PrimaryState state;
  state.server = {pg::Version(version), false, true, "postgres"};
  state.system_id = pg::SystemId(7000000000000000001U);
  state.port = 5432;
  const auto set = [&](std::string_view name, std::string value, bool only_at_start) {
    state.settings.emplace(name, SettingState{value, value, only_at_start, "default"});
  };
  set("listen_addresses", "localhost", true);
  set("wal_level", "replica", true);
  set("max_wal_senders", "10", true);
  set("max_replication_slots", "10", true);
  set("hot_standby", "on", true);
  if (state.server.version.has_max_slot_wal_keep_size()) set("max_slot_wal_keep_size", "-1", false);
  state.replication_role = "replicator";
  state.hba_text = "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n";
  state.routes = {{"10.20.20.2/32", "10.20.20.1"}};
  state.wal_directory = "/data/pg_wal";
  state.wal_disk_free_bytes = 100 * kGigabyte;
  return state;
}

PrimaryWish wish_for(const std::string& address = "10.20.20.2") {
  PrimaryWish wish;
  wish.standbys = {*pg::parse_standby_address(address)};
  return wish;
}

RoleState role(PasswordState password = PasswordState::kKnown) {
  RoleState role;
  role.can_login = true;
  role.has_replication = true;
  role.reads_statistics = true;
  role.password = password;
  role.is_stored = true;
  return role;
}

/// The state after a plan was carried out, restart included.
PrimaryState after(PrimaryState state, const PrimaryPlan& plan) {
  for (const auto& change : plan.settings) {
    auto& setting = state.settings.find(change.name)->second;
    setting.value = setting.configured = change.to;
  }
  for (auto& [name, setting] : state.settings) setting.value = setting.configured;
  state.replication = role();
  state.monitor = role();
  state.monitor_database = DatabaseState{"standfast_monitor", false, true};
  state.hba_text = plan.hba_text;
  state.hba_block = *pg::find_block(state.hba_text);
  for (const auto& member : plan.members) {
    state.slots[member.slot] = SlotState{};
    if (!member.is_named) continue;
    TokenState& token = state.tokens[member.slot];
    token.is_readable = true;
    token.host = member.source_address.value_or("");
    token.port = state.port;
    token.replication_role = plan.replication.name;
    token.has_the_passwords = true;
    if (state.certificate) {
      token.certificate_sha256 = state.certificate->leaf.sha256_hex;
      token.ca_der = state.certificate->verdict.missing_der;
    }
  }
  return state;
}

PrimaryPlan planned(const PrimaryState& state, const PrimaryWish& wish) {
  auto plan = plan_primary(state, wish);
  EXPECT_TRUE(plan) << plan.error().message;
  return *std::move(plan);
}

base::Error refused(const PrimaryState& state, const PrimaryWish& wish) {
  const auto plan = plan_primary(state, wish);
  EXPECT_FALSE(plan);
  if (plan) return {};
  EXPECT_FALSE(plan.error().hint.empty()) << plan.error().message;
  return plan.error();
}

std::vector<std::string> names_of(const std::vector<SettingChange>& changes) {
  std::vector<std::string> names;
  for (const auto& change : changes) names.push_back(change.name);
  return names;
}

std::string value_for(const PrimaryPlan& plan, std::string_view name) {
  for (const auto& change : plan.settings) {
    if (change.name == name) return change.to;
  }
  return "";
}

void set(PrimaryState& state, std::string_view name, const std::string& value) {
  auto& setting = state.settings.find(name)->second;
  setting.value = setting.configured = value;
}

// ---------------------------------------------------------------- the whole

TEST(PrimaryPlan, APlainServerGetsListenAddressesRolesDatabaseLinesSlotAndToken) {
  const PrimaryPlan plan = planned(plain_server(), wish_for());
  EXPECT_THAT(names_of(plan.settings), testing::ElementsAre("listen_addresses", "max_slot_wal_keep_size"));
  EXPECT_EQ(plan.settings[0].to, "*");
  EXPECT_EQ(plan.settings[1].to, "51200MB");
  EXPECT_THAT(plan.restart_for, testing::ElementsAre("listen_addresses"));
  EXPECT_TRUE(plan.replication.create);
  EXPECT_TRUE(plan.monitor.create);
  EXPECT_TRUE(plan.monitor.grant_monitor);
  EXPECT_TRUE(plan.database.create);
  EXPECT_TRUE(plan.hba_changes);
  EXPECT_TRUE(plan.try_logins);
  ASSERT_EQ(plan.members.size(), 1U);
  EXPECT_EQ(plan.members[0].slot, "pgstandby1");
  EXPECT_EQ(plan.members[0].slot_action, SlotAction::kCreate);
  EXPECT_THAT(plan.hba_text, HasSubstr("host replication \"replicator\" 10.20.20.2/32 scram-sha-256\n"));
  for (const auto& change : plan.changes) {
    EXPECT_FALSE(change.what.empty());
    EXPECT_FALSE(change.reason.empty()) << change.what;
  }
}

TEST(PrimaryPlan, APlanCarriedOutLeavesNothingToDo) {
  for (const int version : {120000, 130000, 180000}) {
    for (const bool tls : {false, true}) {
      PrimaryState state = plain_server(version);
      state.tls = tls;
      set(state, "wal_level", "minimal");
      set(state, "max_wal_senders", "0");
      const PrimaryState done = after(state, planned(state, wish_for()));
      const PrimaryPlan second = planned(done, wish_for());
      EXPECT_THAT(second.changes, testing::IsEmpty()) << version << " " << second.changes.front().what;
      EXPECT_FALSE(second.try_logins);
      PrimaryWish none;
      EXPECT_THAT(planned(done, none).changes, testing::IsEmpty());
    }
  }
}

TEST(PrimaryPlan, TheOrderOfTheChangesIsTheOrderOfDoing) {
  const PrimaryPlan plan = planned(plain_server(), wish_for());
  EXPECT_TRUE(std::is_sorted(plan.changes.begin(), plan.changes.end(),
                             [](const auto& a, const auto& b) { return a.step < b.step; }));
}

// ---------------------------------------------------------------- servers that are refused

TEST(PrimaryPlan, AServerThatIsTooOldOrTooNewIsRefused) {
  for (const int version : {110022, 190000}) {
    PrimaryState state = plain_server();
    state.server.version = pg::Version(version);
    EXPECT_EQ(refused(state, wish_for()).code, ErrorCode::kVersion);
  }
}

TEST(PrimaryPlan, AStandbyAndAnOrdinaryRoleAreRefused) {
  PrimaryState state = plain_server();
  state.server.in_recovery = true;
  EXPECT_THAT(refused(state, wish_for()).message, HasSubstr("itself a standby"));
  EXPECT_THAT(refused(state, wish_for()).hint, HasSubstr("--from-standby"));
  state = plain_server();
  state.server.is_superuser = false;
  EXPECT_THAT(refused(state, wish_for()).message, HasSubstr("not a superuser"));
}

/// A standby that its own join left: everything of the primary's arrived, its passwords are in this store.
PrimaryState joined_standby() {
  PrimaryState state = plain_server();
  state = after(state, planned(state, wish_for()));
  state.server.in_recovery = true;
  state.tokens.clear();
  state.slots.clear();
  return state;
}

PrimaryWish wish_on_standby() {
  PrimaryWish wish;
  wish.standbys = {*pg::parse_standby_address("10.20.20.3")};
  wish.on_standby = OnStandby::kServe;
  return wish;
}

TEST(PrimaryPlan, AStandbyServesAStandbyWithLocalChangesOnly) {
  PrimaryState state = joined_standby();
  state.routes.push_back({"10.20.20.3/32", "10.20.20.2"});
  const PrimaryPlan plan = planned(state, wish_on_standby());
  for (const PlannedChange& change : plan.changes) {
    EXPECT_NE(change.kind, ChangeKind::kRole) << change.what;
    EXPECT_NE(change.kind, ChangeKind::kDatabase) << change.what;
  }
  const PlannedMember& added = plan.members.back();
  EXPECT_EQ(added.slot, "pgstandby2") << "the primary's own standby has the first name";
  EXPECT_EQ(added.slot_action, SlotAction::kCreate);
  for (const PlannedMember& member : plan.members) {
    if (&member == &added) continue;
    EXPECT_EQ(member.slot_action, SlotAction::kKeep) << "that is the primary's";
  }
}

TEST(PrimaryPlan, WhatOnlyThePrimaryCanChangeIsRefusedOnAStandby) {
  PrimaryState state = joined_standby();
  state.routes.push_back({"10.20.20.3/32", "10.20.20.2"});
  state.monitor_database.reset();
  EXPECT_THAT(refused(state, wish_on_standby()).message, HasSubstr("database standfast"));
  state.replication.reset();
  EXPECT_THAT(refused(state, wish_on_standby()).message, HasSubstr("role replicator"));
  state = joined_standby();
  state.routes.push_back({"10.20.20.3/32", "10.20.20.2"});
  state.monitor->password = PasswordState::kUnknown;
  EXPECT_THAT(refused(state, wish_on_standby()).hint, HasSubstr("on the primary"));
}

TEST(PrimaryPlan, TheMembersThatAStandbyHasFromItsPrimaryAreNotItsOwn) {
  PrimaryWish wish;
  wish.on_standby = OnStandby::kServe;
  EXPECT_EQ(refused(joined_standby(), wish).code, ErrorCode::kUsage);
}

TEST(PrimaryPlan, AnHbaFileThatIsBrokenAlreadyIsRefusedWithItsLine) {
  PrimaryState state = plain_server();
  state.hba_errors = {{7, "invalid authentication method \"md6\""}};
  const auto error = refused(state, wish_for());
  EXPECT_EQ(error.code, ErrorCode::kPrecondition);
  EXPECT_THAT(error.message, HasSubstr("line 7"));
}

TEST(PrimaryPlan, WithoutAnyStandbyThereIsNothingToSetUp) {
  EXPECT_EQ(refused(plain_server(), PrimaryWish{}).code, ErrorCode::kUsage);
}

// ---------------------------------------------------------------- settings

TEST(PrimaryPlan, ListenAddressesStayWhereTheyAdmitTheAddressAlready) {
  for (const char* list : {"*", "0.0.0.0", "localhost, 10.20.20.1", "primary.example"}) {
    PrimaryState state = plain_server();
    state.resolved_names["primary.example"] = {"10.20.20.1"};
    set(state, "listen_addresses", list);
    const PrimaryPlan plan = planned(state, wish_for());
    EXPECT_THAT(names_of(plan.settings), testing::Not(testing::Contains("listen_addresses"))) << list;
    EXPECT_THAT(plan.restart_for, testing::IsEmpty()) << list;
  }
  for (const char* list : {"", "localhost", "::", "10.20.20.3", "other.example"}) {
    PrimaryState state = plain_server();
    set(state, "listen_addresses", list);
    EXPECT_THAT(names_of(planned(state, wish_for()).settings), testing::Contains("listen_addresses")) << list;
  }
}

TEST(PrimaryPlan, IPv6IsAdmittedByItsOwnForms) {
  EXPECT_TRUE(admits("::", "fd00::1", {}));
  EXPECT_TRUE(admits("*", "fd00::1", {}));
  EXPECT_TRUE(admits("FD00:0::1", "fd00::1", {}));
  EXPECT_FALSE(admits("0.0.0.0", "fd00::1", {}));
  EXPECT_TRUE(admits("localhost", "::1", {}));
}

TEST(PrimaryPlan, AListenListThatLeavesTheStandbyOutIsRefused) {
  PrimaryWish wish = wish_for();
  wish.listen_addresses = "localhost,10.20.20.9";
  const auto error = refused(plain_server(), wish);
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(error.message, HasSubstr("10.20.20.1"));
}

TEST(PrimaryPlan, WhatWaitsForARestartIsNotChangedAgainButStillPending) {
  PrimaryState state = plain_server();
  auto& setting = state.settings.find("wal_level")->second;
  setting.value = "minimal";
  setting.configured = "replica";
  set(state, "listen_addresses", "*");
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_THAT(names_of(plan.settings), testing::Not(testing::Contains("wal_level")));
  EXPECT_THAT(plan.restart_for, testing::ElementsAre("wal_level"));
}

TEST(PrimaryPlan, ASettingThatWouldFallBackAtTheNextStartIsChanged) {
  PrimaryState state = plain_server();
  state.settings.find("wal_level")->second.configured = "minimal";
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_THAT(names_of(plan.settings), testing::Contains("wal_level"));
  EXPECT_THAT(plan.restart_for, testing::Not(testing::Contains("wal_level")));
}

TEST(PrimaryPlan, LogicalIsMoreThanReplicaAndStays) {
  PrimaryState state = plain_server();
  set(state, "wal_level", "logical");
  EXPECT_THAT(names_of(planned(state, wish_for()).settings), testing::Not(testing::Contains("wal_level")));
}

TEST(PrimaryPlan, SendersAndSlotsAreRaisedOnlyWhenTheyDoNotSuffice) {
  PrimaryState state = plain_server();
  set(state, "max_wal_senders", "2");
  set(state, "max_replication_slots", "1");
  EXPECT_THAT(names_of(planned(state, wish_for()).settings),
              testing::AllOf(testing::Not(testing::Contains("max_wal_senders")),
                             testing::Not(testing::Contains("max_replication_slots"))));
  state.foreign_wal_senders = 1;
  state.slots["other"] = SlotState{};
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_THAT(plan.restart_for, testing::IsSupersetOf({"max_wal_senders", "max_replication_slots"}));
  EXPECT_EQ(value_for(plan, "max_wal_senders"), "10");
  EXPECT_EQ(value_for(plan, "max_replication_slots"), "10");
  state.foreign_wal_senders = 20;
  EXPECT_EQ(value_for(planned(state, wish_for()), "max_wal_senders"), "22");
}

TEST(PrimaryPlan, ACommandLineThatOverridesIsToldBeforeAnythingChanges) {
  PrimaryState state = plain_server();
  set(state, "wal_level", "minimal");
  state.settings.find("wal_level")->second.source = "command line";
  const auto error = refused(state, wish_for());
  EXPECT_EQ(error.code, ErrorCode::kPrecondition);
  EXPECT_THAT(error.message, HasSubstr("command line"));
}

TEST(PrimaryPlan, EverySettingOfTheCommandLineThatHasToChangeIsNamedAtOnce) {
  PrimaryState state = plain_server();
  set(state, "wal_level", "minimal");
  set(state, "max_wal_senders", "1");
  for (const char* name : {"wal_level", "max_wal_senders", "hot_standby"}) {
    state.settings.find(name)->second.source = "command line";
  }
  const auto error = refused(state, wish_for());
  EXPECT_THAT(
      error.message,
      HasSubstr("wal_level is minimal by the command line the server was started with (and max_wal_senders "
                "is 1)"));
  EXPECT_THAT(error.hint, HasSubstr("-c wal_level=replica -c max_wal_senders=10;"));
}

TEST(PrimaryPlan, AnUnlimitedBoundOfTheCommandLineIsToldAndLeft) {
  PrimaryState state = plain_server();
  state.settings.find("max_slot_wal_keep_size")->second.source = "command line";
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_EQ(value_for(plan, "max_slot_wal_keep_size"), "");
  EXPECT_TRUE(std::any_of(plan.notes.begin(), plan.notes.end(), [](const PlanNote& note) {
    return note.line.find("command line") != std::string::npos;
  }));
}

TEST(PrimaryPlan, ALineInErrorIsRefusedBeforeAChangeAndToldWhereThereIsNone) {
  PrimaryState state = plain_server();
  state.configuration_errors = {{{"/etc/conf.d/9.conf", 4}, "work_mem: setting could not be applied"}};
  const auto error = refused(state, wish_for());
  EXPECT_EQ(error.code, ErrorCode::kPrecondition);
  EXPECT_THAT(error.message, HasSubstr("line 4 of \"/etc/conf.d/9.conf\": work_mem"));
  EXPECT_THAT(error.hint, HasSubstr("Nothing was changed"));
  PrimaryState clean = state;
  clean.configuration_errors.clear();
  PrimaryState done = after(clean, planned(clean, wish_for()));
  done.configuration_errors = state.configuration_errors;
  const PrimaryPlan again = planned(done, wish_for());
  EXPECT_TRUE(again.changes.empty());
  EXPECT_THAT(again.notes.front().line, HasSubstr("line 4"));
}

TEST(PrimaryPlan, AReadOnlyHbaFileGetsTheBlockAndItsPlaceToldAndIsNoObstacleOnceItHasIt) {
  PrimaryState state = plain_server();
  state.hba_text =
      "local all all peer\n# no strangers\nhost all all all reject\nhost replication all all reject\n";
  state.hba_obstacle = "\"/etc/pg_hba.conf\" is read-only";
  const auto error = refused(state, wish_for());
  EXPECT_EQ(error.code, ErrorCode::kPermission);
  EXPECT_THAT(error.message, HasSubstr("read-only"));
  EXPECT_THAT(error.hint, HasSubstr("before what is line 2 now"));
  EXPECT_THAT(error.hint, HasSubstr("# BEGIN standfast"));
  PrimaryState writable = state;
  writable.hba_obstacle.reset();
  PrimaryState done = after(writable, planned(writable, wish_for()));
  done.hba_obstacle = state.hba_obstacle;
  EXPECT_TRUE(plan_primary(done, wish_for()));
}

TEST(PrimaryPlan, WhereAlterSystemIsNotAllowedTheLinesAreTold) {
  PrimaryState state = plain_server(170000);
  state.alter_system_obstacle = "this server does not allow ALTER SYSTEM (allow_alter_system)";
  state.configuration_file = "/etc/postgresql.conf";
  state.settings.find("listen_addresses")->second.line = {"/etc/conf.d/net.conf", 3};
  const std::string hint = refused(state, wish_for()).hint;
  EXPECT_THAT(hint, HasSubstr("\"/etc/conf.d/net.conf\", in place of line 3:  listen_addresses = '*'"));
  EXPECT_THAT(hint, HasSubstr("\"/etc/postgresql.conf\", at the end:  max_slot_wal_keep_size = '"));
  set(state, "listen_addresses", "*");
  set(state, "max_slot_wal_keep_size", "1024");
  EXPECT_TRUE(plan_primary(state, wish_for()));
}

// ---------------------------------------------------------------- what a dead standby can cost

TEST(PrimaryPlan, TheBoundIsHalfOfTheFreeDiskAndAGibibyteAtLeast) {
  EXPECT_EQ(slot_wal_bound_mb(100 * kGigabyte), 51200U);
  EXPECT_EQ(slot_wal_bound_mb(kGigabyte), 1024U);
  EXPECT_EQ(slot_wal_bound_mb(0), 1024U);
}

TEST(PrimaryPlan, ABoundThatSomebodySetStays) {
  PrimaryState state = plain_server();
  set(state, "max_slot_wal_keep_size", "0");
  EXPECT_THAT(names_of(planned(state, wish_for()).settings),
              testing::Not(testing::Contains("max_slot_wal_keep_size")));
}

TEST(PrimaryPlan, ASlotThatLagsPastTheFigureKeepsTheBoundAwayAndIsNamed) {
  PrimaryState state = plain_server();
  state.wal_disk_free_bytes = 4 * kGigabyte;
  state.slots["slow"].retained_bytes = 3 * kGigabyte;
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_THAT(names_of(plan.settings), testing::Not(testing::Contains("max_slot_wal_keep_size")));
  EXPECT_TRUE(std::any_of(plan.notes.begin(), plan.notes.end(), [](const PlanNote& note) {
    return note.line.find("\"slow\"") != std::string::npos && note.line.find("2048 MB") != std::string::npos;
  }));
}

TEST(PrimaryPlan, On12ItSaysThatNothingBoundsASlot) {
  const PrimaryPlan plan = planned(plain_server(120000), wish_for());
  EXPECT_TRUE(std::any_of(plan.notes.begin(), plan.notes.end(), [](const PlanNote& note) {
    return note.line.find("nothing bounds") != std::string::npos && !note.hint.empty();
  }));
}

// ---------------------------------------------------------------- roles

TEST(PrimaryPlan, RolesOfOthersAreRefusedWithWhatIsWrong) {
  const auto refused_role = [](const auto& change) {
    PrimaryState state = plain_server();
    state.replication = role();
    change(*state.replication);
    return refused(state, wish_for()).message;
  };
  EXPECT_THAT(refused_role([](RoleState& one) { one.is_superuser = true; }), HasSubstr("superuser"));
  EXPECT_THAT(refused_role([](RoleState& one) { one.can_login = false; }), HasSubstr("log in"));
  EXPECT_THAT(refused_role([](RoleState& one) { one.has_replication = false; }), HasSubstr("replicate"));
  EXPECT_THAT(refused_role([](RoleState& one) { one.is_expired = true; }), HasSubstr("valid"));
}

TEST(PrimaryPlan, APasswordThatIsNotKnownIsOnlyReplacedByRotation) {
  for (const auto password :
       {PasswordState::kUnknown, PasswordState::kChanged, PasswordState::kGivenDiffers}) {
    PrimaryState state = plain_server();
    state.replication = role(password);
    EXPECT_THAT(refused(state, wish_for()).hint, HasSubstr("--rotate-password"));
    PrimaryWish wish = wish_for();
    wish.rotation = PasswordRotation::kYes;
    EXPECT_EQ(planned(state, wish).replication.password, PasswordAction::kReplace);
  }
}

TEST(PrimaryPlan, AKnownPasswordStaysUnlessItIsRotated) {
  PrimaryState state = plain_server();
  state.replication = role();
  state.monitor = role();
  EXPECT_EQ(planned(state, wish_for()).replication.password, PasswordAction::kKeep);
  PrimaryWish wish = wish_for();
  wish.rotation = PasswordRotation::kYes;
  EXPECT_EQ(planned(state, wish).replication.password, PasswordAction::kReplace);
  EXPECT_EQ(planned(state, wish).monitor.password, PasswordAction::kReplace);
  wish.password_given = true;
  EXPECT_EQ(planned(state, wish).replication.password, PasswordAction::kKeep)
      << "the user gave the one the role has";
}

TEST(PrimaryPlan, AnMd5PasswordIsStoredAnewAndOneThatIsNotInTheStoreIsPutThere) {
  PrimaryState state = plain_server();
  state.replication = role(PasswordState::kKnownAsMd5);
  EXPECT_EQ(planned(state, wish_for()).replication.password, PasswordAction::kStoreAsScram);
  state.replication = role();
  state.replication->is_stored = false;
  EXPECT_EQ(planned(state, wish_for()).replication.password, PasswordAction::kStore);
}

TEST(PrimaryPlan, ADatabaseOfSomebodyElseIsRefused) {
  PrimaryState state = plain_server();
  state.monitor_database = DatabaseState{"alice", true, false};
  EXPECT_THAT(refused(state, wish_for()).message, HasSubstr("alice"));
}

TEST(PrimaryPlan, AnUnfinishedDatabaseIsCompleted) {
  PrimaryState state = plain_server();
  state.monitor_database = DatabaseState{"standfast_monitor", true, false};
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_FALSE(plan.database.create);
  EXPECT_TRUE(plan.database.shut_out_public);
  EXPECT_TRUE(plan.database.create_table);
}

TEST(PrimaryPlan, AnotherRoleWouldCutOffTheOtherStandbys) {
  PrimaryState state = after(plain_server(), planned(plain_server(), wish_for()));
  PrimaryWish wish = wish_for("10.20.20.3");
  wish.replication_role = "other";
  wish.advertised_host = "10.20.20.1";
  state.replication_role = replication_role_name(wish, state.hba_block);
  EXPECT_EQ(refused(state, wish).code, ErrorCode::kPrecondition);
  wish.replication_role.reset();
  EXPECT_EQ(replication_role_name(wish, state.hba_block), "replicator");
}

// ---------------------------------------------------------------- members and slots

TEST(PrimaryPlan, ASecondStandbyGetsTheNextSlotAndTheFirstKeepsItsLines) {
  PrimaryState state = after(plain_server(), planned(plain_server(), wish_for()));
  state.routes.push_back({"10.20.20.3/32", "10.20.20.1"});
  const PrimaryPlan plan = planned(state, wish_for("10.20.20.3"));
  ASSERT_EQ(plan.members.size(), 2U);
  EXPECT_EQ(plan.members[1].slot, "pgstandby2");
  EXPECT_FALSE(plan.members[0].is_named);
  EXPECT_THAT(plan.hba_text, testing::AllOf(HasSubstr("10.20.20.2/32"), HasSubstr("10.20.20.3/32")));
}

TEST(PrimaryPlan, ASlotThatIsNotOursIsPassedOverByTheNumbering) {
  PrimaryState state = plain_server();
  state.slots["pgstandby1"] = SlotState{};
  EXPECT_EQ(planned(state, wish_for()).members[0].slot, "pgstandby2");
}

TEST(PrimaryPlan, ANamedSlotThatExistsIsReusedUnlessAnotherUsesIt) {
  PrimaryWish wish = wish_for();
  wish.slot = "mine";
  PrimaryState state = plain_server();
  state.slots["mine"] = SlotState{};
  EXPECT_EQ(planned(state, wish).members[0].slot_action, SlotAction::kKeep);
  state.slots["mine"].is_active = true;
  state.slots["mine"].used_from = "10.20.20.2";
  EXPECT_TRUE(plan_primary(state, wish));
  state.slots["mine"].used_from = "10.20.20.7";
  EXPECT_EQ(refused(state, wish).code, ErrorCode::kSlot);
  state.slots["mine"] = SlotState{};
  state.slots["mine"].is_physical = false;
  EXPECT_EQ(refused(state, wish).code, ErrorCode::kSlot);
}

TEST(PrimaryPlan, ALostSlotOfANamedStandbyIsMadeAnew) {
  PrimaryState state = after(plain_server(), planned(plain_server(), wish_for()));
  state.slots["pgstandby1"].is_lost = true;
  EXPECT_EQ(planned(state, wish_for()).members[0].slot_action, SlotAction::kRecreate);
}

TEST(PrimaryPlan, AStandbyThatMovedKeepsItsSlotUnderItsNewAddress) {
  PrimaryState state = after(plain_server(), planned(plain_server(), wish_for()));
  state.routes.push_back({"10.20.20.9/32", "10.20.20.1"});
  PrimaryWish wish = wish_for("10.20.20.9");
  wish.slot = "pgstandby1";
  const PrimaryPlan plan = planned(state, wish);
  EXPECT_EQ(plan.members.size(), 1U);
  EXPECT_THAT(plan.hba_text, testing::Not(HasSubstr("10.20.20.2/32")));
  state.slots["pgstandby1"].is_active = true;
  state.slots["pgstandby1"].used_from = "10.20.20.2";
  EXPECT_EQ(refused(state, wish).code, ErrorCode::kSlot);
}

TEST(PrimaryPlan, WithoutARouteTheHostMustBeTold) {
  PrimaryState state = plain_server();
  state.routes = {{"10.20.20.2/32", std::nullopt}};
  EXPECT_THAT(refused(state, wish_for()).hint, HasSubstr("--advertise"));
  PrimaryWish wish = wish_for();
  wish.advertised_host = "primary.example";
  EXPECT_TRUE(plan_primary(state, wish));
}

// ---------------------------------------------------------------- pg_hba.conf

TEST(PrimaryPlan, WithTlsTheLinesAreHostsslAndWithoutItSaysThatDataTravelsInClear) {
  PrimaryState state = plain_server();
  const auto in_clear = [](const PrimaryPlan& plan) {
    return std::any_of(plan.notes.begin(), plan.notes.end(),
                       [](const PlanNote& note) { return note.line.find("in clear") != std::string::npos; });
  };
  EXPECT_TRUE(in_clear(planned(state, wish_for())));
  state.tls = true;
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_FALSE(in_clear(plan));
  EXPECT_THAT(plan.hba_text, HasSubstr("hostssl replication"));
}

TEST(PrimaryPlan, TheTrialLineIsOnlyInTheTextForTrying) {
  const PrimaryState state = plain_server();
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_THAT(plan.hba_text, testing::Not(HasSubstr("10.20.20.1/32")));
  EXPECT_THAT(*hba_text_for_trying(state, plan, "10.20.20.1"), HasSubstr("10.20.20.1/32"));
  EXPECT_EQ(*hba_text_for_trying(state, plan, "10.20.20.2"), plan.hba_text);
}

TEST(PrimaryPlan, ATrialLineThatAKilledRunLeftIsTakenOut) {
  PrimaryState state = plain_server();
  const PrimaryPlan first = planned(state, wish_for());
  PrimaryState killed = after(state, first);
  killed.hba_text = *hba_text_for_trying(state, first, "10.20.20.1");
  killed.hba_block = *pg::find_block(killed.hba_text);
  const PrimaryPlan second = planned(killed, wish_for());
  EXPECT_TRUE(second.hba_changes);
  EXPECT_TRUE(second.try_logins);
  EXPECT_EQ(second.hba_text, first.hba_text);
}

TEST(PrimaryPlan, WithoutATokenTheLoginsAreTriedThoughNothingElseIsMissing) {
  PrimaryState state = after(plain_server(), planned(plain_server(), wish_for()));
  state.tokens.clear();
  const PrimaryPlan plan = planned(state, wish_for());
  EXPECT_TRUE(plan.try_logins);
  EXPECT_FALSE(plan.hba_changes);
}

// ---------------------------------------------------------------- wishes and new clusters

TEST(PrimaryWish, HostNamesAndNamesThatCannotBeAreRefused) {
  const auto refuses = [](const auto& change) {
    PrimarySetupOptions options;
    options.standbys = {"10.20.20.2"};
    change(options);
    const auto wish = wish_of(options);
    return !wish && wish.error().code == ErrorCode::kUsage && !wish.error().hint.empty();
  };
  EXPECT_TRUE(refuses([](auto& one) { one.standbys = {"standby.example"}; }));
  EXPECT_TRUE(refuses([](auto& one) { one.slot = "No"; }));
  EXPECT_TRUE(refuses([](auto& one) {
    one.standbys = {"10.20.20.2", "10.20.20.3"};
    one.slot = "a";
  }));
  EXPECT_TRUE(refuses([](auto& one) { one.replication_role = "pg_replicator"; }));
  EXPECT_TRUE(refuses([](auto& one) { one.replication_role = ""; }));
  EXPECT_TRUE(refuses([](auto& one) { one.advertised_host = "/var/run/postgresql"; }));
  EXPECT_TRUE(refuses([](auto& one) { one.advertised_host = "two hosts"; }));
  EXPECT_TRUE(refuses([](auto& one) { one.replication_password = base::Secret("line\nend"); }));
  EXPECT_FALSE(refuses([](auto&) {}));
}

TEST(PrimaryWish, AnAddressNamedTwiceCountsOnce) {
  PrimarySetupOptions options;
  options.standbys = {"10.20.20.2", "10.20.20.2/32"};
  EXPECT_EQ(wish_of(options)->standbys.size(), 1U);
}

TEST(PrimaryPlan, ANewClusterNeedsNoRestart) {
  const PrimaryWish wish = wish_for("127.0.0.1");
  const PrimaryPlan plan =
      planned(state_of_new_cluster(pg::Version(180004), wish, 5432, 100 * kGigabyte), wish);
  EXPECT_THAT(plan.restart_for, testing::IsEmpty());
  EXPECT_THAT(plan.hba_text, HasSubstr("hostssl"));
}

}  // namespace
}  // namespace standfast::setup

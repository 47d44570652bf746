#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "setup/doctor_findings.h"

namespace standfast::setup {
namespace {

using base::Result;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kNow = 1'800'000'000;  // 2027-01-15
constexpr std::int64_t kDay = 86'400;

/// A primary at which nothing is to be found fault with.
DataDirectoryFacts healthy_primary() {
  DataDirectoryFacts facts{.path = "/data", .major = 18, .is_running = true};
  pg::ControlFile control;
  control.state = pg::DbState::kInProduction;
  control.data_checksum_version = 1;
  facts.control = Result<pg::ControlFile>(control);
  facts.programs = Result<ProgramsFacts>(ProgramsFacts{"/usr/lib/postgresql/18/bin", pg::Version(180004)});
  facts.start = Result<StartFacts>(
      StartFacts{.unit = "postgresql-18.service", .unit_state = "enabled", .unit_comes_back = true});
  FolderFacts folder{.what = "data directory", .path = "/data"};
  folder.file = {.path = "/data", .mode = 0700, .is_ours = true};
  folder.available_bytes = 80;
  folder.total_bytes = 100;
  facts.folders = {folder};
  facts.leftovers = Result<std::vector<Leftover>>(std::vector<Leftover>{});
  SettingFacts settings;
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"wal_level", "replica"},
                                                                  {"max_wal_senders", "10"},
                                                                  {"max_replication_slots", "10"},
                                                                  {"listen_addresses", "*"},
                                                                  {"hot_standby", "on"},
                                                                  {"max_slot_wal_keep_size", "10240"},
                                                                  {"wal_sender_timeout", "60000"},
                                                                  {"fsync", "on"},
                                                                  {"full_page_writes", "on"},
                                                                  {"archive_mode", "off"},
                                                                  {"synchronous_commit", "on"},
                                                                  {"synchronous_standby_names", ""},
                                                                  {"password_encryption", "scram-sha-256"},
                                                                  {"ssl", "on"}}) {
    settings[name].value = value;
  }
  facts.settings = Result<SettingFacts>(settings);
  facts.certificate = Result<CertificateFacts>(CertificateFacts{"/c", kNow - kDay, kNow + 400 * kDay});
  RunningFacts server;
  server.version = pg::Version(180004);
  ServerFacts replication;
  replication.version = server.version;
  replication.head = pg::Lsn(1000);
  server.replication = Result<ServerFacts>(replication);
  server.conf_errors = Result<std::vector<FileError>>(std::vector<FileError>{});
  server.hba_rules = Result<std::vector<HbaRuleFact>>(std::vector<HbaRuleFact>{{.line = 9,
                                                                                .type = "hostssl",
                                                                                .databases = "replication",
                                                                                .users = "replicator",
                                                                                .address = "10.20.20.2",
                                                                                .netmask = "255.255.255.255",
                                                                                .method = "scram-sha-256"}});
  server.roles = Result<std::vector<RoleFact>>(std::vector<RoleFact>{
      {.name = "replicator", .can_login = true, .has_replication = true, .password = PasswordForm::kScram}});
  server.slot_ages =
      Result<std::map<std::string, SlotAges, std::less<>>>(std::map<std::string, SlotAges, std::less<>>{});
  server.collations = Result<std::vector<CollationMismatch>>(std::vector<CollationMismatch>{});
  facts.server = Result<RunningFacts>(server);
  return facts;
}

DataDirectoryFacts healthy_standby() {
  DataDirectoryFacts facts = healthy_primary();
  facts.is_standby = true;
  (*facts.settings.value)["primary_conninfo"].value =
      "host=10.20.20.1 user=replicator sslmode=verify-ca passfile=/p";
  facts.passfile = Result<PassfileFacts>(PassfileFacts{"/p", FileFacts{"/p", 0600, true}});
  ServerFacts& server = *facts.server.value->replication.value;
  server.is_in_recovery = true;
  server.receiver.emplace();
  server.receiver->status = "streaming";
  server.receiver->sender_host = "10.20.20.1";
  server.replay = pg::Lsn(1000);
  server.primary_slot_name = "pgstandby1";
  return facts;
}

void set(DataDirectoryFacts& facts, const std::string& name, const std::string& value) {
  (*facts.settings.value)[name].value = value;
}

ServerFacts& replication(DataDirectoryFacts& facts) {
  return *facts.server.value->replication.value;
}

DoctorReport judged(const DataDirectoryFacts& facts) {
  return judge({.now_unix_seconds = kNow, .cluster = Result<DataDirectoryFacts>(facts)});
}

/// The worst finding of that check; well when it has none.
Health health_of(const DataDirectoryFacts& facts, std::string_view check) {
  Health worst = Health::kWell;
  for (const DoctorFinding& finding : judged(facts).findings) {
    if (finding.check == check) worst = std::max(worst, finding.health);
  }
  return worst;
}

std::string all_text(const DoctorReport& report) {
  std::string text;
  for (const DoctorFinding& finding : report.findings)
    text += std::string(name_of(finding.health)) + " " + finding.what + " " + finding.why + " " +
            finding.what_to_do + "\n";
  return text;
}

TEST(Doctor, HealthyServersHaveNothingButWellFindings) {
  for (const DataDirectoryFacts& facts : {healthy_primary(), healthy_standby()}) {
    const DoctorReport report = judged(facts);
    EXPECT_EQ(report.worst(), Health::kWell) << all_text(report);
    EXPECT_EQ(report.exit_code(), 0);
    EXPECT_GT(report.findings.size(), 15U);
  }
}

TEST(Doctor, RisksEndWithZeroAndFaultsDoNot) {
  DataDirectoryFacts facts = healthy_primary();
  set(facts, "ssl", "off");
  EXPECT_EQ(judged(facts).exit_code(), 0);
  set(facts, "fsync", "off");
  EXPECT_EQ(judged(facts).exit_code(), base::exit_code_of(base::ErrorCode::kPrecondition));
}

TEST(Doctor, EveryFaultSaysWhyAndWhatToDo) {
  DataDirectoryFacts facts;
  facts.path = "/data";
  facts.major = 12;
  facts.has_recovery_conf = true;
  for (const DoctorFinding& finding : judged(facts).findings) {
    if (finding.health == Health::kWell) continue;
    EXPECT_FALSE(finding.why.empty()) << finding.what;
    if (finding.health != Health::kUnknown) {
      EXPECT_TRUE(finding.what_to_do.ends_with('.') || finding.what_to_do.ends_with(';') ||
                  finding.what_to_do.starts_with("Run: "))
          << finding.what_to_do;
    }
  }
}

struct SettingCase {
  const char* name;
  const char* value;
  Health health;
};
TEST(Doctor, SettingsAreJudged) {
  for (const SettingCase& one :
       std::initializer_list<SettingCase>{{"wal_level", "minimal", Health::kWrong},
                                          {"wal_level", "logical", Health::kWell},
                                          {"max_wal_senders", "0", Health::kWrong},
                                          {"max_wal_senders", "2", Health::kRisk},
                                          {"max_replication_slots", "0", Health::kWrong},
                                          {"listen_addresses", "", Health::kRisk},
                                          {"listen_addresses", "localhost", Health::kRisk},
                                          {"hot_standby", "off", Health::kRisk},
                                          {"wal_sender_timeout", "0", Health::kRisk},
                                          {"fsync", "off", Health::kWrong},
                                          {"full_page_writes", "off", Health::kRisk},
                                          {"archive_mode", "on", Health::kRisk},
                                          {"allow_alter_system", "off", Health::kRisk},
                                          {"password_encryption", "md5", Health::kRisk},
                                          {"synchronous_standby_names", "a", Health::kWrong},
                                          {"ssl", "off", Health::kRisk}}) {
    DataDirectoryFacts facts = healthy_primary();
    set(facts, one.name, one.value);
    EXPECT_EQ(health_of(facts, one.name), one.health) << one.name << " = " << one.value;
  }
}

TEST(Doctor, CommandLineAndPendingRestartAreNamed) {
  DataDirectoryFacts facts = healthy_primary();
  (*facts.settings.value)["wal_level"].source = "command line";
  (*facts.settings.value)["config_file"].source = "command line";
  (*facts.settings.value)["max_wal_senders"].is_pending_restart = true;
  EXPECT_EQ(health_of(facts, "command_line"), Health::kRisk);
  EXPECT_EQ(health_of(facts, "pending_restart"), Health::kRisk);
  EXPECT_THAT(all_text(judged(facts)), Not(HasSubstr("config_file")));
}

TEST(Doctor, CountsTheSynchronousStandbysACommitWaitsFor) {
  EXPECT_EQ(synchronous_standbys_wanted(""), 0);
  EXPECT_EQ(synchronous_standbys_wanted(" "), 0);
  EXPECT_EQ(synchronous_standbys_wanted("*"), 1);
  EXPECT_EQ(synchronous_standbys_wanted("s1, s2"), 1);
  EXPECT_EQ(synchronous_standbys_wanted("2 (a, b)"), 2);
  EXPECT_EQ(synchronous_standbys_wanted("FIRST 3 (a, b, c)"), 3);
  EXPECT_EQ(synchronous_standbys_wanted("ANY 2 (s1, \"9\")"), 2);
}

TEST(Doctor, SynchronousStandbyThatIsThereIsWell) {
  DataDirectoryFacts facts = healthy_primary();
  set(facts, "synchronous_standby_names", "a");
  (*facts.settings.value)["wal_keep_size"].value = "64";
  WalSender sender;
  sender.application_name = "a";
  sender.sync_state = "sync";
  replication(facts).senders = {sender};
  EXPECT_EQ(health_of(facts, "synchronous_standby_names"), Health::kWell);
  set(facts, "wal_keep_size", "0");
  EXPECT_EQ(health_of(facts, "wal_keep_size"), Health::kRisk);
}

HbaRuleFact rule(const std::string& address, const std::string& netmask, const std::string& method) {
  return {.line = 4,
          .type = "host",
          .databases = "replication",
          .users = "all",
          .address = address,
          .netmask = netmask,
          .method = method};
}

TEST(Doctor, RulesForReplicationAreJudged) {
  DataDirectoryFacts facts = healthy_primary();
  auto& rules = *facts.server.value->hba_rules.value;
  rules = {rule("10.20.20.2", "255.255.255.255", "trust")};
  EXPECT_EQ(health_of(facts, "hba_method"), Health::kWrong);
  rules = {rule("127.0.0.1", "255.255.255.255", "trust")};
  EXPECT_EQ(health_of(facts, "hba_method"), Health::kRisk);
  EXPECT_EQ(health_of(facts, "hba_replication"), Health::kRisk);  // nobody from elsewhere
  rules = {rule("10.20.20.2", "255.255.255.255", "md5")};
  EXPECT_EQ(health_of(facts, "hba_method"), Health::kRisk);
  rules = {rule("0.0.0.0", "0.0.0.0", "scram-sha-256")};
  EXPECT_EQ(health_of(facts, "hba_replication"), Health::kRisk);
  rules = {rule("all", "", "reject")};
  EXPECT_EQ(health_of(facts, "hba_method"), Health::kWell);
  rules = {rule("10.20.20.2", "255.255.255.255", "scram-sha-256")};
  rules.front().error = "invalid IP mask";
  EXPECT_EQ(health_of(facts, "hba_file"), Health::kWrong);
}

TEST(Doctor, RolesAreJudged) {
  DataDirectoryFacts facts = healthy_primary();
  auto& roles = *facts.server.value->roles.value;
  roles.front().is_expired = true;
  EXPECT_EQ(health_of(facts, "replication_roles"), Health::kWrong);
  roles.front().name = "a \"b";
  EXPECT_THAT(all_text(judged(facts)), HasSubstr("ALTER ROLE \"a \"\"b\" VALID UNTIL 'infinity';"));
  roles.front() = {.name = "old", .can_login = true, .password = PasswordForm::kMd5};
  EXPECT_EQ(health_of(facts, "replication_roles"), Health::kRisk);
  EXPECT_EQ(health_of(facts, "md5_passwords"), Health::kRisk);
}

TEST(Doctor, CertificateIsJudgedByItsDates) {
  DataDirectoryFacts facts = healthy_primary();
  facts.certificate.value->valid_until_unix_seconds = kNow + 29 * kDay;
  EXPECT_EQ(health_of(facts, "certificate"), Health::kRisk);
  facts.certificate.value->valid_until_unix_seconds = kNow;
  EXPECT_EQ(health_of(facts, "certificate"), Health::kWrong);
  facts.certificate.value->valid_until_unix_seconds = kNow + 400 * kDay;
  facts.certificate.value->valid_from_unix_seconds = kNow + 1;
  EXPECT_EQ(health_of(facts, "certificate"), Health::kWrong);
}

TEST(Doctor, SlotsAreJudged) {
  DataDirectoryFacts facts = healthy_primary();
  set(facts, "max_slot_wal_keep_size", "-1");
  Slot slot;
  slot.name = "s";
  slot.restart_lsn = pg::Lsn(400);
  replication(facts).slots = {slot};
  EXPECT_EQ(health_of(facts, "slot_inactive"), Health::kRisk);
  EXPECT_THAT(all_text(judged(facts)), HasSubstr("holds 600 B"));
  EXPECT_EQ(health_of(facts, "max_slot_wal_keep_size"), Health::kRisk);
  (*facts.server.value->slot_ages.value)["s"].xmin_age = 20'000'000;
  EXPECT_EQ(health_of(facts, "slot_xmin"), Health::kRisk);
  replication(facts).slots.front().wal_status = "lost";
  EXPECT_EQ(health_of(facts, "slot_lost"), Health::kWrong);
  Slot logical;
  logical.name = "l";
  logical.is_physical = false;
  logical.is_active = true;
  replication(facts).slots = {logical};
  EXPECT_EQ(health_of(facts, "slot_logical"), Health::kRisk);
}

TEST(Doctor, DataIsJudged) {
  DataDirectoryFacts facts = healthy_primary();
  facts.control.value->data_checksum_version = 0;
  EXPECT_EQ(health_of(facts, "data_checksums"), Health::kRisk);
  facts.server.value->collations.value->push_back({"database \"app\"", "2.31", "2.36"});
  EXPECT_EQ(health_of(facts, "collations"), Health::kWrong);
  facts.server.value->prepared = Result<PreparedFacts>(PreparedFacts{2, 7200});
  EXPECT_EQ(health_of(facts, "prepared_transactions"), Health::kRisk);
}

TEST(Doctor, StandbyIsJudgedAndItsPasswordIsNotSaid) {
  DataDirectoryFacts facts = healthy_standby();
  set(facts, "primary_conninfo", "host=10.20.20.1 password=hush-hush-hush");
  const DoctorReport report = judged(facts);
  EXPECT_EQ(health_of(facts, "primary_conninfo"), Health::kRisk);
  EXPECT_EQ(health_of(facts, "primary_tls"), Health::kRisk);
  EXPECT_THAT(all_text(report), Not(HasSubstr("hush")));
  facts = healthy_standby();
  facts.passfile.value->file->mode = 0640;
  EXPECT_EQ(health_of(facts, "passfile"), Health::kWrong);
  facts.passfile.value->file.reset();
  EXPECT_EQ(health_of(facts, "passfile"), Health::kWrong);
  facts = healthy_standby();
  replication(facts).is_replay_paused = true;
  EXPECT_EQ(health_of(facts, "replay"), Health::kWrong);
  facts = healthy_standby();
  replication(facts).receiver->latest_end = pg::Lsn(std::uint64_t{1} << 30U);
  EXPECT_EQ(health_of(facts, "replay"), Health::kRisk);
  replication(facts).receiver.reset();
  EXPECT_EQ(health_of(facts, "streaming"), Health::kWrong);
}

TEST(Doctor, FoldersAreJudged) {
  DataDirectoryFacts facts = healthy_primary();
  facts.folders.front().file.mode = 0755;
  EXPECT_EQ(health_of(facts, "permissions"), Health::kWrong);
  facts.folders.front().file.mode = 0750;
  EXPECT_EQ(health_of(facts, "permissions"), Health::kWell);
  facts.folders.front().available_bytes = 5;
  EXPECT_EQ(health_of(facts, "room"), Health::kRisk);
  facts.folders.front().available_bytes = 0;
  EXPECT_EQ(health_of(facts, "room"), Health::kWrong);
  facts.folders.front().file_system = "tmpfs";
  EXPECT_EQ(health_of(facts, "file_system"), Health::kRisk);
  facts.folders.front().is_read_only = true;
  EXPECT_EQ(health_of(facts, "read_only"), Health::kWrong);
  facts.folders.front().problem = "it is not there";
  EXPECT_EQ(health_of(facts, "folder"), Health::kWrong);
}

TEST(Doctor, LeftoversAreNamed) {
  DataDirectoryFacts facts = healthy_primary();
  facts.leftovers.value->push_back({LeftoverKind::kStaging, "/data.standfast-staging"});
  EXPECT_EQ(health_of(facts, "unfinished_copy"), Health::kRisk);
  EXPECT_THAT(all_text(judged(facts)), HasSubstr("/data.standfast-staging"));
}

TEST(Doctor, StoppedServerIsLookedAtByItsFiles) {
  DataDirectoryFacts facts = healthy_primary();
  facts.is_running = false;
  facts.server = {};
  facts.server.why_not = "the server does not run";
  facts.control.value->state = pg::DbState::kShutDown;
  const DoctorReport report = judged(facts);
  EXPECT_EQ(report.worst(), Health::kRisk);
  EXPECT_GT(report.count(Health::kUnknown), 2U);
  EXPECT_EQ(health_of(facts, "wal_level"), Health::kWell);
  facts.control.value->state = pg::DbState::kInProduction;
  EXPECT_THAT(all_text(judged(facts)), HasSubstr("not stopped cleanly"));
}

TEST(Doctor, FilesThatNoServerStartsWithAreAFault) {
  DataDirectoryFacts facts = healthy_primary();
  facts.server = {};
  facts.settings = {};
  facts.configuration_error = "syntax error in file \"postgresql.conf\" line 3";
  EXPECT_EQ(health_of(facts, "configuration_files"), Health::kWrong);
}

TEST(Doctor, HostWithoutAClusterIsNoFaultUnlessOneWasNamed) {
  DoctorFacts facts;
  facts.cluster.why_not = "there is none";
  EXPECT_EQ(judge(facts).exit_code(), 0);
  EXPECT_EQ(judge(facts).worst(), Health::kRisk);  // no programs either
  facts.was_named = true;
  EXPECT_EQ(judge(facts).exit_code(), 10);
}

TEST(Doctor, WhatStartsWithTheHostIsTold) {
  DataDirectoryFacts facts = healthy_primary();
  facts.start.value->unit_comes_back = false;
  EXPECT_EQ(health_of(facts, "start_at_boot"), Health::kRisk);
  facts.start.value->debian_cluster = "18/main";
  EXPECT_EQ(health_of(facts, "start_at_boot"), Health::kWell);
  facts.start.value->debian_start = server::DebianStart::kManual;
  EXPECT_EQ(health_of(facts, "start_at_boot"), Health::kRisk);
}

TEST(Doctor, OldReleasesAreARisk) {
  DataDirectoryFacts facts = healthy_primary();
  facts.server.value->version = pg::Version(120022);
  EXPECT_EQ(health_of(facts, "release"), Health::kRisk);
  EXPECT_EQ(health_of(facts, "running_release"), Health::kRisk);
}

TEST(Doctor, ReleasesThatReplayOlderOnesBadlyAreARiskOfAStandby) {
  DataDirectoryFacts standby = healthy_standby();
  standby.server.value->version = pg::Version(150018);
  EXPECT_EQ(health_of(standby, "replay_of_older_releases"), Health::kRisk);
  EXPECT_THAT(all_text(judged(standby)), HasSubstr("update this server to 15.19"));
  standby.server.value->version = pg::Version(150019);
  EXPECT_EQ(health_of(standby, "replay_of_older_releases"), Health::kWell);
  DataDirectoryFacts primary = healthy_primary();
  primary.server.value->version = pg::Version(150018);
  EXPECT_EQ(health_of(primary, "replay_of_older_releases"), Health::kWell);
}

}  // namespace
}  // namespace standfast::setup

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "pg/server/server_log.h"
#include "pg/server/systemd.h"

namespace standfast::server {
namespace {

using base::ErrorCode;

TEST(Units, OnlyNamesOfPostgresServersAreTaken) {
  EXPECT_EQ(major_of_unit("postgresql@15-main.service"), 15);
  EXPECT_EQ(major_of_unit("postgresql@15-my-cluster_2.x.service"), 15);
  EXPECT_EQ(major_of_unit("postgresql-17.service"), 17);
  EXPECT_EQ(major_of_unit("postgresql-17-second.service"), 17);
  EXPECT_EQ(major_of_unit("postgresql.service"), 0);
  for (const char* name : {"", "sshd.service", "postgresql-17.socket", "postgresql-17",
                           "postgresql@15-.service", "postgresql@.service", "postgresql@15-a b.service",
                           "postgresql@15-../x.service", "postgresql-17.service\nsshd.service",
                           "postgresql-170.service", "postgresql--1.service", "postgresql-17-.service",
                           "postgresql-17-a/b.service", "--postgresql-17.service", "postgresql-x.service"}) {
    EXPECT_FALSE(major_of_unit(name).has_value()) << name;
  }
  EXPECT_FALSE(major_of_unit("postgresql@15-" + std::string(200, 'a') + ".service").has_value());
}

TEST(Units, DataDirectoryIsReadFromTheEnvironmentThatSystemdShows) {
  EXPECT_EQ(
      data_directory_in_environment("Environment=PGDATA=/var/lib/pgsql/15/data PG_OOM_ADJUST_VALUE=0\n"),
      "/var/lib/pgsql/15/data");
  EXPECT_EQ(data_directory_in_environment("Environment=A=1 \"PGDATA=/my data/pg\" B=2\n"), "/my data/pg");
  EXPECT_EQ(data_directory_in_environment("Environment=OLDPGDATA=/x\n"), std::nullopt);
  EXPECT_EQ(data_directory_in_environment("Environment=\n"), std::nullopt);
}

TEST(Units, UmbrellaOfDebianNamesNoDataDirectory) {
  // Type=oneshot, ExecStart=/bin/true: what systemd shows of it.
  EXPECT_EQ(data_directory_in_environment("Environment=\n"), std::nullopt);
  const UnitState umbrella = parse_unit_state("Type=oneshot\nActiveState=active\nUnitFileState=enabled\n");
  EXPECT_TRUE(umbrella.is_in_charge());
  EXPECT_TRUE(umbrella.comes_back_after_reboot());
}

TEST(Units, StateIsReadFromWhatSystemctlShows) {
  const UnitState state = parse_unit_state(
      "Type=notify\nTimeoutStartUSec=5min\nResult=timeout\nActiveState=activating\nUnitFileState=disabled\n");
  EXPECT_EQ(state.type, "notify");
  EXPECT_EQ(state.result, "timeout");
  EXPECT_EQ(state.start_timeout, base::Seconds(300));
  // A server that recovers is not "active" yet; it is systemd's all the same.
  EXPECT_TRUE(state.is_in_charge());
  EXPECT_FALSE(state.comes_back_after_reboot());
  EXPECT_FALSE(parse_unit_state("ActiveState=failed\nUnitFileState=enabled-runtime\n").is_in_charge());
  EXPECT_FALSE(parse_unit_state("UnitFileState=enabled-runtime\n").comes_back_after_reboot());
  EXPECT_TRUE(
      parse_unit_state("UnitFileState=enabled\nTimeoutStartUSec=infinity\n").comes_back_after_reboot());
  EXPECT_FALSE(parse_unit_state("").comes_back_after_reboot());
}

TEST(Units, SpansOfTimeAreReadAsSystemdPrintsThem) {
  EXPECT_EQ(parse_time_span("1min 30s"), base::Seconds(90));
  EXPECT_EQ(parse_time_span("1h"), base::Seconds(3600));
  EXPECT_EQ(parse_time_span("500ms"), base::Milliseconds(500));
  EXPECT_EQ(parse_time_span("1.500s"), base::Seconds(1));
  for (const char* text : {"", "0", "infinity", "-1s", "1", "1x", "99999999999999999999s", "s"}) {
    EXPECT_EQ(parse_time_span(text), std::nullopt) << text;
  }
}

TEST(Units, CallsAreAsAnAdministratorTypesThem) {
  const std::string unit = "postgresql-15.service";
  EXPECT_EQ(systemctl_arguments(UnitAction::kStart, unit), (std::vector<std::string>{"start", "--", unit}));
  EXPECT_EQ(systemctl_arguments(UnitAction::kStop, unit), (std::vector<std::string>{"stop", "--", unit}));
  EXPECT_EQ(systemctl_arguments(UnitAction::kRestart, unit),
            (std::vector<std::string>{"restart", "--", unit}));
}

TEST(StartFailure, PortThatIsTakenIsInUse) {
  const std::string tail =
      "LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\n"
      "HINT:  Is another postmaster already running on port 5433?\n"
      "FATAL:  could not create any TCP/IP sockets";
  const auto error = explain_start_failure("/data", "/data/log/x.log", tail, "");
  EXPECT_EQ(error.code, ErrorCode::kInUse);
  EXPECT_NE(error.message.find("could not create any TCP/IP sockets"), std::string::npos);
  EXPECT_NE(error.hint.find("Address already in use"), std::string::npos);
}

TEST(StartFailure, LastFatalLineIsTheMessage) {
  const auto error = explain_start_failure(
      "/data", "/l",
      "LOG:  starting\n2026-01-01 FATAL:  hot standby is not possible\nLOG:  database system is shut down",
      "pg_ctl: could not start server");
  EXPECT_EQ(error.code, ErrorCode::kServerControl);
  EXPECT_EQ(error.message, "PostgreSQL did not start on \"/data\": hot standby is not possible");
}

TEST(StartFailure, WithoutALogTheComplaintIsSaid) {
  const auto error = explain_start_failure("/data", "", "", "Error: Cluster is disabled\n");
  EXPECT_EQ(error.message, "PostgreSQL did not start on \"/data\": Error: Cluster is disabled");
  EXPECT_FALSE(error.hint.empty());
}

class LogTest : public testing::Test {
 protected:
  LogTest() {
    char name[] = "/tmp/standfast-log-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~LogTest() override { static_cast<void>(env::remove_tree(files_, folder_)); }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(env::write_file_durably(files_, folder_ + "/" + name, text, {}).has_value());
  }
  env::FileSystem& files_ = env::posix_file_system();
  std::string folder_;
};

TEST_F(LogTest, OnlyWhatWasWrittenSinceTheStartIsShown) {
  write("log", "old line\nnew line 1\nnew line 2\n");
  EXPECT_EQ(read_log_tail(files_, folder_ + "/log", 9, folder_), "new line 1\nnew line 2");
}

TEST_F(LogTest, LastLinesOfALongLogAreShown) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "line " + std::to_string(i) + "\n";
  write("log", text);
  const std::string tail = read_log_tail(files_, folder_ + "/log", 0, folder_);
  EXPECT_EQ(std::count(tail.begin(), tail.end(), '\n') + 1, static_cast<long>(kMaxLogTailLines));
  EXPECT_TRUE(tail.starts_with("line 1992\n")) << tail;
  EXPECT_TRUE(tail.ends_with("line 1999"));
}

TEST_F(LogTest, CollectorsLogIsFollowed) {
  write("log", "LOG:  redirecting log output to logging collector process\nHINT:  Future log output\n");
  write("current_logfiles", "csvlog x.csv\nstderr collected.log\n");
  write("collected.log", "FATAL:  the reason\n");
  EXPECT_EQ(read_log_tail(files_, folder_ + "/log", 0, folder_), "FATAL:  the reason");
}

TEST_F(LogTest, MissingLogIsEmpty) {
  EXPECT_EQ(read_log_tail(files_, folder_ + "/none", 0, folder_), "");
}

}  // namespace
}  // namespace standfast::server

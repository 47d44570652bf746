#include "pg/server/cluster.h"

#include <cstdlib>
#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace standfast::server {
namespace {

using base::ErrorCode;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/standfast-cluster-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  void write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(path_ + "/" + name).parent_path());
    auto written = env::write_file_durably(env::posix_file_system(), path_ + "/" + name, content, {});
    ASSERT_TRUE(written.has_value());
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A process that works in `folder` and is called `name`.
class Process {
 public:
  Process(const std::string& folder, const char* name) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const std::string link = folder + "/" + name;
      if (symlink("/bin/sleep", link.c_str()) != 0 || chdir(folder.c_str()) != 0) _exit(1);
      dup2(ready[1], 9);
      close(ready[0]);
      close(ready[1]);
      // The pipe closes with exec; then the name is the new one.
      fcntl(9, F_SETFD, FD_CLOEXEC);
      execl(link.c_str(), name, "60", nullptr);
      _exit(1);
    }
    close(ready[1]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 0);
    close(ready[0]);
  }
  ~Process() { end(); }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

std::string pid_file(pid_t pid, const std::string& folder, const std::string& status = "ready   ") {
  return std::to_string(pid) + "\n" + folder +
         "\n1700000000\n5433\n/tmp/sockets\nlocalhost\n  5432001    98304\n" + status + "\n";
}

Cluster open_cluster(const Folder& folder) {
  auto cluster = Cluster::open(env::posix_file_system(), folder.path());
  EXPECT_TRUE(cluster.has_value());
  return *std::move(cluster);
}

TEST(PostmasterPid, LinesAreReadInPostgresOrder) {
  const auto parsed = parse_postmaster_pid(pid_file(4711, "/data/pg", "standby "));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->pid, 4711);
  EXPECT_EQ(parsed->data_directory, "/data/pg");
  EXPECT_EQ(parsed->start_unix_seconds, 1700000000);
  EXPECT_EQ(parsed->port, 5433);
  EXPECT_EQ(parsed->socket_directory, "/tmp/sockets");
  EXPECT_EQ(parsed->listen_address, "localhost");
  EXPECT_EQ(parsed->status, PostmasterStatus::kStandby);
}

TEST(PostmasterPid, StartingServerHasOnlyTheFirstLines) {
  const auto parsed = parse_postmaster_pid("4711\n/data/pg\n1700000000\n5433\n");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->port, 5433);
  EXPECT_EQ(parsed->socket_directory, "");
  EXPECT_EQ(parsed->status, PostmasterStatus::kUnknown);
  EXPECT_FALSE(parsed->accepts_connections());
}

TEST(PostmasterPid, EmptySocketAndAddressLinesStayEmpty) {
  const auto parsed = parse_postmaster_pid("1\n/d\n2\n3\n\n\n\nready   \n");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->socket_directory, "");
  EXPECT_EQ(parsed->listen_address, "");
  EXPECT_TRUE(parsed->accepts_connections());
}

TEST(PostmasterPid, StandaloneBackendHasANegativeId) {
  const auto parsed = parse_postmaster_pid("-99\n/d\n");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->pid, 99);
}

TEST(PostmasterPid, RubbishIsRefused) {
  for (const char* text : {"", "\n", "abc\n", "0\n", "12x\n", "99999999999999999999\n"}) {
    EXPECT_FALSE(parse_postmaster_pid(text).has_value()) << text;
  }
}

TEST(ClusterOpen, WhatIsNoDataDirectoryIsRefused) {
  auto& files = env::posix_file_system();
  const Folder folder;
  const auto missing = Cluster::open(files, folder.path() + "/nothing");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kPrecondition);
  const auto empty = Cluster::open(files, folder.path());
  ASSERT_FALSE(empty.has_value());
  EXPECT_EQ(empty.error().code, ErrorCode::kPrecondition);
  EXPECT_NE(empty.error().message.find("PG_VERSION"), std::string::npos);
  folder.write("PG_VERSION", "11\n");
  const auto old = Cluster::open(files, folder.path());
  ASSERT_FALSE(old.has_value());
  EXPECT_EQ(old.error().code, ErrorCode::kVersion);
}

TEST(ClusterOpen, TellsVersionOwnerAndPlace) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  const std::string link = folder.path() + "-link";
  ASSERT_EQ(symlink(folder.path().c_str(), link.c_str()), 0);
  const auto cluster = Cluster::open(env::posix_file_system(), link);
  unlink(link.c_str());
  ASSERT_TRUE(cluster.has_value());
  EXPECT_EQ(cluster->data_directory(), folder.path());
  EXPECT_EQ(cluster->major(), 15);
  EXPECT_EQ(cluster->owner(), geteuid());
  EXPECT_EQ(cluster->configuration_file(), folder.path() + "/postgresql.conf");
}

TEST(ClusterRunning, PostmasterOfThisDirectoryIsFound) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  const Cluster cluster = open_cluster(folder);
  EXPECT_FALSE(cluster.running()->has_value());
  const Process postmaster(folder.path(), "postgres");
  folder.write("postmaster.pid", pid_file(postmaster.pid(), folder.path()));
  const auto running = cluster.running();
  ASSERT_TRUE(running && *running);
  EXPECT_EQ((*running)->pid, postmaster.pid());
}

TEST(ClusterRunning, IdOfADeadProcessIsStale) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  Process postmaster(folder.path(), "postgres");
  folder.write("postmaster.pid", pid_file(postmaster.pid(), folder.path()));
  postmaster.end();
  EXPECT_FALSE(open_cluster(folder).running()->has_value());
}

TEST(ClusterRunning, DeadProcessThatNobodyWaitedForIsStale) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  const Process postmaster(folder.path(), "postgres");
  folder.write("postmaster.pid", pid_file(postmaster.pid(), folder.path()));
  ASSERT_TRUE(open_cluster(folder).running()->has_value());
  kill(postmaster.pid(), SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(postmaster.pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(open_cluster(folder).running()->has_value());
}

TEST(ClusterRunning, IdGivenToAnotherProgramIsStale) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  const Process shell(folder.path(), "bash");
  folder.write("postmaster.pid", pid_file(shell.pid(), folder.path()));
  EXPECT_FALSE(open_cluster(folder).running()->has_value());
}

TEST(ClusterRunning, ServerOfAnotherDirectoryIsStale) {
  const Folder folder;
  const Folder other;
  folder.write("PG_VERSION", "15\n");
  const Process postmaster(other.path(), "postgres");
  folder.write("postmaster.pid", pid_file(postmaster.pid(), folder.path()));
  EXPECT_FALSE(open_cluster(folder).running()->has_value());
}

TEST(ClusterRunning, BrokenPidFileIsSaid) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  folder.write("postmaster.pid", "what\n");
  const auto running = open_cluster(folder).running();
  ASSERT_FALSE(running.has_value());
  EXPECT_NE(running.error().hint.find(folder.path()), std::string::npos);
}

TEST(ClusterStandby, SignalFileDecides) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  EXPECT_FALSE(*open_cluster(folder).is_standby());
  folder.write("standby.signal", "");
  EXPECT_TRUE(*open_cluster(folder).is_standby());
}

std::string value_of(const client::ConnectOptions& options, const std::string& keyword) {
  for (const auto& [name, value] : options.parameters) {
    if (name == keyword) return value;
  }
  return "";
}

TEST(ClusterLocalConnection, SocketIsPreferredAndRelativeOnesAreOfTheDataDirectory) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  const Process postmaster(folder.path(), "postgres");
  const std::string head = std::to_string(postmaster.pid()) + "\n" + folder.path() + "\n1\n5433\n";
  folder.write("postmaster.pid", head + "/run/x\n*\n\nready   \n");
  EXPECT_EQ(value_of(*open_cluster(folder).local_connection("postgres"), "host"), "/run/x");
  folder.write("postmaster.pid", head + "sockets\n*\n\nready   \n");
  EXPECT_EQ(value_of(*open_cluster(folder).local_connection("postgres"), "host"), folder.path() + "/sockets");
  folder.write("postmaster.pid", head + "\n*\n\nready   \n");
  EXPECT_EQ(value_of(*open_cluster(folder).local_connection("postgres"), "host"), "127.0.0.1");
  folder.write("postmaster.pid", head + "\n::\n\nready   \n");
  EXPECT_EQ(value_of(*open_cluster(folder).local_connection("postgres"), "host"), "::1");
  folder.write("postmaster.pid", head + "\n\n\nready   \n");
  EXPECT_EQ(open_cluster(folder).local_connection("postgres").error().code, ErrorCode::kConnect);
}

TEST(ClusterLocalConnection, AddressInTheEnvironmentThatWouldWinIsRefused) {
  const Folder folder;
  folder.write("PG_VERSION", "15\n");
  const Process postmaster(folder.path(), "postgres");
  folder.write("postmaster.pid", pid_file(postmaster.pid(), folder.path()));
  setenv("PGHOSTADDR", "10.0.0.1", 1);
  const auto options = open_cluster(folder).local_connection("postgres");
  unsetenv("PGHOSTADDR");
  ASSERT_FALSE(options.has_value());
}

TEST(DebianClusters, TheOneThatNamesTheDirectoryIsFound) {
  const Folder etc;
  const Folder data;
  auto& files = env::posix_file_system();
  etc.write("15/main/postgresql.conf", "data_directory = '/var/lib/postgresql/15/other'\n");
  etc.write("15/second/postgresql.conf", "# mine\ndata_directory = '" + data.path() + "/'\nport = 5433\n");
  const auto found = find_debian_cluster(files, data.path(), 15, {.configuration_root = etc.path()});
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->name, "second");
  EXPECT_EQ((*found)->configuration_directory, etc.path() + "/15/second");
  EXPECT_EQ((*found)->unit(), "postgresql@15-second.service");
  EXPECT_FALSE(find_debian_cluster(files, data.path(), 16, {.configuration_root = etc.path()})->has_value());
  EXPECT_FALSE(find_debian_cluster(files, etc.path(), 15, {.configuration_root = etc.path()})->has_value());
}

}  // namespace
}  // namespace standfast::server

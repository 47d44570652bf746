#include "pg/server/private_server.h"

#include <gtest/gtest.h>

namespace standfast::server {
namespace {

TEST(PrivateServer, TheOptionsLeaveOneSocketAndNoNetwork) {
  const std::string options =
      private_server_options("/tmp/standfast-private-7-0", "/etc/a b/postgresql.conf");
  EXPECT_NE(options.find("-c config_file=\"/etc/a b/postgresql.conf\""), std::string::npos);
  EXPECT_NE(options.find("-c listen_addresses= "), std::string::npos);
  EXPECT_NE(options.find("-c unix_socket_directories=/tmp/standfast-private-7-0 "), std::string::npos);
}

TEST(PrivateServer, ItsTraceInPostmasterOptsIsKnownAndNoOther) {
  EXPECT_EQ(private_folder_in("/usr/bin/postgres \"-D\" \"/data\" \"-c\" "
                              "\"unix_socket_directories=/tmp/standfast-private-7-0\" \"-c\" \"x=1\"\n"),
            "/tmp/standfast-private-7-0");
  EXPECT_FALSE(
      private_folder_in("/usr/bin/postgres \"-D\" \"/data\" \"-c\" \"unix_socket_directories=/tmp\"\n"));
  EXPECT_FALSE(private_folder_in(""));
}

TEST(PrivateServer, OnlyASocketInAPrivateFolderOfOnesOwnMakesAServerPrivate) {
  env::FileSystem& files = env::posix_file_system();
  PostmasterPid postmaster;
  for (const char* folder : {"", "/tmp", "/tmp/standfast-private-none"}) {
    postmaster.socket_directory = folder;
    EXPECT_FALSE(is_private(files, postmaster)) << folder;
  }
  char pattern[] = "/tmp/standfast-private-XXXXXX";
  postmaster.socket_directory = mkdtemp(pattern);
  EXPECT_TRUE(is_private(files, postmaster));
  EXPECT_TRUE(files.set_mode(postmaster.socket_directory, 0755));
  EXPECT_FALSE(is_private(files, postmaster));
  EXPECT_TRUE(files.remove_directory(postmaster.socket_directory));
}

}  // namespace
}  // namespace standfast::server

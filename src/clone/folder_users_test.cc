#include "clone/folder_users.h"

#include "clone/test_support.h"

namespace standfast::clone {
namespace {

/// What /proc shows of a server that works in a data directory, in a container with files of its own.
class FolderUsersTest : public testing::FolderTest {
 protected:
  void server(const std::string& number, const std::string& program, const std::string& data,
              const std::string& root) {
    ASSERT_TRUE(env::make_directories(files_, at("proc/" + number), 0700));
    ASSERT_TRUE(files_.make_symlink(program, at("proc/" + number + "/exe")));
    ASSERT_TRUE(files_.make_symlink(at(data), at("proc/" + number + "/cwd")));
    ASSERT_TRUE(files_.make_symlink(at(root), at("proc/" + number + "/root")));
  }
  void data_directory(const std::string& name) {
    put(name + "/PG_VERSION", "15\n");
    put(name + "/pg_wal/000000010000000000000001", "");
    put(name + "/pg_tblspc/none", "");
  }
  std::optional<FolderUser> user_of(const std::string& folder, const std::string& own = "target") {
    return server_that_uses(files_, at(folder), at(own), at("proc"));
  }
};

TEST_F(FolderUsersTest, LinksAreThoseOfTheProcessItself) {
  data_directory("box/data");
  put("box/space/PG_15_1/x", "");
  put("box/wal/x", "");
  put("space/PG_15_1/x", "");
  ASSERT_TRUE(files_.make_symlink("/space", at("box/data/pg_tblspc/16385")));
  ASSERT_TRUE(files_.make_symlink("../../wal", at("box/data/pg_tblspc/16386")));
  server("77", "/usr/lib/postgresql/15/bin/postgres", "box/data", "box");
  ASSERT_TRUE(user_of("box/space"));
  EXPECT_EQ(user_of("box/space")->process, 77);
  EXPECT_EQ(user_of("box/space")->data_directory, at("box/data"));
  EXPECT_TRUE(user_of("box/wal"));
  EXPECT_TRUE(user_of("box/data/pg_wal"));
  EXPECT_FALSE(user_of("space")) << "the same name, elsewhere";
  EXPECT_FALSE(user_of("box/space", "box/data")) << "its own";
  EXPECT_FALSE(user_of("missing"));
}

TEST_F(FolderUsersTest, OnlyServersCount) {
  data_directory("data");
  server("1", "/usr/bin/bash", "data", ".");
  EXPECT_FALSE(user_of("data/pg_wal"));
  server("2", "/opt/bin/postgres (deleted)", "data", ".");
  EXPECT_TRUE(user_of("data/pg_wal"));
}

}  // namespace
}  // namespace standfast::clone

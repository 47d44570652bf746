#include "clone/new_tablespaces.h"

#include <vector>

#include <gtest/gtest.h>

#include "clone/test_support.h"
#include "env/simulated_disk.h"

namespace standfast::clone {
namespace {

using agent::Tablespace;
using base::ErrorCode;
using base::Result;

class NewTablespacesTest : public ::testing::Test {
 protected:
  Result<void> look() { return look_at_new_tablespaces(begin_, end_, source_, disk_, lines_); }

  const std::vector<Tablespace> begin_ = {{16390, "/old"}, {16395, "/goes"}};
  std::vector<Tablespace> end_ = {{16390, "/moved"}};
  SourceFacts source_;
  env::testing::SimulatedDisk disk_;
  testing::KeptLines lines_;
};

TEST_F(NewTablespacesTest, ThoseThatWereThereAreNoConcern) {
  EXPECT_TRUE(look());
  EXPECT_TRUE(lines_.infos.empty() && lines_.warnings.empty());
}

TEST_F(NewTablespacesTest, ANewOneIsTold) {
  end_.push_back({16400, "/srv/a"});
  end_.push_back({16401, "/srv"});
  ASSERT_TRUE(disk_.make_directory("/srv", 0700));
  EXPECT_TRUE(look());
  ASSERT_EQ(lines_.warnings.size(), 1U);
  EXPECT_NE(lines_.warnings[0].find("tablespace 16400 in \"/srv/a\""), std::string::npos);
  ASSERT_EQ(lines_.infos.size(), 1U);
  EXPECT_NE(lines_.infos[0].find("tablespace 16401 in \"/srv\""), std::string::npos);
}

TEST_F(NewTablespacesTest, OneOfASourceOnThisHostIsRefused) {
  source_.is_on_this_host = true;
  EXPECT_TRUE(look());
  end_.push_back({16400, "/srv/a"});
  const auto refused = look();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPrecondition);
  EXPECT_NE(refused.error().hint.find("-T /srv/a="), std::string::npos);
}

}  // namespace
}  // namespace standfast::clone

#include <cstdlib>

#include <fmt/format.h>

#include "clone/clone.h"
#include "clone/journal.h"
#include "clone/rejoin_test_support.h"
#include "pg/client/secret_store.h"

namespace standfast::clone {
namespace {

using base::ErrorCode;
using base::Result;

const pg::SystemId kSystem(7);

class AbandonedRejoinTest : public testing::KilledRejoinTest {
 protected:
  void SetUp() override {
    KilledRejoinTest::SetUp();
    before_ = tree(".");
    options_.target = at("data");
  }
  Result<bool> abandon(AbandonMode mode) { return abandon_copy(options_, {files_, stop_, reporter_}, mode); }

  env::StopEvent stop_;
  base::NullReporter reporter_;
  CloneOptions options_;
  std::map<std::string, std::string> before_;  ///< that rejoin
};

TEST_F(AbandonedRejoinTest, OneThatHasChangedNothingIsGivenUpWithoutASlotToo) {
  note();
  const auto noted = tree(".");
  ASSERT_TRUE(noted != before_);
  const auto planned = abandon(AbandonMode::kDryRun);
  ASSERT_TRUE(planned) << planned.error().message;
  EXPECT_TRUE(*planned);
  EXPECT_TRUE(tree(".") == noted);
  const auto done = abandon(AbandonMode::kApply);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(*done);
  EXPECT_TRUE(tree(".") == before_);
  EXPECT_FALSE(*abandon(AbandonMode::kApply));
}

TEST_F(AbandonedRejoinTest, OneWhoseSlotCannotBeDroppedIsNotForgotten) {
  journal_.created_slot = "made";
  journal_.source = fmt::format("host='{}' port=5432", folder_);  // where no server has its socket
  note();
  const auto noted = tree(".");
  const auto done = abandon(AbandonMode::kApply);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kConnect);
  EXPECT_NE(done.error().message.find("\"made\""), std::string::npos) << done.error().message;
  EXPECT_TRUE(tree(".") == noted);
}

TEST_F(AbandonedRejoinTest, OneThatHasTakenSomethingOutIsRefused) {
  journal_.created_slot = "made";
  begin();
  const auto left = tree(".");
  for (const AbandonMode mode : {AbandonMode::kDryRun, AbandonMode::kApply}) {
    const auto refused = abandon(mode);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kTargetRefused);
    EXPECT_NE(refused.error().message.find("\"made\""), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().hint.find("clone --replace -D " + at("data")), std::string::npos);
  }
  EXPECT_TRUE(tree(".") == left);
}

/// Of a join: its login lies in the secret store, beside others.
class AbandonedCopyTest : public testing::FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    ASSERT_EQ(setenv("STANDFAST_HOME", at("store").c_str(), 1), 0);
    const client::SecretStore store(files_, at("store"));
    for (const char* name : {"s1.crt", "s1.pgpass", "s2.pgpass"})
      ASSERT_TRUE(store.write(kSystem, name, base::Secret("x")));
    put("data.standfast-staging/PG_VERSION", "15\n");
    options_.target = at("data");
  }
  void TearDown() override {
    unsetenv("STANDFAST_HOME");
    FolderTest::TearDown();
  }
  void note(const std::vector<std::string>& login_files) {
    Journal journal = *new_journal(files_, Placing::kBeside);
    journal.folders = {at("data.standfast-staging")};
    journal.copy = JournalCopy{.system_id = kSystem, .begun = "1", .slot = "s1", .login_files = login_files};
    ASSERT_TRUE(write_journal(files_, at("data"), journal));
  }
  Result<bool> abandon(AbandonMode mode) { return abandon_copy(options_, {files_, stop_, reporter_}, mode); }

  env::StopEvent stop_;
  base::NullReporter reporter_;
  CloneOptions options_;
};

TEST_F(AbandonedCopyTest, TheLoginThatWasMadeForItGoesAndNoOther) {
  note({"s1.crt", "s1.pgpass"});
  const auto before = tree(".");
  EXPECT_TRUE(*abandon(AbandonMode::kDryRun));
  EXPECT_TRUE(tree(".") == before);
  const auto done = abandon(AbandonMode::kApply);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(*done);
  EXPECT_FALSE(exists("store/7/s1.crt") || exists("store/7/s1.pgpass"));
  EXPECT_TRUE(exists("store/7/s2.pgpass"));
  EXPECT_FALSE(exists("data.standfast-staging") || exists("data.standfast-clone.json"));
}

TEST_F(AbandonedCopyTest, OneThatItFoundThereStays) {
  note({});
  EXPECT_TRUE(*abandon(AbandonMode::kApply));
  EXPECT_TRUE(exists("store/7/s1.crt") && exists("store/7/s1.pgpass"));
}

}  // namespace
}  // namespace standfast::clone

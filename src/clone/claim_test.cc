#include "clone/claim.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone/faulty_file_system.h"
#include "clone/test_support.h"

namespace standfast::clone {
namespace {

using testing::FaultyFileSystem;
using testing::FolderTest;
using ::testing::HasSubstr;

class ClaimTest : public FolderTest {
 protected:
  void mount_at_data() {
    put("mountinfo", "40 28 0:33 / " + at("data") + " rw - tmpfs tmpfs rw\n");
    files_with_mounts_.mountinfo = at("mountinfo");
  }
  FaultyFileSystem files_with_mounts_;
};

TEST_F(ClaimTest, OneRunHasTheTargetAndLeavesNothing) {
  for (const char* there : {"", "data/PG_VERSION"}) {
    if (*there != '\0') put(there, "15\n");
    const auto before = tree(".");
    {
      const auto claim = Claim::take(files_, at("data"));
      ASSERT_TRUE(claim) << claim.error().message;
      EXPECT_TRUE(exists("data.standfast-lock"));
      const auto second = Claim::take(files_, at("data"));
      ASSERT_FALSE(second);
      EXPECT_EQ(second.error().code, base::ErrorCode::kInUse);
      EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(getpid()) + " of host "));
      EXPECT_FALSE(refuse_claimed(files_, at("data")));
      EXPECT_TRUE(Claim::take(files_, at("other")));
    }
    EXPECT_EQ(tree("."), before);
    EXPECT_TRUE(refuse_claimed(files_, at("data")));
  }
}

TEST_F(ClaimTest, DirectoryThatStaysHasTheLockInIt) {
  put("data/PG_VERSION", "15\n");
  mount_at_data();
  const auto before = tree("data");
  {
    auto claim = Claim::take(files_with_mounts_, at("data"));
    ASSERT_TRUE(claim) << claim.error().message;
    EXPECT_TRUE(exists("data/.standfast/lock"));
    EXPECT_FALSE(exists("data.standfast-lock"));
    EXPECT_FALSE(Claim::take(files_with_mounts_, at("data")));
    const auto elsewhere = Claim::take(files_, at("data"));
    ASSERT_FALSE(elsewhere) << "where it is no mount point";
    EXPECT_EQ(elsewhere.error().code, base::ErrorCode::kInUse);
    const Claim moved = *std::move(claim);
    EXPECT_TRUE(exists("data/.standfast/lock"));
  }
  EXPECT_EQ(tree("data"), before);
}

TEST_F(ClaimTest, LockThatAKilledRunLeftIsTakenOver) {
  const pid_t child = fork();
  if (child == 0) {
    const auto claim = Claim::take(files_, at("data"));
    _exit(claim ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(exists("data.standfast-lock"));
  EXPECT_TRUE(refuse_claimed(files_, at("data")));
  EXPECT_TRUE(exists("data.standfast-lock")) << "a look takes nothing away";
  ASSERT_TRUE(Claim::take(files_, at("data")));
  EXPECT_FALSE(exists("data.standfast-lock"));
}

TEST_F(ClaimTest, FolderThatIsMadeMeanwhileIsLockedThen) {
  auto claim = Claim::take(files_, at("missing/data"));
  ASSERT_TRUE(claim) << claim.error().message;
  put("missing/other", "");
  ASSERT_TRUE(claim->complete());
  EXPECT_FALSE(Claim::take(files_, at("missing/data")));
}

TEST_F(ClaimTest, FileOfAnotherIsNoLock) {
  put("data.standfast-lock", "precious");
  const auto claim = Claim::take(files_, at("data"));
  ASSERT_FALSE(claim);
  EXPECT_EQ(claim.error().code, base::ErrorCode::kPermission);
  EXPECT_EQ(read("data.standfast-lock"), "precious");
}

}  // namespace
}  // namespace standfast::clone

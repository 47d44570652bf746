#include "env/trusted_file.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace standfast::env {
namespace {

using base::ErrorCode;

constexpr uid_t kOwner = 20'001;
constexpr uid_t kStranger = 20'002;

class TrustedFileTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  }
  TrustedFileTest() {
    char name[] = "/tmp/standfast-trusted-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~TrustedFileTest() override { std::filesystem::remove_all(folder_); }

  std::string file(uid_t user, gid_t group, mode_t mode) {
    const std::string path = folder_ + "/" + std::to_string(++number_);
    std::ofstream(path) << "port = 5433\n";
    EXPECT_EQ(chown(path.c_str(), user, group), 0);
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  static bool is_read(const std::string& path) {
    const auto text = read_trusted_file(path, {kOwner, kOwner}, 1000);
    if (text) return *text == "port = 5433\n";
    EXPECT_EQ(text.error().code, ErrorCode::kPermission);
    return false;
  }

  std::string folder_;
  int number_ = 0;
};

TEST_F(TrustedFileTest, OnlyFilesOfTheOwnerAndWhatOfRootsHeMayReadAreRead) {
  EXPECT_TRUE(is_read(file(kOwner, kOwner, 0600)));
  EXPECT_TRUE(is_read(file(0, 0, 0644)));
  EXPECT_TRUE(is_read(file(0, kOwner, 0640)));
  EXPECT_FALSE(is_read(file(0, 0, 0640)));
  EXPECT_FALSE(is_read(file(0, kOwner, 0600)));
  EXPECT_FALSE(is_read(file(kStranger, kOwner, 0644)));
  std::filesystem::create_symlink(file(0, 0, 0600), folder_ + "/link");
  EXPECT_FALSE(is_read(folder_ + "/link"));
}

TEST_F(TrustedFileTest, PipeIsNotWaitedForAndWhatIsTooLongIsNotRead) {
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0644), 0);
  EXPECT_FALSE(is_read(pipe));
  const auto long_one = read_trusted_file(file(0, 0, 0644), {kOwner, kOwner}, 5);
  ASSERT_FALSE(long_one.has_value());
  EXPECT_EQ(long_one.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace standfast::env

#include "setup/file_access.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

TEST(FileAccess, AMountIsFoundByItsWholePathWithTheEscapesUndone) {
  constexpr std::string_view kText =
      "22 1 0:20 / / rw - ext4 /dev/root rw\n"
      "36 22 0:5 /x /srv/data/pg_hba.conf rw,relatime - ext4 /dev/root rw\n"
      "37 22 0:6 / /srv/with\\040blank\\134slash rw - tmpfs tmpfs rw\n";
  EXPECT_TRUE(mountinfo_names(kText, "/srv/data/pg_hba.conf"));
  EXPECT_TRUE(mountinfo_names(kText, "/srv/with blank\\slash"));
  EXPECT_FALSE(mountinfo_names(kText, "/srv/data"));
  EXPECT_FALSE(mountinfo_names(kText, "/srv/data/pg_hba.conf2"));
  EXPECT_FALSE(mountinfo_names(kText, "/dev/root"));
  EXPECT_FALSE(mountinfo_names("", "/"));
  EXPECT_FALSE(mountinfo_names("22 1\n36", "/"));
}

TEST(FileAccess, AFileOfOnesOwnIsReplacedByARenameAndAReadOnlyOneNotAtAll) {
  env::FileSystem& files = env::posix_file_system();
  char pattern[] = "/tmp/standfast-access-test-XXXXXX";
  const std::string folder = mkdtemp(pattern);
  const std::string path = folder + "/pg_hba.conf";
  ASSERT_TRUE(env::write_file_durably(files, path, "text", {}));
  const auto found = access_to_file(files, path, "/elsewhere");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->way, WriteWay::kRename);
  EXPECT_EQ(found->copy_directory, folder);
  EXPECT_FALSE(found->obstacle);
  EXPECT_FALSE(access_to_file(files, folder + "/none", "/elsewhere"));
  EXPECT_TRUE(env::remove_tree(files, folder));
}

}  // namespace
}  // namespace standfast::setup

#include "setup/mount_table.h"

#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

constexpr std::string_view kTable =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "30 22 0:25 / /var/lib/pg rw,nosuid shared:5 master:2 - tmpfs tmpfs rw,size=64m\n"
    "31 22 8:2 /sub /mnt/with\\040blank ro,relatime - xfs /dev/sdb1 rw\n"
    "32 22 8:3 / /mnt/broken rw - ext4 /dev/sdc1 ro,errors=remount-ro\n"
    "what is this\n"
    "33 22 0:26 / /var/lib/pg rw - ext4 /dev/sdd1 rw\n";

TEST(MountTable, ReadsPointTypeAndWhetherItIsReadOnly) {
  const auto mounts = parse_mount_table(kTable);
  ASSERT_EQ(mounts.size(), 5U);
  EXPECT_EQ(mounts[1].mount_point, "/var/lib/pg");
  EXPECT_EQ(mounts[1].file_system, "tmpfs");
  EXPECT_FALSE(mounts[1].is_read_only);
  EXPECT_EQ(mounts[2].mount_point, "/mnt/with blank");
  EXPECT_TRUE(mounts[2].is_read_only);
  EXPECT_TRUE(mounts[3].is_read_only);
}

TEST(MountTable, PathLiesOnTheNearestAndLastMount) {
  const auto mounts = parse_mount_table(kTable);
  EXPECT_EQ(mount_of(mounts, "/home/x")->mount_point, "/");
  EXPECT_EQ(mount_of(mounts, "/var/lib/pgother")->mount_point, "/");
  EXPECT_EQ(mount_of(mounts, "/var/lib/pg/data")->file_system, "ext4");
  EXPECT_EQ(mount_of({}, "/x"), nullptr);
}

}  // namespace
}  // namespace standfast::setup

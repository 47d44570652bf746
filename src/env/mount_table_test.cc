#include "env/mount_table.h"

#include <gtest/gtest.h>

namespace standfast::env {
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

TEST(MountTable, WhatIsMountedAtAPathInItAndDeeper) {
  const auto mounts = parse_mount_table(
      "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
      "90 28 8:2 / /srv/pg\\040data rw shared:2 - xfs /dev/sda2 rw\n"
      "91 90 8:3 / /srv/pg\\040data/pg_wal rw shared:3 - xfs /dev/sda3 rw\n"
      "92 91 8:4 / /srv/pg\\040data/pg_wal rw shared:3 - xfs /dev/sda4 rw\n"
      "93 90 8:5 /x /srv/pg\\040data/base/5 rw shared:4 - xfs /dev/sda5 rw\n"
      "94 28 8:6 / /srv/pg\\040data2 rw - xfs /dev/sda6 rw\n");
  const MountsAt data = mounts_at(mounts, "/srv/pg data");
  EXPECT_TRUE(data.itself);
  EXPECT_EQ(data.entries, std::vector<std::string>{"pg_wal"});
  EXPECT_EQ(data.deeper, std::vector<std::string>{"/srv/pg data/base/5"});
  const MountsAt other = mounts_at(mounts, "/srv/pg");
  EXPECT_FALSE(other.itself);
  EXPECT_TRUE(other.entries.empty() && other.deeper.empty());
}

TEST(MountTable, LinesThatAreNoneAreLeftOut) {
  EXPECT_TRUE(parse_mount_table("").empty());
  EXPECT_TRUE(
      parse_mount_table("22 28 0:20 /\n\n \nfour words are few\n1 2 3 4 relative rw - ext4 x rw\n").empty());
  EXPECT_EQ(parse_mount_table("1 2 3 4 /a\\04 rw - ext4 x rw").front().mount_point, "/a\\04");
}

}  // namespace
}  // namespace standfast::env

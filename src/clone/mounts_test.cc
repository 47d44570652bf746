#include "clone/mounts.h"

#include <gtest/gtest.h>

namespace standfast::clone {
namespace {

constexpr std::string_view kMountinfo =
    "22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
    "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "90 28 8:2 / /srv/pg\\040data rw shared:2 - xfs /dev/sda2 rw\n"
    "91 90 8:3 / /srv/pg\\040data/pg_wal rw shared:3 - xfs /dev/sda3 rw\n"
    "92 91 8:4 / /srv/pg\\040data/pg_wal rw shared:3 - xfs /dev/sda4 rw\n"
    "93 90 8:5 /x /srv/pg\\040data/base/5 rw shared:4 - xfs /dev/sda5 rw\n"
    "94 28 8:6 / /srv/pg\\040data2 rw - xfs /dev/sda6 rw\n";

TEST(Mounts, ThePlacesAreReadWithTheirBlanks) {
  const auto points = parse_mount_points(kMountinfo);
  ASSERT_EQ(points.size(), 7U);
  EXPECT_EQ(points[0], "/sys");
  EXPECT_EQ(points[2], "/srv/pg data");
}

TEST(Mounts, WhatIsMountedAtAPathInItAndDeeper) {
  const auto points = parse_mount_points(kMountinfo);
  const MountsAt data = mounts_at(points, "/srv/pg data");
  EXPECT_TRUE(data.itself);
  EXPECT_EQ(data.entries, std::vector<std::string>{"pg_wal"});
  EXPECT_EQ(data.deeper, std::vector<std::string>{"/srv/pg data/base/5"});
  const MountsAt other = mounts_at(points, "/srv/pg");
  EXPECT_FALSE(other.itself);
  EXPECT_TRUE(other.entries.empty() && other.deeper.empty());
}

TEST(Mounts, LinesThatAreNoneAreLeftOut) {
  EXPECT_TRUE(parse_mount_points("").empty());
  EXPECT_TRUE(parse_mount_points("22 28 0:20 /\n\n \nfour words are few\n1 2 3 4 relative\n").empty());
  EXPECT_EQ(parse_mount_points("1 2 3 4 /a\\04"), std::vector<std::string>{"/a\\04"});
}

}  // namespace
}  // namespace standfast::clone

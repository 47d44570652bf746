#include <gtest/gtest.h>

#include "env/simulated_disk.h"
#include "store/spare_segments.h"

namespace standfast::store {
namespace {

constexpr std::uint64_t kSegmentBytes = 1U << 20U;

TEST(SpareSegmentsOnABadDisk, WhatCouldNotBeWrittenIsNotLeft) {
  env::testing::SimulatedDisk disk;
  ASSERT_TRUE(disk.make_directory("/wal", 0700));
  SpareSegments spares(disk, "/wal", kSegmentBytes, 0600);
  disk.set_available_bytes(kSegmentBytes / 2);
  EXPECT_FALSE(spares.write_one());
  EXPECT_TRUE(disk.list("/wal")->empty());
  disk.set_available_bytes(4 * kSegmentBytes);
  disk.fail_data_sync(1);
  EXPECT_FALSE(spares.write_one());
  EXPECT_TRUE(disk.list("/wal")->empty());
  EXPECT_TRUE(spares.write_one());
  EXPECT_EQ(spares.count(), 1U);
}

}  // namespace
}  // namespace standfast::store

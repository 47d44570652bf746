#include "clone/room.h"

#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clone/agent_copy.h"
#include "clone/copy_source_support.h"
#include "clone/folder_bytes.h"
#include "env/forwarding_file_system.h"
#include "env/simulated_disk.h"

namespace standfast::clone {
namespace {

using base::ErrorCode;
using base::Result;
using ::testing::HasSubstr;
using testing::MemorySource;
using testing::put_file;

/// A disk of its own below each of these folders.
class Disks final : public env::testing::ForwardingFileSystem {
 public:
  explicit Disks(env::FileSystem& next) : ForwardingFileSystem(next) {}
  std::map<std::string, std::uint64_t> free = {{"/", 1000}};

  Result<std::optional<env::FileInfo>> inspect_following(const std::string& path) override {
    auto info = TRY(ForwardingFileSystem::inspect_following(path));
    if (info) info->device = std::hash<std::string>()(disk_of(path));
    return info;
  }
  Result<env::DiskSpace> space(const std::string& path) override {
    return env::DiskSpace{.available_bytes = free.at(disk_of(path)), .total_bytes = 1'000'000};
  }

 private:
  std::string disk_of(const std::string& path) const {
    std::string found = "/";
    for (const auto& [folder, bytes] : free)
      if (env::is_same_or_inside(path, folder) && folder.size() > found.size()) found = folder;
    return found;
  }
};

class RoomTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* folder : {"/data", "/ts"}) ASSERT_TRUE(disk_.make_directory(folder, 0700));
  }
  env::testing::SimulatedDisk disk_;
  Disks disks_{disk_};
};

TEST_F(RoomTest, WhatGoesToOneDiskIsAddedUp) {
  disks_.free["/ts"] = 50;
  RoomNeeds room(disks_);
  ASSERT_TRUE(room.add("/data", 600));
  ASSERT_TRUE(room.add("/data/not/there/yet", 400));
  ASSERT_TRUE(room.add("/ts/new", 50));
  EXPECT_TRUE(check_room(*room.disks(), "the copy", ""));
  ASSERT_TRUE(room.add("/ts", 1));
  const auto refused = check_room(*room.disks(), "the copy", "Make room.");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kDiskFull);
  EXPECT_THAT(refused.error().message,
              HasSubstr("the copy needs 51 B and the disk of \"/ts\" has 50 B free"));
  EXPECT_EQ(refused.error().hint, "Make room.");
  ASSERT_TRUE(room.spare("/ts/gone", 1));
  EXPECT_TRUE(check_room(*room.disks(), "the copy", ""));
}

TEST_F(RoomTest, DiskThatOnlyLosesNeedsNothing) {
  disks_.free["/ts"] = 0;
  RoomNeeds room(disks_);
  ASSERT_TRUE(room.add("/data", 1));
  ASSERT_TRUE(room.spare("/ts", 1));
  ASSERT_EQ(room.disks()->size(), 1U);
}

TEST_F(RoomTest, GrowthIsWhatACopyThenMakesOfTheFolders) {
  MemorySource source;
  source.tree = {{"PG_VERSION", "15\n"},
                 {"base", std::nullopt},
                 {"base/grows", std::string(30000, 'g')},
                 {"base/new", std::string(5000, 'n')},
                 {"base/same", std::string(700, 's')},
                 {"base/shrinks", std::string(10, 's')},
                 {"global", std::nullopt},
                 {"global/pg_control", std::string(8192, 'c')},
                 {"pg_wal", std::nullopt}};
  for (const char* folder : {"/data/base", "/data/base/dropped", "/data/pg_wal", "/data/global"})
    ASSERT_TRUE(disk_.make_directory(folder, 0700));
  put_file(disk_, "/data/base/grows", std::string(20000, 'o'));
  put_file(disk_, "/data/base/same", std::string(700, 'o'));
  put_file(disk_, "/data/base/shrinks", std::string(2000, 'o'));
  put_file(disk_, "/data/base/dropped/1", std::string(3000, 'o'));
  put_file(disk_, "/data/pg_wal/000000010000000000000001", std::string(9999, 'w'));
  put_file(disk_, "/data/kept.standfast-1", std::string(8888, 'k'));
  const std::uint64_t before = *bytes_below(disk_, "/data");

  const auto entries = source.list();
  const CopyPlaces places{.data_folder = "/data"};
  const auto growth = growth_of(disk_, *lay_out(entries, places));
  ASSERT_TRUE(growth) << growth.error().message;
  std::uint64_t comes = 0;
  std::uint64_t goes = 0;
  for (const FolderGrowth& one : *growth) {
    comes += one.comes;
    goes += one.goes;
  }
  EXPECT_EQ(comes, 10000 + 5000 + 8192 + 3U);
  EXPECT_EQ(goes, 1990 + 3000U);
  EXPECT_EQ(*bytes_below(disk_, "/data"), before);

  AgentCopyOptions options;
  options.places = places;
  const env::StopEvent stop;
  const OpenCopyStream opener = source.opener();
  ASSERT_TRUE(copy_from_agent(entries, options, {disk_, stop, opener}));
  EXPECT_EQ(*bytes_below(disk_, "/data"), before + comes - goes);
}

}  // namespace
}  // namespace standfast::clone

#include "env/simulated_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <thread>

#include <gtest/gtest.h>

namespace standfast::env::testing {
namespace {

constexpr std::uint64_t kSector = SimulatedDisk::kSectorBytes;
constexpr std::uint64_t kSeeds = 400;

std::string read_from(File& file, std::uint64_t offset, std::size_t length) {
  std::string bytes(length, '\0');
  const auto count = file.read_at(offset, std::as_writable_bytes(std::span(bytes)));
  if (!count) return "<" + count.error().message + ">";
  bytes.resize(*count);
  return bytes;
}

std::unique_ptr<File> create(FileSystem& files, const std::string& path, std::string_view content) {
  auto file = files.create(path, 0600, OnExisting::kReplace);
  EXPECT_TRUE(file) << file.error().message;
  EXPECT_TRUE((*file)->write_at(0, base::as_bytes(content)));
  return std::move(*file);
}

std::string content_of(FileSystem& files, const std::string& path) {
  auto content = read_whole_file(files, path, 64U << 20U);
  return content ? *content : "<" + content.error().message + ">";
}

std::string direct_content_of(FileSystem& files, const std::string& path) {
  auto file = files.open_for_direct_reading(path);
  EXPECT_TRUE(file) << file.error().message;
  return read_from(**file, 0, 1U << 20U);
}

/// A durable file of three sectors of 'o' in a durable directory.
void put_old_file(SimulatedDisk& disk) {
  EXPECT_TRUE(make_directories(disk, "/store", 0700));
  auto file = create(disk, "/store/file", std::string(3 * kSector, 'o'));
  EXPECT_TRUE(file->sync());
  EXPECT_TRUE(disk.sync_directory("/store"));
}

TEST(SimulatedDisk, WhatWasSyncedOutlivesEachPowerCut) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    put_old_file(disk);
    auto file = *disk.open_existing("/store/file");
    ASSERT_TRUE(file->write_at(kSector + 7, base::as_bytes("new")));
    ASSERT_TRUE(file->write_at(3 * kSector, base::as_bytes("longer")));
    // The size changed, so that fdatasync has to write it as well.
    ASSERT_TRUE(file->sync_data());
    const std::string whole = content_of(disk, "/store/file");
    ASSERT_EQ(whole.size(), 3 * kSector + 6);
    disk.power_cut(random);
    ASSERT_EQ(content_of(disk, "/store/file"), whole) << "seed " << seed;
  }
}

TEST(SimulatedDisk, OfWhatWasNotSyncedEachSectorIsKeptOrLostButNeverTorn) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    put_old_file(disk);
    auto file = *disk.open_existing("/store/file");
    ASSERT_TRUE(file->write_at(0, base::as_bytes(std::string(3 * kSector, 'n'))));
    disk.power_cut(random);
    const std::string left = content_of(disk, "/store/file");
    ASSERT_EQ(left.size(), 3 * kSector);
    std::string sectors;
    for (std::size_t at = 0; at < left.size(); at += kSector) {
      const std::string sector = left.substr(at, kSector);
      ASSERT_EQ(std::count(sector.begin(), sector.end(), sector[0]), kSector) << "seed " << seed;
      sectors += sector[0];
    }
    seen.insert(sectors);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"ooo", "oon", "ono", "onn", "noo", "non", "nno", "nnn"}));
}

TEST(SimulatedDisk, TheSizeLiesBetweenOldAndNewAndBehindItIsNothing) {
  std::set<std::uint64_t> sizes;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    put_old_file(disk);
    auto file = *disk.open_existing("/store/file");
    ASSERT_TRUE(file->write_at(3 * kSector, base::as_bytes(std::string(2 * kSector, 'n'))));
    disk.power_cut(random);
    const std::uint64_t size = (*disk.inspect("/store/file"))->size_bytes;
    ASSERT_GE(size, 3 * kSector);
    ASSERT_LE(size, 5 * kSector);
    sizes.insert(size);
    ASSERT_EQ(content_of(disk, "/store/file").substr(0, 3 * kSector), std::string(3 * kSector, 'o'));
    auto again = *disk.open_existing("/store/file");
    ASSERT_TRUE(again->truncate(6 * kSector));
    const auto rest = static_cast<std::size_t>(6 * kSector - size);
    ASSERT_EQ(read_from(*again, size, rest), std::string(rest, '\0')) << "seed " << seed;
  }
  EXPECT_TRUE(sizes.contains(3 * kSector));
  EXPECT_TRUE(sizes.contains(5 * kSector));
  EXPECT_GT(sizes.size(), 20U);
}

TEST(SimulatedDisk, AFileThatWasCutShorterMayBeLongAgain) {
  std::set<std::uint64_t> sizes;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    put_old_file(disk);
    auto file = *disk.open_existing("/store/file");
    ASSERT_TRUE(file->truncate(kSector));
    disk.power_cut(random);
    sizes.insert((*disk.inspect("/store/file"))->size_bytes);
  }
  EXPECT_EQ(*sizes.begin(), kSector);
  EXPECT_EQ(*sizes.rbegin(), 3 * kSector);
}

TEST(SimulatedDisk, NamesComeToTheDeviceInOrderWhenTheDirectoryWasNotSynced) {
  std::set<std::vector<std::string>> seen;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    ASSERT_TRUE(make_directories(disk, "/store", 0700));
    for (const char* name : {"/store/a", "/store/b"}) ASSERT_TRUE(create(disk, name, name)->sync());
    ASSERT_TRUE(disk.rename_no_replace("/store/a", "/store/c"));
    ASSERT_TRUE(disk.remove_file("/store/b"));
    disk.power_cut(random);
    seen.insert(*disk.list("/store"));
  }
  EXPECT_EQ(seen, (std::set<std::vector<std::string>>{{}, {"a"}, {"a", "b"}, {"b", "c"}, {"c"}}));
}

TEST(SimulatedDisk, ASyncedDirectoryKeepsItsNamesAndNothingElseDoes) {
  bool was_lost = false;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    ASSERT_TRUE(make_directories(disk, "/store", 0700));
    ASSERT_TRUE(create(disk, "/store/a", "synced")->sync());
    ASSERT_TRUE(disk.sync_directory("/store"));
    ASSERT_TRUE(create(disk, "/store/b", "synced")->sync());
    disk.power_cut(random);
    ASSERT_EQ(content_of(disk, "/store/a"), "synced");
    was_lost = was_lost || !disk.inspect("/store/b")->has_value();
  }
  EXPECT_TRUE(was_lost);
}

TEST(SimulatedDisk, ARenameBetweenDirectoriesIsOneOperationAndBringsWhatCameBefore) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    ASSERT_TRUE(make_directories(disk, "/from", 0700));
    ASSERT_TRUE(make_directories(disk, "/to", 0700));
    ASSERT_TRUE(create(disk, "/from/x", "content")->sync());
    ASSERT_TRUE(disk.rename_over("/from/x", "/to/x"));
    if (seed % 2 == 0) {
      ASSERT_TRUE(disk.sync_directory("/to"));
    }
    disk.power_cut(random);
    const bool is_at_old = disk.inspect("/from/x")->has_value();
    const bool is_at_new = disk.inspect("/to/x")->has_value();
    ASSERT_FALSE(is_at_old && is_at_new) << "seed " << seed;
    if (seed % 2 == 0) {
      ASSERT_EQ(content_of(disk, "/to/x"), "content");
    } else {
      seen.insert(is_at_old ? "old" : is_at_new ? "new" : "none");
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"new", "none", "old"}));
}

TEST(SimulatedDisk, WhatWasBeforeARenameInEitherDirectoryComesWithIt) {
  std::mt19937_64 random(6);
  SimulatedDisk disk;
  for (const char* folder : {"/a", "/b", "/c"}) ASSERT_TRUE(make_directories(disk, folder, 0700));
  ASSERT_TRUE(create(disk, "/b/moves", "")->sync());
  ASSERT_TRUE(create(disk, "/a/first", "")->sync());
  ASSERT_TRUE(disk.rename_over("/a/first", "/b/first"));
  ASSERT_TRUE(create(disk, "/a/later", "")->sync());
  ASSERT_TRUE(create(disk, "/a/moves", "")->sync());
  ASSERT_TRUE(disk.rename_over("/a/moves", "/b/from-a"));
  ASSERT_TRUE(disk.rename_over("/b/moves", "/c/moved"));
  ASSERT_TRUE(disk.sync_directory("/c"));
  disk.power_cut(random);
  EXPECT_EQ(*disk.list("/a"), std::vector<std::string>{"later"});
  EXPECT_EQ(*disk.list("/b"), (std::vector<std::string>{"first", "from-a"}));
  EXPECT_EQ(*disk.list("/c"), std::vector<std::string>{"moved"});
}

TEST(SimulatedDisk, ARenameOverAFileLeavesTheOldOneOrTheNewOne) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    put_old_file(disk);
    ASSERT_TRUE(write_file_durably(disk, "/store/conf", "first", {}));
    ASSERT_TRUE(create(disk, "/store/conf.new", "second")->sync());
    ASSERT_TRUE(disk.rename_over("/store/conf.new", "/store/conf"));
    disk.power_cut(random);
    seen.insert(content_of(disk, "/store/conf"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"first", "second"}));
}

TEST(SimulatedDisk, AfterACutOpenFilesFailAndTheCacheIsTheDevice) {
  std::mt19937_64 random(1);
  SimulatedDisk disk;
  put_old_file(disk);
  auto file = *disk.open_existing("/store/file");
  auto direct = *disk.open_for_direct_reading("/store/file");
  ASSERT_TRUE(file->write_at(0, base::as_bytes("new")));
  disk.power_cut(random);
  std::byte byte{};
  EXPECT_EQ(file->write_at(0, base::as_bytes("x")).error().os_errno, EBADF);
  EXPECT_EQ(file->read_at(0, {&byte, 1}).error().os_errno, EBADF);
  EXPECT_EQ(direct->read_at(0, {&byte, 1}).error().os_errno, EBADF);
  EXPECT_EQ(file->truncate(0).error().os_errno, EBADF);
  EXPECT_EQ(file->sync().error().os_errno, EBADF);
  EXPECT_EQ(file->sync_data().error().os_errno, EBADF);
  EXPECT_EQ(file->close().error().os_errno, EBADF);
  EXPECT_EQ(content_of(disk, "/store/file"), direct_content_of(disk, "/store/file"));
}

TEST(SimulatedDisk, AProcessThatDiesLosesItsFilesButNotTheCache) {
  SimulatedDisk disk;
  put_old_file(disk);
  auto file = *disk.open_existing("/store/file");
  ASSERT_TRUE(file->write_at(0, base::as_bytes("new")));
  disk.crash_process();
  EXPECT_EQ(file->write_at(0, base::as_bytes("x")).error().os_errno, EBADF);
  EXPECT_EQ(content_of(disk, "/store/file").substr(0, 3), "new");
  EXPECT_TRUE(disk.open_existing("/store/file"));
}

TEST(SimulatedDisk, AfterAFailedSyncTheCacheLiesAndTheNextSyncSucceeds) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    put_old_file(disk);
    auto file = *disk.open_existing("/store/file");
    disk.fail_data_sync(2);
    ASSERT_TRUE(file->sync_data());
    ASSERT_TRUE(file->write_at(0, base::as_bytes("new")));
    const auto failed = file->sync_data();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().os_errno, EIO);
    EXPECT_TRUE(file->sync_data());
    EXPECT_EQ(content_of(disk, "/store/file").substr(0, 3), "new");
    disk.crash_process();
    EXPECT_EQ(content_of(disk, "/store/file").substr(0, 3), "new");
    EXPECT_EQ(direct_content_of(disk, "/store/file").substr(0, 3), "ooo");
    if (seed % 2 == 0) {
      disk.drop_clean_cache();
    } else {
      disk.power_cut(random);
    }
    EXPECT_EQ(content_of(disk, "/store/file"), std::string(3 * kSector, 'o'));
  }
}

TEST(SimulatedDisk, WhatIsWrittenAgainAfterAFailedSyncCanBeSynced) {
  std::mt19937_64 random(5);
  SimulatedDisk disk;
  put_old_file(disk);
  auto file = *disk.open_existing("/store/file");
  ASSERT_TRUE(file->write_at(0, base::as_bytes("new")));
  disk.fail_data_sync(1);
  ASSERT_FALSE(file->sync());
  ASSERT_TRUE(file->write_at(0, base::as_bytes("new")));
  ASSERT_TRUE(file->sync());
  disk.power_cut(random);
  EXPECT_EQ(content_of(disk, "/store/file").substr(0, 3), "new");
}

TEST(SimulatedDisk, ADirectReadWritesBackFirstButFlushesNothing) {
  bool was_lost = false;
  bool was_kept = false;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    put_old_file(disk);
    auto file = *disk.open_existing("/store/file");
    ASSERT_TRUE(file->write_at(kSector, base::as_bytes("new")));
    ASSERT_EQ(direct_content_of(disk, "/store/file"), content_of(disk, "/store/file"));
    disk.power_cut(random);
    (content_of(disk, "/store/file").substr(kSector, 3) == "new" ? was_kept : was_lost) = true;
  }
  EXPECT_TRUE(was_lost);
  EXPECT_TRUE(was_kept);

  SimulatedDisk disk;
  put_old_file(disk);
  auto file = *disk.open_existing("/store/file");
  ASSERT_TRUE(file->write_at(kSector, base::as_bytes("new")));
  disk.fail_data_sync(1);
  EXPECT_EQ(direct_content_of(disk, "/store/file").front(), '<');
  EXPECT_EQ(direct_content_of(disk, "/store/file"), std::string(3 * kSector, 'o'));
  auto direct = *disk.open_for_direct_reading("/store/file");
  EXPECT_EQ(read_from(*direct, kSector - 1, 5), "ooooo");
  ASSERT_TRUE(file->write_at(kSector - 1, base::as_bytes("ab")));
  EXPECT_EQ(read_from(*direct, kSector - 2, 4), "oabe")
      << "of the sector that is dirty again, all of the cache";
  EXPECT_FALSE(direct->write_at(0, base::as_bytes("x")));
}

TEST(SimulatedDisk, DirectReadsCanBeRefused) {
  SimulatedDisk disk;
  put_old_file(disk);
  disk.set_direct_access(SimulatedDisk::DirectAccess::kRefused);
  EXPECT_EQ(*disk.open_for_direct_reading("/store/file"), nullptr);
  EXPECT_EQ(disk.open_for_direct_reading("/store/absent").error().os_errno, ENOENT);
}

TEST(SimulatedDisk, AFullDiskTakesWhatFitsAndOverwritesWhatIsThere) {
  SimulatedDisk disk;
  put_old_file(disk);
  disk.set_available_bytes(2 * SimulatedDisk::kPageBytes);
  auto file = *disk.create("/store/big", 0600, OnExisting::kFail);
  const auto full = file->write_at(0, base::as_bytes(std::string(10'000, 'x')));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, base::ErrorCode::kDiskFull);
  EXPECT_EQ((*disk.inspect("/store/big"))->size_bytes, 8192U);
  EXPECT_EQ(disk.space("/store")->available_bytes, 0U);
  EXPECT_TRUE(file->write_at(100, base::as_bytes("over")));
  ASSERT_TRUE(file->truncate(10));
  EXPECT_EQ(disk.space("/store")->available_bytes, SimulatedDisk::kPageBytes);
  file.reset();
  ASSERT_TRUE(disk.remove_file("/store/big"));
  ASSERT_TRUE(disk.sync_directory("/store"));
  EXPECT_EQ(disk.space("/store")->available_bytes, 2 * SimulatedDisk::kPageBytes);
}

TEST(SimulatedDisk, TheSameSeedLeavesTheSame) {
  const auto run = [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    SimulatedDisk disk;
    put_old_file(disk);
    for (int i = 0; i < 20; ++i)
      static_cast<void>(create(disk, "/store/" + std::to_string(i), std::string(5'000, 'x')));
    disk.power_cut(random);
    std::string all;
    const auto names = *disk.list("/store");
    for (const std::string& name : names) all += name + ":" + content_of(disk, "/store/" + name) + ";";
    return all;
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

TEST(SimulatedDisk, ASyncMayRunBesideWrites) {
  SimulatedDisk disk;
  put_old_file(disk);
  auto file = *disk.open_existing("/store/file");
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < 2'000; ++i) EXPECT_TRUE(file->write_at(i * 100, base::as_bytes("w")));
  });
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(file->sync_data());
  writer.join();
  EXPECT_EQ((*disk.inspect("/store/file"))->size_bytes, 1'999U * 100 + 1);
}

/// One random call on both; what it says, by errno or result.
class Twins {
 public:
  Twins(FileSystem& real, std::string real_folder, std::uint64_t seed)
      : real_(real), real_folder_(std::move(real_folder)), random_(seed) {
    EXPECT_TRUE(disk_.make_directory("/t", 0700));
  }

  std::string step() {
    const std::string first = name();
    const std::string second = name();
    const std::uint64_t offset = random_() % 9'000;
    const std::string content(random_() % 6'000, static_cast<char>('a' + random_() % 26));
    const std::uint64_t kind = random_() % 13;
    const auto call = [&](FileSystem& files, const std::string& folder) {
      return perform(files, kind, folder + first, folder + second, offset, content);
    };
    const std::string here = call(disk_, "/t");
    const std::string there = call(real_, real_folder_);
    const std::string what = std::to_string(kind) + " " + first + " " + second;
    return here == there ? "" : what + ": simulated " + here + ", real " + there;
  }

 private:
  std::string name() {
    static const std::vector<std::string> kNames = {"/a",   "/b", "/c",   "/d",  "/d/a",
                                                    "/d/b", "/e", "/e/a", "/l/a"};
    return kNames[random_() % kNames.size()];
  }

  template <typename T>
  static std::string said(const base::Result<T>& result) {
    return result ? "ok" : "errno " + std::to_string(result.error().os_errno);
  }

  static std::string perform(FileSystem& files, std::uint64_t kind, const std::string& first,
                             const std::string& second, std::uint64_t offset, const std::string& content) {
    switch (kind) {
      case 0:
      case 1:
        return said(files.create(first, 0640, kind == 0 ? OnExisting::kFail : OnExisting::kReplace));
      case 2:
      case 3: {
        auto file = files.open_existing(first);
        if (!file) return said(file);
        return said((*file)->write_at(offset, base::as_bytes(content)));
      }
      case 4: {
        auto file = files.open_existing(first);
        if (!file) return said(file);
        return said((*file)->truncate(offset)) + said((*file)->sync());
      }
      case 5:
        return said(files.make_directory(first, 0750));
      case 6:
        return said(files.rename_no_replace(first, second));
      case 7:
        return said(files.rename_over(first, second));
      case 8:
        return said(files.remove_file(first));
      case 9:
        return said(files.remove_directory(first));
      case 10: {
        const auto names = files.list(first);
        if (!names) return said(names);
        std::string all;
        for (const std::string& entry : *names) all += entry + " ";
        return all;
      }
      case 11: {
        const auto info = files.inspect(first);
        if (!info || !*info) return said(info);
        const bool is_file = (*info)->kind == FileKind::kRegular;
        return fmt_info(**info) + (is_file ? content_of(files, first) : "");
      }
      default:
        return said(files.make_symlink("d", first)) + said(files.sync_directory(second));
    }
  }

  static std::string fmt_info(const FileInfo& info) {
    return std::to_string(static_cast<int>(info.kind)) + " " + std::to_string(info.mode) + " " +
           (info.kind == FileKind::kDirectory ? "" : std::to_string(info.size_bytes)) + " ";
  }

  SimulatedDisk disk_;
  FileSystem& real_;
  std::string real_folder_;
  std::mt19937_64 random_;
};

TEST(SimulatedDisk, AnswersAsThePosixFileSystemDoes) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    char pattern[] = "/tmp/standfast-simulated-XXXXXX";
    const std::string folder = mkdtemp(pattern);
    {
      Twins twins(posix_file_system(), folder, seed);
      for (int i = 0; i < 300; ++i) {
        const std::string difference = twins.step();
        EXPECT_EQ(difference, "") << "seed " << seed << ", step " << i;
        if (!difference.empty()) break;
      }
    }
    ASSERT_TRUE(remove_tree(posix_file_system(), folder));
  }
}

}  // namespace
}  // namespace standfast::env::testing

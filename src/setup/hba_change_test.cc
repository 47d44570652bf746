#include "setup/hba_change.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "clone/faulty_file_system.h"
#include "env/stop_event.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kOld = "local all all peer\n";
constexpr std::string_view kNew = "local all all peer\nhost all all 10.20.20.2/32 scram-sha-256\n";

/// Loads whatever lies in the file, unless told to fail.
class FakeServer final : public HbaServer {
 public:
  FakeServer(env::FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  Result<std::vector<HbaError>> errors_of_file() override {
    std::vector<HbaError> errors;
    if (broken) errors.push_back({2, "invalid connection type \"hots\""});
    return errors;
  }
  Result<void> reload(Interruption interruption) override {
    if (interruption == Interruption::kAllowed && stopped) return env::cancelled_error();
    ++reloads;
    loaded = *env::read_whole_file(files_, path_, 1000);
    if (reloads == failing_reload) return Error(ErrorCode::kAuthentication, "no login");
    return base::ok();
  }

  bool broken = false;
  bool stopped = false;
  int failing_reload = 0;
  int reloads = 0;
  std::string loaded = std::string(kOld);

 private:
  env::FileSystem& files_;
  std::string path_;
};

/// Of which only the first bytes of a write still fit.
class FullFile final : public env::File {
 public:
  explicit FullFile(std::unique_ptr<env::File> file) : file_(std::move(file)) {}
  Result<void> write_at(std::uint64_t offset, base::Bytes bytes) override {
    TRY(file_->write_at(offset, bytes.first(bytes.size() - 1)));
    return Error(ErrorCode::kDiskFull, "no room for the last byte");
  }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    return file_->read_at(offset, into);
  }
  Result<void> truncate(std::uint64_t size_bytes) override { return file_->truncate(size_bytes); }
  void start_writeback(std::uint64_t offset, std::uint64_t length_bytes) override {
    file_->start_writeback(offset, length_bytes);
  }
  Result<void> sync_data() override { return file_->sync_data(); }
  Result<void> sync() override { return file_->sync(); }
  Result<void> close() override { return file_->close(); }

 private:
  std::unique_ptr<env::File> file_;
};

class HbaChangeTest : public testing::Test {
 protected:
  HbaChangeTest() {
    char pattern[] = "/tmp/standfast-hba-test-XXXXXX";
    folder_ = mkdtemp(pattern);
    path_ = folder_ + "/pg_hba.conf";
    EXPECT_TRUE(env::write_file_durably(files_, path_, kOld, {.mode = 0640}));
  }
  ~HbaChangeTest() override { static_cast<void>(env::remove_tree(files_, folder_)); }

  /// The next `count` files that are opened for writing run out of room.
  void fill_disk(int count) {
    full_.opened = [left = count](std::unique_ptr<env::File> file) mutable -> std::unique_ptr<env::File> {
      if (left-- <= 0) return file;
      return std::make_unique<FullFile>(std::move(file));
    };
  }
  FileAccess access(WriteWay way = WriteWay::kRename) { return {way, folder_}; }
  std::string text() { return *env::read_whole_file(files_, path_, 1000); }
  std::size_t file_count() { return files_.list(folder_)->size(); }

  env::FileSystem& files_ = env::posix_file_system();
  clone::testing::FaultyFileSystem full_;
  std::string folder_;
  std::string path_;
};

TEST_F(HbaChangeTest, WhatIsKeptStaysWithItsModeAndADatedCopyOfWhatWasBefore) {
  FakeServer server(files_, path_);
  std::string copy;
  {
    HbaChange change(files_, server, path_, std::string(kOld), access());
    ASSERT_TRUE(change.put(std::string(kNew), DatedCopy::kMake));
    ASSERT_TRUE(change.copy_path());
    copy = *change.copy_path();
    change.keep();
  }
  EXPECT_EQ(text(), kNew);
  EXPECT_EQ(server.loaded, kNew);
  EXPECT_EQ((*files_.inspect(path_))->mode, 0640U);
  EXPECT_EQ(*env::read_whole_file(files_, copy, 1000), kOld);
  EXPECT_EQ((*files_.inspect(copy))->mode, 0640U);
  EXPECT_TRUE(copy.starts_with(path_ + ".standfast-2"));
}

TEST_F(HbaChangeTest, WhatIsNotKeptIsTakenBackWholeAndLoadedAgain) {
  FakeServer server(files_, path_);
  {
    HbaChange change(files_, server, path_, std::string(kOld), access());
    ASSERT_TRUE(change.put(std::string(kNew), DatedCopy::kMake));
    EXPECT_EQ(server.loaded, kNew);
  }
  EXPECT_EQ(text(), kOld);
  EXPECT_EQ(server.loaded, kOld);
  EXPECT_EQ(file_count(), 1U) << "the copy of what is back again is of no use";
}

TEST_F(HbaChangeTest, AFileThatTheServerCannotReadIsNeverLoaded) {
  FakeServer server(files_, path_);
  server.broken = true;
  HbaChange change(files_, server, path_, std::string(kOld), access());
  const auto put = change.put(std::string(kNew), DatedCopy::kMake);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::kPrecondition);
  EXPECT_NE(put.error().message.find("line 2"), std::string::npos);
  EXPECT_EQ(server.reloads, 0);
  const Error error = change.take_back_after(put.error());
  EXPECT_EQ(text(), kOld);
  EXPECT_NE(error.hint.find("as it was before"), std::string::npos);
}

TEST_F(HbaChangeTest, ALoginThatFailsTakesTheFileBack) {
  FakeServer server(files_, path_);
  server.failing_reload = 1;
  HbaChange change(files_, server, path_, std::string(kOld), access());
  const auto put = change.put(std::string(kNew), DatedCopy::kMake);
  ASSERT_FALSE(put);
  const Error error = change.take_back_after(put.error());
  EXPECT_EQ(error.code, ErrorCode::kAuthentication);
  EXPECT_EQ(text(), kOld);
  EXPECT_EQ(server.loaded, kOld);
}

TEST_F(HbaChangeTest, AnInterruptedChangeIsTakenBackAllTheSame) {
  FakeServer server(files_, path_);
  HbaChange change(files_, server, path_, std::string(kOld), access());
  server.stopped = true;
  const auto put = change.put(std::string(kNew), DatedCopy::kMake);
  ASSERT_FALSE(put);
  EXPECT_EQ(change.take_back_after(put.error()).code, ErrorCode::kCancelled);
  EXPECT_EQ(text(), kOld);
  EXPECT_EQ(server.loaded, kOld);
  EXPECT_EQ(server.reloads, 1);
}

TEST_F(HbaChangeTest, ATakingBackThatFailsSaysWhereTheOldTextIs) {
  FakeServer server(files_, path_);
  HbaChange change(files_, server, path_, std::string(kOld), access());
  ASSERT_TRUE(change.put(std::string(kNew), DatedCopy::kMake));
  ASSERT_TRUE(env::write_file_durably(files_, path_, "somebody else's\n", {.mode = 0640}));
  const Error error = change.take_back_after(Error(ErrorCode::kAuthentication, "no login"));
  EXPECT_NE(error.message.find("could not be put back"), std::string::npos);
  EXPECT_NE(error.hint.find(*change.copy_path()), std::string::npos);
  EXPECT_EQ(text(), "somebody else's\n");
}

TEST_F(HbaChangeTest, AFileThatChangedSinceItWasReadIsLeftAlone) {
  FakeServer server(files_, path_);
  HbaChange change(files_, server, path_, "what was read\n", access());
  const auto put = change.put(std::string(kNew), DatedCopy::kMake);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::kInUse);
  EXPECT_EQ(text(), kOld);
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(HbaChangeTest, TheSecondPutMakesNoSecondCopy) {
  FakeServer server(files_, path_);
  HbaChange change(files_, server, path_, std::string(kOld), access());
  ASSERT_TRUE(change.put(std::string(kNew), DatedCopy::kMake));
  ASSERT_TRUE(change.put(std::string(kNew) + "# less\n", DatedCopy::kMake));
  change.keep();
  EXPECT_EQ(file_count(), 2U);
}

TEST_F(HbaChangeTest, WhatCanOnlyBeWrittenInPlaceKeepsItsInodeAndIsPutBackTheSameWay) {
  const auto inode = (*files_.inspect(path_))->inode;
  FakeServer server(files_, path_);
  HbaChange change(files_, server, path_, std::string(kOld), access(WriteWay::kInPlace));
  ASSERT_TRUE(change.put(std::string(kNew), DatedCopy::kNone));
  EXPECT_EQ(text(), kNew);
  EXPECT_EQ((*files_.inspect(path_))->inode, inode);
  // Never without a copy on the disk.
  ASSERT_TRUE(change.copy_path());
  EXPECT_EQ(*env::read_whole_file(files_, *change.copy_path(), 1000), kOld);
  ASSERT_TRUE(change.take_back());
  EXPECT_EQ(text(), kOld);
  EXPECT_EQ((*files_.inspect(path_))->inode, inode);
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(HbaChangeTest, WhatDoesNotFitInPlaceIsPutBackAtOnceAndLeavesNoCopy) {
  FakeServer server(files_, path_);
  fill_disk(1);
  {
    HbaChange change(full_, server, path_, std::string(kOld), access(WriteWay::kInPlace));
    const auto put = change.put(std::string(kNew), DatedCopy::kNone);
    ASSERT_FALSE(put);
    EXPECT_EQ(change.take_back_after(put.error()).code, ErrorCode::kDiskFull);
  }
  EXPECT_EQ(text(), kOld);
  EXPECT_EQ(server.reloads, 0);
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(HbaChangeTest, AFileThatCouldNotBePutBackAtOnceIsPutBackAtTheEnd) {
  FakeServer server(files_, path_);
  fill_disk(2);
  HbaChange change(full_, server, path_, std::string(kOld), access(WriteWay::kInPlace));
  const auto put = change.put(std::string(kNew), DatedCopy::kNone);
  ASSERT_FALSE(put);
  EXPECT_NE(text(), kOld);
  const Error error = change.take_back_after(put.error());
  EXPECT_EQ(error.code, ErrorCode::kDiskFull);
  EXPECT_NE(error.hint.find("as it was before"), std::string::npos);
  EXPECT_EQ(text(), kOld);
  EXPECT_EQ(server.loaded, kOld);
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(HbaChangeTest, AFileThatStaysBrokenIsToldWithItsCopyWhichStays) {
  FakeServer server(files_, path_);
  fill_disk(100);
  std::string copy;
  {
    HbaChange change(full_, server, path_, std::string(kOld), access(WriteWay::kInPlace));
    const auto put = change.put(std::string(kNew), DatedCopy::kNone);
    ASSERT_FALSE(put);
    ASSERT_TRUE(change.copy_path());
    copy = *change.copy_path();
    const Error error = change.take_back_after(put.error());
    EXPECT_EQ(error.code, ErrorCode::kDiskFull);
    EXPECT_NE(error.message.find("could not be put back"), std::string::npos);
    EXPECT_NE(error.hint.find(copy), std::string::npos) << error.hint;
    fill_disk(0);  // room again, when all has been said
  }
  EXPECT_EQ(*env::read_whole_file(files_, copy, 1000), kOld);
  EXPECT_EQ(server.reloads, 0) << "what is broken is never loaded";
}

TEST_F(HbaChangeTest, ACopyOfWhatIsTheSameInTheEndGoes) {
  FakeServer server(files_, path_);
  HbaChange change(files_, server, path_, std::string(kOld), access(WriteWay::kInPlace));
  ASSERT_TRUE(change.put(std::string(kNew), DatedCopy::kNone));
  ASSERT_TRUE(change.put(std::string(kOld), DatedCopy::kNone));
  change.keep();
  EXPECT_EQ(text(), kOld);
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(HbaChangeTest, ALoadThatFailsIsToldApartFromALineThatIsRejected) {
  FakeServer server(files_, path_);
  server.failing_reload = 1;
  HbaChange change(files_, server, path_, std::string(kOld), access());
  const auto put = change.put(std::string(kNew), DatedCopy::kMake);
  ASSERT_FALSE(put);
  EXPECT_TRUE(put.error().message.starts_with("the new pg_hba.conf is well formed, but after loading it"));
}

}  // namespace
}  // namespace standfast::setup

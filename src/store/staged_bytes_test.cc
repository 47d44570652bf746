#include "store/staged_bytes.h"

#include <cerrno>
#include <random>

#include <gtest/gtest.h>

#include "env/simulated_disk.h"

namespace standfast::store {
namespace {

constexpr std::size_t kMax = StagedBytes::kMaxBytes;
const std::string kPath = "/segment";

std::string random_text(std::mt19937_64& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

/// Counts what goes past the cache, and can refuse it.
class Counted final : public env::File {
 public:
  Counted(std::unique_ptr<env::File> to, std::uint64_t& bytes, int refuse_with)
      : to_(std::move(to)), bytes_(bytes), refuse_with_(refuse_with) {}
  base::Result<void> write_at(std::uint64_t offset, base::Bytes bytes) override {
    if (refuse_with_ != 0) return base::error_from_errno(refuse_with_, "could not write");
    bytes_ += bytes.size();
    return to_->write_at(offset, bytes);
  }
  base::Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    return to_->read_at(offset, into);
  }
  base::Result<void> truncate(std::uint64_t size_bytes) override { return to_->truncate(size_bytes); }
  void start_writeback(std::uint64_t /*offset*/, std::uint64_t /*length_bytes*/) override {}
  base::Result<void> sync_data() override { return to_->sync_data(); }
  base::Result<void> sync() override { return to_->sync(); }
  base::Result<void> close() override { return to_->close(); }

 private:
  std::unique_ptr<env::File> to_;
  std::uint64_t& bytes_;
  int refuse_with_;
};

class StagedBytesTest : public ::testing::Test {
 protected:
  StagedBytesTest() {
    file_.cached = *disk_.create(kPath, 0600, env::OnExisting::kFail);
    go_directly(0);
  }

  void go_directly(int refuse_with) {
    file_.direct =
        std::make_unique<Counted>(*disk_.open_for_direct_writing(kPath), direct_bytes_, refuse_with);
  }

  std::string content(std::uint64_t offset, std::size_t size) {
    std::string text(size, '\0');
    const auto count = file_.cached->read_at(offset, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(count);
    text.resize(count ? *count : 0);
    return text;
  }

  env::testing::SimulatedDisk disk_;
  FileToFill file_;
  std::uint64_t direct_bytes_ = 0;
  std::mt19937_64 random_{7};
};

TEST_F(StagedBytesTest, WholeBlocksGoPastTheCacheAndTheEndsThroughIt) {
  const std::string text = random_text(random_, 600'000);
  StagedBytes staged;
  staged.begin(5'000);
  EXPECT_EQ(staged.take(base::as_bytes(std::string_view(text).substr(0, 100))), 100U);
  EXPECT_EQ(staged.take(base::as_bytes(std::string_view(text).substr(100))), text.size() - 100);
  ASSERT_TRUE(staged.write_to(file_));
  EXPECT_EQ(content(5'000, text.size()), text);
  EXPECT_EQ(direct_bytes_, (5'000 + text.size()) / 4096 * 4096 - 8192);
}

TEST_F(StagedBytesTest, LittleGoesThroughTheCache) {
  const std::string text = random_text(random_, 100'000);
  StagedBytes staged;
  staged.begin(0);
  staged.take(base::as_bytes(text));
  ASSERT_TRUE(staged.write_to(file_));
  EXPECT_EQ(content(0, text.size()), text);
  EXPECT_EQ(direct_bytes_, 0U);
}

TEST_F(StagedBytesTest, ItEndsAtAMultipleOfItsSize) {
  const std::string text = random_text(random_, kMax);
  StagedBytes staged;
  staged.begin(3 * kMax - 10);
  EXPECT_EQ(staged.take(base::as_bytes(text)), 10U);
  EXPECT_EQ(staged.take(base::as_bytes(text)), 0U);
  ASSERT_TRUE(staged.write_to(file_));
  EXPECT_EQ(content(3 * kMax - 10, 100), text.substr(0, 10));
  staged.begin(3 * kMax);
  EXPECT_EQ(staged.take(base::as_bytes(text)), kMax);
  ASSERT_TRUE(staged.write_to(file_));
  EXPECT_EQ(content(3 * kMax, kMax), text);
}

TEST_F(StagedBytesTest, ADeviceWithLargerBlocksIsWrittenThroughTheCache) {
  go_directly(EINVAL);
  const std::string text = random_text(random_, kMax);
  StagedBytes staged;
  staged.begin(0);
  staged.take(base::as_bytes(text));
  ASSERT_TRUE(staged.write_to(file_));
  EXPECT_EQ(content(0, kMax), text);
  EXPECT_EQ(file_.direct, nullptr);
}

TEST_F(StagedBytesTest, AFailureOfTheDeviceIsOne) {
  go_directly(EIO);
  const std::string text = random_text(random_, kMax);
  StagedBytes staged;
  staged.begin(0);
  staged.take(base::as_bytes(text));
  EXPECT_EQ(staged.write_to(file_).error().os_errno, EIO);
}

TEST_F(StagedBytesTest, AnyCutsAtAnyPlaceComeToTheSameBytes) {
  for (int round = 0; round < 50; ++round) {
    const std::uint64_t offset = random_() % (2 * kMax);
    const std::string text = random_text(random_, 1 + random_() % kMax);
    std::string_view rest = text;
    std::uint64_t at = offset;
    StagedBytes staged;
    while (!rest.empty()) {
      staged.begin(at);
      std::size_t count = 0;
      do {
        const std::string_view piece = rest.substr(0, 1 + random_() % 200'000);
        count = staged.take(base::as_bytes(piece));
        rest.remove_prefix(count);
        at += count;
      } while (count > 0 && !rest.empty());
      ASSERT_TRUE(staged.write_to(file_));
    }
    ASSERT_EQ(content(offset, text.size()), text) << "round " << round;
  }
}

}  // namespace
}  // namespace standfast::store

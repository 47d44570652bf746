#include "env/read_ahead.h"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace standfast::env {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

class NotingFile final : public File {
 public:
  base::Result<void> write_at(std::uint64_t, base::Bytes) override { return base::ok(); }
  base::Result<std::size_t> read_at(std::uint64_t, std::span<std::byte>) override { return std::size_t{0}; }
  base::Result<void> truncate(std::uint64_t) override { return base::ok(); }
  void start_writeback(std::uint64_t, std::uint64_t) override {}
  void start_reading(std::uint64_t offset, std::uint64_t length_bytes) override {
    asked_.emplace_back(offset, offset + length_bytes);
  }
  base::Result<void> sync_data() override { return base::ok(); }
  base::Result<void> sync() override { return base::ok(); }
  base::Result<void> close() override { return base::ok(); }

  std::vector<std::pair<std::uint64_t, std::uint64_t>> asked_;
};

TEST(ReadAhead, AsksForEachByteOnceAndInTime) {
  NotingFile file;
  ReadAhead ahead;
  for (std::uint64_t at = 0; at < 64 * kMiB; at += kMiB) {
    ahead.went_on(file, at, at + kMiB);
    ASSERT_GE(file.asked_.back().second, at + 3 * kMiB);
  }
  std::uint64_t until = kMiB;
  for (const auto& [from, to] : file.asked_) {
    EXPECT_EQ(from, until);
    EXPECT_GE(to - from, 2 * kMiB);
    until = to;
  }
}

TEST(ReadAhead, BeginsAnewElsewhere) {
  NotingFile file;
  ReadAhead ahead;
  ahead.went_on(file, 0, kMiB);
  ahead.went_on(file, 100 * kMiB, 101 * kMiB);
  EXPECT_EQ(file.asked_.back().first, 101 * kMiB);
  ahead.went_on(file, 0, kMiB);
  EXPECT_EQ(file.asked_.back().first, kMiB);
}

}  // namespace
}  // namespace standfast::env

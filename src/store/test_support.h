// For tests: folders of WAL in a simulated file system.
#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "env/simulated_disk.h"
#include "pg/format/wal_file.h"
#include "store/packing.h"
#include "store/wal_folder.h"
#include "wal/wal_builder.h"

namespace standfast::store::testing {

inline constexpr std::uint64_t kSegment = std::uint64_t{1} << 20U;
inline constexpr const char* kFolder = "/wal";

template <typename T>
T must(base::Result<T> result) {
  if (!result) ADD_FAILURE() << result.error().message;
  return std::move(result).value();
}
inline void must(const base::Result<void>& result) {
  if (!result) ADD_FAILURE() << result.error().message;
}

inline void write_file(env::FileSystem& files, const std::string& path, std::string_view content) {
  auto file = must(files.create(path, 0600, env::OnExisting::kReplace));
  must(file->write_at(0, base::as_bytes(content)));
  must(file->sync());
  must(files.sync_directory(env::parent_of(path)));
}
inline std::string read_file(env::FileSystem& files, const std::string& path) {
  return must(env::read_whole_file(files, path, 4 * kSegment));
}
inline bool exists(env::FileSystem& files, const std::string& path) {
  return must(files.inspect(path)).has_value();
}
inline void change_byte(env::FileSystem& files, const std::string& path, std::uint64_t offset) {
  std::string content = read_file(files, path);
  content[offset] = static_cast<char>(content[offset] ^ 1);
  write_file(files, path, content);
}

inline std::string packed(std::string_view content, SegmentForm form) {
  std::string out;
  must(make_packer({.form = form}, content.size())->pack(base::as_bytes(content), Packer::Part::kLast, out));
  return out;
}

inline std::string path_of(const SegmentEntry& entry) {
  return std::string(kFolder) + "/" + segment_file_name(entry, kSegment);
}
inline std::string path_of(const wal::testing::WalBuilder& wal, std::uint64_t number,
                           SegmentForm form = SegmentForm::kWhole) {
  return path_of({wal.timeline(), wal.start() + number * kSegment, form});
}
/// The n-th segment of some WAL, in a form.
inline void put_segment(env::FileSystem& files, const wal::testing::WalBuilder& wal, std::uint64_t number,
                        SegmentForm form = SegmentForm::kWhole) {
  const std::string content = wal.segment(wal.start() + number * kSegment);
  const bool is_packed = form == SegmentForm::kLz4 || form == SegmentForm::kZstd;
  write_file(files, path_of(wal, number, form), is_packed ? packed(content, form) : content);
}

/// Records of many sizes, over so many whole segments, and some of the next one.
inline wal::testing::WalBuilder some_wal(std::uint64_t segments, std::uint64_t seed = 1) {
  wal::testing::WalBuilder wal({.segment_bytes = kSegment});
  std::mt19937_64 random(seed);
  wal::testing::WalBuilder::Weights weights;
  weights.segment_switch = 0;
  while (wal.end().bytes_since(wal.start()) < segments * kSegment + 3 * 8192)
    wal.append_random(random, weights);
  return wal;
}

class WalFolderTest : public ::testing::Test {
 protected:
  void SetUp() override { must(files_.make_directory(kFolder, 0700)); }
  env::testing::SimulatedDisk files_;
};

}  // namespace standfast::store::testing

#include "pg/format/tar_reader.h"

#include <gtest/gtest.h>

#include "pg/format/tar_test_support.h"

namespace standfast::pg {
namespace {

using base::Result;
using namespace testing;  // NOLINT: the archives of tar_test_support.h

/// Writes down what it is given, and that the calls come in their order.
class Recorder final : public TarHandler {
 public:
  Result<void> begin_entry(const TarEntry& entry) override {
    EXPECT_FALSE(open_);
    open_ = true;
    left_bytes_ = entry.size_bytes;
    log += fmt::format("{}{} {:o} {}",
                       entry.kind == TarEntryKind::kFile        ? 'f'
                       : entry.kind == TarEntryKind::kDirectory ? 'd'
                                                                : 'l',
                       entry.path, entry.mode, entry.link_target);
    return base::ok();
  }
  Result<void> entry_bytes(base::Bytes bytes) override {
    EXPECT_TRUE(open_);
    EXPECT_LE(bytes.size(), left_bytes_);
    left_bytes_ -= bytes.size();
    log += base::as_text(bytes);
    return base::ok();
  }
  Result<void> end_entry() override {
    EXPECT_TRUE(open_);
    EXPECT_EQ(left_bytes_, 0U);
    open_ = false;
    log += "\n";
    return base::ok();
  }

  std::string log;

 private:
  bool open_ = false;
  std::uint64_t left_bytes_ = 0;
};

Result<std::string> read_in_pieces(const std::string& archive, std::size_t piece_bytes) {
  Recorder recorder;
  TarReader reader(recorder);
  for (std::size_t at = 0; at < archive.size(); at += piece_bytes) {
    TRY(reader.push(base::as_bytes(std::string_view(archive).substr(at, piece_bytes))));
  }
  TRY(reader.finish());
  return recorder.log;
}

const std::string kArchive = tar_file("backup_label", "START") + tar_directory("./pg_wal/archive_status") +
                             tar_file("base/1/112", "") + tar_symlink("pg_tblspc/16385", "/mnt/ts") +
                             tar_file("base/1/1259", std::string(512, 'x')) +
                             tar_file("global/pg_control", std::string(700, 'c'));
const std::string kLog =
    "fbackup_label 600 START\ndpg_wal/archive_status 700 \nfbase/1/112 600 \n"
    "lpg_tblspc/16385 777 /mnt/ts\nfbase/1/1259 600 " +
    std::string(512, 'x') + "\nfglobal/pg_control 600 " + std::string(700, 'c') + "\n";

TEST(TarReader, PiecesOfAnySizeGiveTheSame) {
  for (std::size_t piece_bytes = 1; piece_bytes <= 1100; ++piece_bytes) {
    const auto log = read_in_pieces(kArchive + std::string(1024, '\0'), piece_bytes);
    ASSERT_TRUE(log) << log.error().message;
    ASSERT_EQ(*log, kLog) << piece_bytes;
  }
}

TEST(TarReader, TheZeroBlocksAtTheEndMayBeMissing) {
  EXPECT_EQ(*read_in_pieces(kArchive, 32768), kLog);
}

TEST(TarReader, AnArchiveCutOffAnywhereButBetweenEntriesIsRefused) {
  std::size_t accepted = 0;
  for (std::size_t length = 0; length <= kArchive.size(); ++length) {
    if (read_in_pieces(kArchive.substr(0, length), 4096)) ++accepted;
  }
  EXPECT_EQ(accepted, 7U);  // before each of six entries and at the end
}

TEST(TarReader, AnyFlippedBitInAHeaderIsNoticed) {
  const std::string good = tar_file("base/1/1259", "content");
  for (std::size_t bit = 0; bit < 512 * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(static_cast<unsigned char>(bad[bit / 8]) ^ (1U << (bit % 8)));
    const auto log = read_in_pieces(bad, 512);
    // The blank after a number carries nothing.
    if (log) {
      EXPECT_EQ(*log, "fbase/1/1259 600 content\n") << bit;
    }
  }
}

TEST(TarReader, SizesPastEightGibibytesAreReadInBase256) {
  class SizeOnly final : public TarHandler {
   public:
    Result<void> begin_entry(const TarEntry& entry) override {
      size_bytes = entry.size_bytes;
      return base::ok();
    }
    Result<void> entry_bytes(base::Bytes) override { return base::ok(); }
    Result<void> end_entry() override { return base::ok(); }
    std::uint64_t size_bytes = 0;
  };
  for (const std::uint64_t size :
       {(std::uint64_t{1} << 33U) - 1, std::uint64_t{1} << 33U, std::uint64_t{0x1234'5678'9ABC}}) {
    SizeOnly handler;
    TarReader reader(handler);
    ASSERT_TRUE(reader.push(base::as_bytes(tar_header({.path = "base/5/16385", .size_bytes = size}))));
    EXPECT_EQ(handler.size_bytes, size);
    EXPECT_FALSE(reader.finish());
  }
}

TEST(TarReader, PathsThatLeaveTheFolderAreRefused) {
  for (const char* path : {"/etc/passwd", "../x", "base/../../x", "base//1", "base/.", "..", ".", "./", "",
                           "./../x", "base/.."}) {
    const auto log = read_in_pieces(tar_file(path, "x"), 512);
    ASSERT_FALSE(log) << path;
    EXPECT_EQ(log.error().code, base::ErrorCode::kProtocol);
  }
  EXPECT_TRUE(read_in_pieces(tar_file("base/..x/...", "x"), 512));
}

TEST(TarReader, KindsPostgresDoesNotSendAreRefused) {
  for (const char kind : {'1', '3', '4', '6', 'x', 'g', 'L'}) {
    EXPECT_FALSE(read_in_pieces(tar_header({.path = "x", .kind = kind}), 512)) << kind;
  }
  EXPECT_FALSE(read_in_pieces(tar_header({.path = "x", .kind = '2'}), 512)) << "a link that points nowhere";
  EXPECT_FALSE(read_in_pieces(tar_header({.path = "x/", .kind = '5', .size_bytes = 1}), 512));
}

TEST(TarReader, NothingMayFollowTheEnd) {
  EXPECT_FALSE(read_in_pieces(kArchive + std::string(1024, '\0') + "x", 100));
}

TEST(TarReader, AnErrorOfTheHandlerEndsIt) {
  class Full final : public TarHandler {
   public:
    Result<void> begin_entry(const TarEntry&) override { return base::ok(); }
    Result<void> entry_bytes(base::Bytes) override { return base::Error(base::ErrorCode::kDiskFull, "full"); }
    Result<void> end_entry() override { return base::ok(); }
  };
  Full handler;
  TarReader reader(handler);
  const auto pushed = reader.push(base::as_bytes(kArchive));
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().code, base::ErrorCode::kDiskFull);
}

}  // namespace
}  // namespace standfast::pg

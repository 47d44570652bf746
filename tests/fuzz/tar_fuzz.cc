// Archives: no input leaves the folder, a file gets exactly the bytes its header announced, and the pieces
// the bytes come in make no difference. A header's sum is put right first, or no input would get past it.
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "fuzz_input.h"
#include "pg/format/tar_reader.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;

constexpr std::size_t kSumOffset = 148;
constexpr std::size_t kSumBytes = 8;

class Checker final : public pg::TarHandler {
 public:
  base::Result<void> begin_entry(const pg::TarEntry& entry) override {
    CHECK(!open_);
    open_ = true;
    left_bytes_ = entry.size_bytes;
    CHECK(!entry.path.empty() && entry.path.front() != '/' && entry.path.back() != '/');
    CHECK(("/" + entry.path + "/").find("/../") == std::string::npos);
    CHECK(("/" + entry.path + "/").find("/./") == std::string::npos);
    CHECK(entry.path.find("//") == std::string::npos);
    CHECK(entry.kind == pg::TarEntryKind::kFile || entry.size_bytes == 0);
    CHECK(entry.kind != pg::TarEntryKind::kSymlink || !entry.link_target.empty());
    log += fmt::format("{} {} {} {} {}\n", entry.path, static_cast<int>(entry.kind), entry.size_bytes,
                       entry.mode, entry.link_target);
    return base::ok();
  }
  base::Result<void> entry_bytes(base::Bytes bytes) override {
    CHECK(open_ && bytes.size() <= left_bytes_ && !bytes.empty());
    left_bytes_ -= bytes.size();
    log += base::as_text(bytes);
    return base::ok();
  }
  base::Result<void> end_entry() override {
    CHECK(open_ && left_bytes_ == 0);
    open_ = false;
    return base::ok();
  }
  std::string log;

 private:
  bool open_ = false;
  std::uint64_t left_bytes_ = 0;
};

/// What was understood, and whether all of it was.
std::string read_in_pieces(std::string_view archive, std::size_t piece_bytes) {
  Checker checker;
  pg::TarReader reader(checker);
  base::Result<void> result;
  for (std::size_t at = 0; at < archive.size() && result; at += piece_bytes)
    result = reader.push(base::as_bytes(archive.substr(at, piece_bytes)));
  if (result) result = reader.finish();
  return checker.log + (result ? "whole" : result.error().message);
}

void put_sum_right(std::string& archive, std::size_t at) {
  std::memset(archive.data() + at + kSumOffset, ' ', kSumBytes);
  unsigned sum = 0;
  for (std::size_t i = 0; i < pg::kTarBlockBytes; ++i) sum += static_cast<unsigned char>(archive[at + i]);
  const std::string digits = fmt::format("{:07o} ", sum);
  archive.replace(at + kSumOffset, kSumBytes, digits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string archive(standfast::fuzz::as_text(data + 1, size - 1));
  for (std::size_t at = 0; at + pg::kTarBlockBytes <= archive.size(); at += pg::kTarBlockBytes) {
    // Blocks that look like headers; others are content.
    if (archive.compare(at + 257, 5, "ustar") == 0) put_sum_right(archive, at);
  }
  const std::string whole = read_in_pieces(archive, archive.size() + 1);
  CHECK(read_in_pieces(archive, 1U + data[0] * 3U) == whole);
  CHECK(read_in_pieces(archive, 1) == whole);
  return 0;
}

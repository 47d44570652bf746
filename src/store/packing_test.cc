#include "store/packing.h"

#include <random>

#include <gmock/gmock.h>
#include <zlib.h>

#include "store/segment_source.h"
#include "store/test_support.h"

namespace standfast::store {
namespace {

using namespace testing;
using ::testing::HasSubstr;

TEST(Packing, TakesPgReceivewalsWords) {
  EXPECT_FALSE(must(parse_packing("none")));
  EXPECT_FALSE(must(parse_packing("0")));
  EXPECT_EQ(must(parse_packing("lz4"))->form, SegmentForm::kLz4);
  EXPECT_EQ(must(parse_packing("zstd"))->level, 0);
  EXPECT_EQ(must(parse_packing("zstd:7"))->level, 7);
  EXPECT_EQ(must(parse_packing("lz4:level=9"))->level, 9);
}

TEST(Packing, RefusesTheRest) {
  for (const char* text : {"", "gzip", "gzip:5", "5", "lz4:", "lz4:0", "lz4:13", "zstd:20", "zstd:x",
                           "zstd:3x", "zstd:workers=2", "LZ4", "bzip2"}) {
    const auto parsed = parse_packing(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, base::ErrorCode::kUsage);
    EXPECT_FALSE(parsed.error().hint.empty());
  }
  EXPECT_THAT(parse_packing("gzip").error().hint, HasSubstr("lz4 or zstd"));
}

std::string gzipped(std::string_view content) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class PackedSegment : public WalFolderTest, public ::testing::WithParamInterface<SegmentForm> {
 protected:
  const std::string path_ = std::string(kFolder) + "/packed";
  const std::string content_ = some_wal(1).segment(some_wal(1).start());

  std::string pack(std::string_view content) const {
    return GetParam() == SegmentForm::kGzip ? gzipped(content) : packed(content, GetParam());
  }
  base::Result<std::string> read(const std::string& packed_bytes, std::size_t chunk_bytes = 100'000) {
    write_file(files_, path_, packed_bytes);
    const auto source = TRY(open_segment_file(files_, path_, GetParam(), kSegment));
    std::string out;
    std::string chunk(chunk_bytes, '\0');
    while (const std::size_t count = TRY(source->read(std::as_writable_bytes(std::span(chunk)))))
      out.append(chunk, 0, count);
    return out;
  }
};

TEST_P(PackedSegment, ComesOutAsItWentIn) {
  const std::string bytes = pack(content_);
  EXPECT_LT(bytes.size(), content_.size());
  for (const std::size_t chunk_bytes : {std::size_t{777}, std::size_t{1} << 20U, std::size_t{5} << 20U})
    EXPECT_TRUE(must(read(bytes, chunk_bytes)) == content_);
}

TEST_P(PackedSegment, MayBeOfSeveralFrames) {
  const std::string_view all = content_;
  EXPECT_TRUE(must(read(pack(all.substr(0, 300'000)) + pack(all.substr(300'000)))) == content_);
}

TEST_P(PackedSegment, MayBeShort) {
  EXPECT_EQ(must(read(pack(content_.substr(0, 5000)))).size(), 5000U);
}

TEST_P(PackedSegment, CutAnywhereIsDamaged) {
  const std::string bytes = pack(content_);
  for (const std::size_t cut :
       {std::size_t{0}, std::size_t{1}, std::size_t{10}, bytes.size() / 2, bytes.size() - 1}) {
    const auto content = read(bytes.substr(0, cut));
    ASSERT_FALSE(content) << cut << " of " << bytes.size();
    EXPECT_EQ(content.error().code, base::ErrorCode::kDamaged);
    EXPECT_THAT(content.error().message, HasSubstr(path_));
  }
}

TEST_P(PackedSegment, WithMoreThanASegmentIsDamaged) {
  for (const std::string& more : {std::string("x"), content_}) {
    const auto content = read(pack(content_ + more));
    ASSERT_FALSE(content);
    EXPECT_THAT(content.error().message, HasSubstr("more than a segment"));
  }
  EXPECT_FALSE(read(pack(content_) + "garbage"));
}

TEST_P(PackedSegment, WithABitFlippedIsDamaged) {
  const std::string bytes = pack(content_);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    std::mt19937_64 random(seed);
    std::string damaged = bytes;
    char& byte = damaged[random() % damaged.size()];
    byte = static_cast<char>(byte ^ static_cast<char>(1U << (random() % 8)));
    const auto content = read(damaged);
    // Some bits say nothing of the content (the time in a gzip header, say).
    if (content) {
      ASSERT_TRUE(*content == content_) << "seed " << seed;
    } else {
      ASSERT_EQ(content.error().code, base::ErrorCode::kDamaged) << "seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, PackedSegment,
                         ::testing::Values(SegmentForm::kLz4, SegmentForm::kZstd, SegmentForm::kGzip));

}  // namespace
}  // namespace standfast::store

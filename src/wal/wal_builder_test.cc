#include "wal/wal_builder.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "pg/format/wal_file.h"

namespace standfast::wal::testing {
namespace {

std::string hex(std::string_view bytes) {
  return base::to_hex(base::as_bytes(bytes));
}

TEST(WalBuilder, WritesTheBytesOfARealServer) {
  // Segment 6 of a server of 15 begins with this page header, and its switch has this header.
  WalBuilder::Options options;
  options.start = pg::Lsn(0x60'0000);
  options.system_id = pg::SystemId(0x6B03'34B9'3FDD'8639U);
  options.previous = pg::Lsn(0x64'39C0);
  WalBuilder builder(options);
  builder.append({.data = "", .info = 0x40});
  EXPECT_EQ(hex(builder.bytes()),
            "10d10600010000000000600000000000000000000000000039"
            "86dd3fb934036b0000100000200000"
            "1800000000000000c03964000000000040000000bdcd69a2");
}

TEST(WalBuilder, ASwitchLeavesZerosAndNoPageHeaders) {
  WalBuilder builder({});
  builder.append({.data = "a"});
  builder.switch_segment();
  const std::size_t used = 40 + 32 + 24;
  EXPECT_EQ(builder.end(), builder.start() + builder.segment_bytes());
  EXPECT_EQ(builder.bytes().find_first_not_of('\0', used), std::string::npos);
  EXPECT_EQ(builder.record_ends().back(), builder.end());
  builder.switch_segment();
  EXPECT_EQ(builder.end(), builder.start() + builder.segment_bytes()) << "nothing to leave in a new segment";
  EXPECT_EQ(builder.append({.data = "b"}).start, builder.start() + builder.segment_bytes() + 40);
}

TEST(WalBuilder, AForkKeepsThePagesBeforeIt) {
  WalBuilder old({});
  for (int i = 0; i < 5; ++i) old.append({.data = std::string(5'000, 'x')});
  const pg::Lsn at = old.records()[2].end;
  WalBuilder forked = old.fork(at, pg::TimelineId(2));
  EXPECT_EQ(forked.end(), at);
  EXPECT_EQ(forked.bytes(), old.bytes().substr(0, forked.bytes().size()));
  forked.append({.data = std::string(20'000, 'y')});
  const auto timeline_of_page = [&](std::size_t page) { return forked.bytes()[page * 8192 + 4]; };
  EXPECT_EQ(timeline_of_page(0), 1);
  EXPECT_EQ(timeline_of_page(1), 1);
  EXPECT_EQ(timeline_of_page(2), 2);
}

TEST(WalBuilder, TheSameSeedWritesTheSame) {
  const auto build = [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    WalBuilder builder({.segment_bytes = 64U << 10U});
    for (int i = 0; i < 100; ++i) builder.append_random(random, {});
    return builder.bytes();
  };
  EXPECT_EQ(build(1), build(1));
  EXPECT_NE(build(1), build(2));
}

/// PostgreSQL's own reader judges: the records that it finds, in its words.
class PgWaldump : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* path : {"/usr/lib/postgresql/15/bin/pg_waldump", "/usr/bin/pg_waldump"})
      if (program_.empty() && std::filesystem::exists(path)) program_ = path;
    if (program_.empty()) GTEST_SKIP() << "there is no pg_waldump of PostgreSQL 15 here to read the WAL";
    char pattern[] = "/tmp/standfast-wal-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  void write_segments(const WalBuilder& builder, pg::Lsn from) {
    for (pg::Lsn at = from.segment_start(builder.segment_bytes()); at < builder.end();
         at = at + builder.segment_bytes()) {
      const std::string name = pg::wal_segment_name(builder.timeline(), at, builder.segment_bytes());
      std::ofstream(folder_ + "/" + name, std::ios::binary) << builder.segment(at);
    }
  }

  std::string read_by_pg_waldump(const WalBuilder& builder, pg::Lsn from) {
    const std::string command = program_ + " -p " + folder_ + " -t " +
                                std::to_string(builder.timeline().value()) + " -s " + from.to_string() +
                                " 2>&1";
    FILE* pipe = popen(command.c_str(), "r");
    std::string output;
    std::array<char, 4096> buffer{};
    for (std::size_t count = 0; (count = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
      output.append(buffer.data(), count);
    pclose(pipe);
    return output;
  }

  /// A line for each record: "start previous length", and one for where it ends.
  static std::vector<std::string> lines_of(const std::string& output) {
    static const std::regex kRecord(
        "len \\(rec/tot\\): +[0-9]+/ *([0-9]+), tx: +[0-9]+, lsn: ([0-9A-F/]+), prev ([0-9A-F/]+)");
    static const std::regex kEnd("invalid record length at ([0-9A-F/]+): wanted 24, got 0");
    std::vector<std::string> lines;
    std::size_t at = 0;
    while (at < output.size()) {
      const std::size_t line_end = std::min(output.find('\n', at), output.size());
      const std::string line = output.substr(at, line_end - at);
      at = line_end + 1;
      std::smatch match;
      if (std::regex_search(line, match, kRecord)) {
        lines.push_back(lsn(match[2]) + " " + lsn(match[3]) + " " + match[1].str());
      } else if (std::regex_search(line, match, kEnd)) {
        lines.push_back("end " + lsn(match[1]));
      } else {
        lines.push_back(line);
      }
    }
    return lines;
  }
  static std::string lsn(const std::string& text) { return pg::Lsn::parse(text)->to_string(); }

  /// The same of the builder, from a record whose xl_prev is `previous`.
  static std::vector<std::string> expected(const WalBuilder& builder, pg::Lsn from, pg::Lsn previous) {
    std::vector<std::string> lines;
    for (const Placed& record : builder.records()) {
      if (record.start < from) continue;
      lines.push_back(record.start.to_string() + " " + previous.to_string() + " " +
                      std::to_string(record.total_bytes));
      previous = record.start;
    }
    lines.push_back("end " + builder.end().to_string());
    return lines;
  }

  /// pg_waldump names the end where it finds zeros on a page that has begun.
  static void end_inside_a_page(WalBuilder& builder) {
    do builder.append({.data = "last"});
    while (builder.end().value() % 8192 == 0);
  }

  std::string program_;
  std::string folder_;
};

TEST_F(PgWaldump, ReadsRandomWalToItsEnd) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    std::mt19937_64 random(seed);
    WalBuilder::Options options;
    options.previous = pg::Lsn(0xFF'0000);
    if (seed % 5 == 0) options.segment_bytes = 16U << 20U;
    WalBuilder builder(options);
    WalBuilder::Weights weights;
    if (seed % 4 == 1)
      weights = {.small = 1, .pages = 0, .large = 0, .page_end = 20, .segment_switch = 1, .abandoned = 5};
    if (seed % 4 == 2) weights.large_bytes = 3'500'000;
    for (int i = 0; i < 300; ++i) builder.append_random(random, weights);
    end_inside_a_page(builder);
    write_segments(builder, builder.start());
    const auto lines = lines_of(read_by_pg_waldump(builder, builder.records()[0].start));
    const auto wanted = expected(builder, builder.start(), options.previous);
    for (std::size_t i = 0; i < std::min(lines.size(), wanted.size()); ++i)
      ASSERT_EQ(lines[i], wanted[i]) << "seed " << seed << ", record " << i;
    ASSERT_EQ(lines.size(), wanted.size()) << "seed " << seed;
    TearDown();
    std::filesystem::create_directory(folder_);
  }
}

TEST_F(PgWaldump, ReadsATimelineOverItsFork) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    std::mt19937_64 random(seed);
    WalBuilder old({});
    for (int i = 0; i < 150; ++i) old.append_random(random, {});
    const std::size_t last = 1 + random() % (old.records().size() - 1);
    const Placed before_fork = old.records()[last];
    WalBuilder builder = old.fork(before_fork.end, pg::TimelineId(2));
    for (int i = 0; i < 50; ++i) builder.append_random(random, {});
    end_inside_a_page(builder);
    write_segments(builder, before_fork.start);
    const auto lines = lines_of(read_by_pg_waldump(builder, before_fork.start));
    ASSERT_EQ(lines, expected(builder, before_fork.start, old.records()[last - 1].start)) << "seed " << seed;
    TearDown();
    std::filesystem::create_directory(folder_);
  }
}

}  // namespace
}  // namespace standfast::wal::testing

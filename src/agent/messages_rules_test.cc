#include <functional>

#include <gtest/gtest.h>

#include "agent/messages.h"
#include "agent/messages_test_support.h"

namespace standfast::agent {
namespace {

using namespace testing;
using base::Error;
using base::ErrorCode;

TEST(MessageRules, RequestsThatNobodyMayMake) {
  const ReadRange read{.length_bytes = 1};
  const auto with = [](auto message, const std::function<void(decltype(message)&)>& change) {
    change(message);
    return Request(message);
  };
  const HashRange hash{.length_bytes = 8192, .run_bytes = 8192};
  for (const Request& request : {
           Request(SignRequest{base::Secret(), "r"}),
           Request(SignRequest{base::Secret(std::string(kMaxSecretBytes + 1, 's')), "r"}),
           Request(SignRequest{base::Secret("s"), ""}),
           Request(RenewRequest{std::string(kMaxTextBytes + 1, 'r')}),
           Request(BeginBackup{"", Checkpoint::kFast}),
           Request(BeginBackup{"two\nlines", Checkpoint::kFast}),
           Request(BeginBackup{"\xFF", Checkpoint::kFast}),
           with(read, [](auto& range) { range.length_bytes = 0; }),
           with(read, [](auto& range) { range.length_bytes = kMaxRangeBytes + 1; }),
           with(read, [](auto& range) { range.offset = kMaxOffset; }),
           with(read, [](auto& range) { range.offset = ~std::uint64_t{0}; }),
           with(hash, [](auto& range) { range.length_bytes = 0; }),
           with(hash, [](auto& range) { range.run_bytes = 0; }),
           with(hash, [](auto& range) { range.run_bytes = kMinRunBytes - 1; }),
           with(hash, [](auto& range) { range.run_bytes = kMaxRangeBytes + 1; }),
           with(hash, [](auto& range) { range.length_bytes = 8192 * kMaxHashesInAnswer + 1; }),
           with(hash,
                [](auto& range) {
                  range.length_bytes = kMaxHashedBytes + 1;
                  range.run_bytes = kMaxRangeBytes;
                }),
           with(hash, [](auto& range) { range.offset = kMaxOffset - 8191; }),
       }) {
    expect_refused(check(request), std::to_string(request.index()));
  }
}

TEST(MessageRules, AnswersThatNoAgentMayGive) {
  const pg::Lsn lsn(1);
  const pg::TimelineId timeline(1);
  FileEntry long_mode = entry(1, "a");
  long_mode.mode = 04755;
  FileEntry long_file = entry(1, "a");
  long_file.size_bytes = kMaxOffset + 1;
  for (const Answer& answer : std::vector<Answer>{
           Welcome{.block_bytes = 0, .segment_blocks = 131072, .wal_segment_bytes = 1U << 24U},
           Welcome{.block_bytes = 8191, .segment_blocks = 131072, .wal_segment_bytes = 1U << 24U},
           Welcome{.block_bytes = 8192, .segment_blocks = 131072, .wal_segment_bytes = 0},
           Welcome{.block_bytes = 8192, .segment_blocks = 131072, .wal_segment_bytes = 3U << 20U},
           Welcome{.block_bytes = 8192, .segment_blocks = 0, .wal_segment_bytes = 1U << 24U},
           Welcome{.block_bytes = 8192, .segment_blocks = 1U << 31U, .wal_segment_bytes = 1U << 24U},
           SignedCertificate{"c", ""},
           BackupBegun{kHash, pg::Lsn(), timeline, {}},
           BackupBegun{kHash, lsn, pg::TimelineId(), {}},
           BackupBegun{kHash, lsn, timeline, {{16384, "relative"}}},
           BackupBegun{kHash, lsn, timeline, {{16385, "/b"}, {16384, "/a"}}},
           BackupBegun{kHash, lsn, timeline, {{0, "/a"}}},
           FileEntries{{}, false},
           FileEntries{{long_mode}, true},
           FileEntries{{long_file}, true},
           RangeBytes{.is_gone = true, .plain_bytes = 12, .bytes = base::as_bytes(kPacked)},
           RangeBytes{.plain_bytes = 11, .bytes = base::as_bytes(kPacked)},
           RangeBytes{.compression = Compression::kLz4, .plain_bytes = 12, .bytes = base::as_bytes(kPacked)},
           RangeBytes{.compression = Compression::kLz4, .plain_bytes = 12, .bytes = {}},
           RangeBytes{.compression = Compression::kLz4,
           .plain_bytes = kMaxRangeBytes + 1,
           .bytes = base::as_bytes(kPacked)},
           RangeHashes{true, 8192, {kHash}},
           RangeHashes{false, 0, {kHash}},
           RangeHashes{false, 8192, {}},
           RangeHashes{false, kMaxRangeBytes + 1, {kHash}},
           BackupEnded{lsn, timeline, "", ""},
           BackupEnded{pg::Lsn(), timeline, "l", ""},
           BackupEnded{lsn, timeline, "l", "", {{16384, "relative"}}},
           Refused{ErrorCode::kFailed, "", ""},
           Refused{ErrorCode::kFailed, "\x1B[2J", ""},
           Refused{ErrorCode::kFailed,
                   "\xC2\x9B"
                   "2J",
                   ""},
           Refused{ErrorCode::kFailed, "m", "two\nlines"},
           RevokedCertificates{std::string("a\0b", 3)},
           RevokedCertificates{std::string(kMaxRevokedListBytes + 1, 'r')},
       }) {
    expect_refused(check(answer), std::to_string(answer.index()));
  }
}

TEST(MessageRules, AnAnswerFitsWhatWasAsked) {
  const ReadRange read{.length_bytes = 13, .compression = Compression::kLz4};
  const RangeBytes packed{
      .compression = Compression::kLz4, .plain_bytes = 13, .bytes = base::as_bytes(kPacked)};
  const RangeBytes plain{.plain_bytes = 12, .bytes = base::as_bytes(kPacked)};
  EXPECT_TRUE(check_fits(read, packed));
  EXPECT_TRUE(check_fits(read, plain));
  expect_refused(check_fits({.length_bytes = 12, .compression = Compression::kLz4}, packed), "more");
  expect_refused(check_fits({.length_bytes = 13, .compression = Compression::kZstd}, packed),
                 "packed as lz4");
  expect_refused(check_fits({.length_bytes = 13}, packed), "packed");

  const HashRange hash{.length_bytes = 20'000, .run_bytes = 8192};
  EXPECT_TRUE(check_fits(hash, {false, 20'000, std::vector(3, kHash)}));
  EXPECT_TRUE(check_fits(hash, {false, 8192, {kHash}}));
  EXPECT_TRUE(check_fits(hash, {true, 0, {}}));
  expect_refused(check_fits(hash, {false, 20'001, std::vector(3, kHash)}), "more");
  expect_refused(check_fits(hash, {false, 20'000, std::vector(2, kHash)}), "too few");
  expect_refused(check_fits(hash, {false, 8192, std::vector(2, kHash)}), "too many");
}

TEST(Refusals, SayWhatTheErrorSays) {
  const Refused refused = refusal_of(Error(ErrorCode::kSlot, "the slot is \"größer\"", "Drop it."));
  EXPECT_EQ(refused, (Refused{ErrorCode::kSlot, "the slot is \"größer\"", "Drop it."}));
  const auto welcome = expect<Welcome>(Answer(refused));
  ASSERT_FALSE(welcome);
  EXPECT_EQ(welcome.error().code, ErrorCode::kSlot);
  EXPECT_EQ(welcome.error().message, refused.message);
  EXPECT_EQ(welcome.error().hint, refused.hint);
  expect_refused(expect<Welcome>(Answer(Attached{})), "an answer to something else");
  EXPECT_TRUE(expect<Attached>(Answer(Attached{})));
}

TEST(Refusals, FitTheWireWhateverTheErrorHas) {
  const std::string umlauts = [] {
    std::string text = "x";
    while (text.size() <= kMaxTextBytes) text += "ü";
    return text;
  }();
  for (const std::string& text : {std::string(), std::string("two\nlines\x1B[2J"),
                                  std::string("\xC2\x9B"
                                              "2J"),
                                  std::string("a\0b", 3), std::string("latin1 \xFC"),
                                  std::string(100'000, 'x'), umlauts, "\n" + umlauts}) {
    const Refused refused = refusal_of(Error(ErrorCode::kIo, text, text));
    EXPECT_TRUE(check(Answer(refused))) << text.substr(0, 20);
  }
  EXPECT_EQ(refusal_of(Error(ErrorCode::kIo, "two\nlines", "")).message, "two lines");
  EXPECT_EQ(refusal_of(Error(ErrorCode::kIo, "latin1 \xFC", "")).message, "latin1 ?");
  EXPECT_EQ(refusal_of(Error(ErrorCode::kIo, umlauts, "")).message.size(), kMaxTextBytes - 1);
}

}  // namespace
}  // namespace standfast::agent

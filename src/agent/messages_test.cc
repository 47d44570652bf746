#include "agent/messages.h"

#include <gtest/gtest.h>

#include "agent/messages_test_support.h"

namespace standfast::agent {
namespace {

using namespace testing;
using base::ErrorCode;

const std::string kMostBytes(kMaxRangeBytes, 'b');

std::string path_of(std::size_t size) {
  return std::string(size, 'p');
}

struct Shortest {};
struct Longest {};

/// One of each kind, in the order of the numbers, with nothing in it that may be left out.
std::vector<Request> requests(Shortest) {
  return {Hello{.system_id = pg::SystemId(7)},
          SignRequest{base::Secret("s"), "r"},
          RenewRequest{"r"},
          BeginBackup{"l", Checkpoint::kFast},
          AttachBackup{kHash},
          ListFiles{},
          ReadRange{.file = 0, .offset = 0, .length_bytes = 1},
          HashRange{.file = 0, .offset = 0, .length_bytes = 1, .run_bytes = kMinRunBytes},
          EndBackup{},
          ListRevoked{},
          LookAtSlot{"s"}};
}
std::vector<Request> requests(Longest) {
  return {Hello{0xFFFFFFFFU, pg::SystemId(~std::uint64_t{0})},
          SignRequest{base::Secret(std::string(kMaxSecretBytes, 's')), std::string(kMaxTextBytes, 'r')},
          RenewRequest{std::string(kMaxTextBytes, 'r')},
          BeginBackup{std::string(kMaxLabelBytes, 'l'), Checkpoint::kSpread},
          AttachBackup{kHash},
          ListFiles{},
          ReadRange{0xFFFFFFFFU, kMaxOffset - kMaxRangeBytes, kMaxRangeBytes, Compression::kZstd},
          HashRange{0xFFFFFFFFU, kMaxOffset - kMaxHashedBytes, kMaxHashedBytes, kMaxRangeBytes},
          EndBackup{},
          ListRevoked{},
          LookAtSlot{std::string(kMaxSlotNameBytes, 's')}};
}

std::vector<Answer> answers(Shortest) {
  return {Welcome{.block_bytes = 1024, .segment_blocks = 1, .wal_segment_bytes = 1U << 20U},
          SignedCertificate{"c", "a"},
          BackupBegun{.id = kHash, .start = pg::Lsn(1), .timeline = pg::TimelineId(1), .tablespaces = {}},
          Attached{},
          FileEntries{.is_last = true},
          RangeBytes{.is_gone = true},
          RangeHashes{.is_gone = true},
          BackupEnded{pg::Lsn(1), pg::TimelineId(1), "l", ""},
          Refused{ErrorCode::kPrecondition, "m", ""},
          RevokedCertificates{},
          SlotState{}};
}
std::vector<Answer> answers(Longest) {
  BackupBegun begun{
      .id = kHash, .start = pg::Lsn(~std::uint64_t{0}), .timeline = pg::TimelineId(~0U), .tablespaces = {}};
  for (std::uint32_t i = 1; i <= kMaxTablespaces; ++i)
    begun.tablespaces.push_back({i, "/" + path_of(kMaxPathBytes - 1)});
  const std::vector<Tablespace> tablespaces = begun.tablespaces;
  FileEntries list;
  for (std::uint32_t i = 0; i < kMaxEntriesInAnswer; ++i) {
    list.entries.push_back({.number = 1000 * i,
                            .kind = EntryKind::kFolder,
                            .tablespace_oid = 16384,
                            .mode = kMaxMode,
                            .size_bytes = kMaxOffset,
                            .modified_unix_seconds = -1,
                            .path = path_of(kMaxPathBytes)});
  }
  return {
      Welcome{1, 180000, 32768, 0x7FFFFFFFU, 1U << 30U, true, true},
      SignedCertificate{std::string(kMaxTextBytes, 'c'), std::string(kMaxTextBytes, 'a')},
      std::move(begun),
      Attached{},
      std::move(list),
      RangeBytes{.plain_bytes = kMaxRangeBytes, .bytes = base::as_bytes(kMostBytes)},
      RangeHashes{false, kMaxHashedBytes, std::vector(kMaxHashesInAnswer, kHash)},
      BackupEnded{pg::Lsn(2), pg::TimelineId(3), std::string(kMaxTextBytes, 'l'),
                  std::string(kMaxTablespaceMapBytes, 'm'), tablespaces},
      Refused{ErrorCode::kNotReplicating, std::string(kMaxTextBytes, 'm'), std::string(kMaxTextBytes, 'h')},
      RevokedCertificates{std::string(kMaxRevokedListBytes, 'r')},
      SlotState{SlotStanding::kLost, ~std::uint64_t{0}, ~std::uint64_t{0}}};
}
/// Of a kind in whose answers something varies.
std::vector<Answer> more_answers() {
  return {FileEntries{{entry(3, "base/1/1259"), entry(4, "PG_15_202209061/5/1"), entry(9, ".hidden/..more")},
                      false},
          RangeBytes{},
          RangeBytes{.compression = Compression::kLz4,
                     .plain_bytes = 13,
                     .cpu_microseconds = 0xFFFFFFFFU,
                     .waited_microseconds = 1,
                     .bytes = base::as_bytes(kPacked)},
          RangeHashes{false, 8193, {kHash, {1, 2}}}};
}

bool is_same(const Request& one, const Request& other) {
  return one == other;
}
bool is_same(const Answer& one, const Answer& other) {
  if (one.index() != other.index()) return false;
  return std::visit(
      [&](const auto& left) {
        const auto& right = std::get<std::decay_t<decltype(left)>>(other);
        if constexpr (std::is_same_v<std::decay_t<decltype(left)>, RangeBytes>) {
          return left.is_gone == right.is_gone && left.compression == right.compression &&
                 left.plain_bytes == right.plain_bytes && left.cpu_microseconds == right.cpu_microseconds &&
                 left.waited_microseconds == right.waited_microseconds &&
                 base::as_text(left.bytes) == base::as_text(right.bytes);
        } else {
          return left == right;
        }
      },
      one);
}
base::Result<Request> parse(std::string_view message, const Request&) {
  return parse_request(base::as_bytes(message));
}
base::Result<Answer> parse(std::string_view message, const Answer&) {
  return parse_answer(base::as_bytes(message));
}
Speaker speaker_of(const Request&) {
  return Speaker::kMember;
}
Speaker speaker_of(const Answer&) {
  return Speaker::kAgent;
}

std::string with_length(std::string message, std::size_t body_bytes) {
  std::string length;
  base::append_u32_be(length, static_cast<std::uint32_t>(body_bytes));
  return message.replace(1, 4, length);
}

template <typename Message>
void expect_comes_back(const Message& message) {
  ASSERT_TRUE(check(message)) << check(message).error().message;
  const std::string bytes = encode(message);
  const auto parsed = parse(bytes, message);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(is_same(*parsed, message)) << message.index();
  EXPECT_TRUE(encode(*parsed) == bytes) << message.index();
  EXPECT_LE(bytes.size(), max_message_bytes(speaker_of(message)));
  for (std::size_t size = 0; size <= kMessageHeaderBytes; ++size) {
    const auto whole = message_bytes(base::as_bytes(bytes).first(size), speaker_of(message));
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->has_value(), size == kMessageHeaderBytes);
    if (whole->has_value()) {
      EXPECT_EQ(**whole, bytes.size());
    }
  }
}

template <typename Message>
void expect_no_other_length(const Message& message) {
  const std::string bytes = encode(message);
  const std::size_t body = bytes.size() - kMessageHeaderBytes;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    expect_refused(parse(std::string_view(bytes).substr(0, size), message), "cut");
  }
  expect_refused(parse(bytes + '\0', message), "more behind it");
  for (std::size_t size = 0; size < body + 40; ++size) {
    if (size == body) continue;
    std::string other = with_length(bytes, size);
    other.resize(kMessageHeaderBytes + size);
    expect_refused(parse(other, message), "another length");
  }
}

TEST(Messages, ComeBackAsTheyWereSent) {
  for (const auto& message : requests(Shortest())) expect_comes_back(message);
  for (const auto& message : requests(Longest())) expect_comes_back(message);
  for (const auto& message : answers(Shortest())) expect_comes_back(message);
  for (const auto& message : answers(Longest())) expect_comes_back(message);
  for (const auto& message : more_answers()) expect_comes_back(message);
  EXPECT_EQ(requests(Shortest()).size(), std::variant_size_v<Request>);
  EXPECT_EQ(answers(Shortest()).size(), std::variant_size_v<Answer>);
}

TEST(Messages, EachCutAndEachOtherLengthIsRefused) {
  for (const auto& message : requests(Shortest())) expect_no_other_length(message);
  for (const auto& message : answers(Shortest())) expect_no_other_length(message);
  for (const auto& message : more_answers()) {
    // How long packed bytes are only the header says; one that is wrong shows where they are unpacked.
    const auto* range = std::get_if<RangeBytes>(&message);
    if (range == nullptr || range->compression == Compression::kNone) expect_no_other_length(message);
  }
}

template <typename Message>
void expect_bounds(const Message& shortest, const Message& longest) {
  const auto judge = [&](std::string bytes, std::size_t body_bytes) {
    bytes = with_length(std::move(bytes), body_bytes).substr(0, kMessageHeaderBytes);
    return message_bytes(base::as_bytes(bytes), speaker_of(shortest));
  };
  const std::size_t least = encode(shortest).size() - kMessageHeaderBytes;
  const std::size_t most = encode(longest).size() - kMessageHeaderBytes;
  ASSERT_TRUE(judge(encode(shortest), least));
  ASSERT_TRUE(judge(encode(shortest), most));
  if (least > 0) expect_refused(judge(encode(shortest), least - 1), "one less");
  expect_refused(judge(encode(shortest), most + 1), "one more");
  expect_refused(judge(encode(shortest), 0xFFFFFFFFU), "the most that can be said");
}

TEST(Messages, TheHeaderAloneShowsALengthThatIsOutOfBounds) {
  for (std::size_t i = 0; i < requests(Shortest()).size(); ++i) {
    expect_bounds(requests(Shortest())[i], requests(Longest())[i]);
  }
  const auto longest = answers(Longest());
  for (std::size_t i = 0; i < longest.size(); ++i) expect_bounds(answers(Shortest())[i], longest[i]);
}

TEST(Messages, AreTheBytesThatTheFormatSays) {
  using namespace std::string_literals;
  EXPECT_EQ(encode(Request(Hello{1, pg::SystemId(0x0102030405060708U)})),
            "\x01\0\0\0\x0C\0\0\0\x01\x01\x02\x03\x04\x05\x06\x07\x08"s);
  EXPECT_EQ(encode(Request(BeginBackup{"ab", Checkpoint::kSpread})),
            "\x04\0\0\0\x07\x01\0\0\0\x02"
            "ab"s);
  EXPECT_EQ(encode(Request(ListRevoked{})), "\x0A\0\0\0\0"s);
  EXPECT_EQ(encode(Request(LookAtSlot{"ab"})),
            "\x0B\0\0\0\x06\0\0\0\x02"
            "ab"s);
  EXPECT_EQ(encode(Answer(SlotState{SlotStanding::kUnreserved, 0x1000000, 0x800000})),
            "\x8B\0\0\0\x11\x02\0\0\0\0\x01\0\0\0\0\0\0\0\0\x80\0\0"s);
  EXPECT_EQ(encode(Request(ReadRange{5, 0x2000, 0x100000, Compression::kLz4})),
            "\x07\0\0\0\x11\0\0\0\x05\0\0\0\0\0\0\x20\0\0\x10\0\0\x01"s);
  EXPECT_EQ(encode(Answer(Welcome{1, 0x0249F0, 0x2000, 0x20000, 0x1000000, true, false})),
            "\x81\0\0\0\x1A\0\0\0\x01\0\x02\x49\xF0\0\0\x20\0\0\x02\0\0\0\0\0\0\x01\0\0\0\x01\0"s);
  EXPECT_EQ(encode(Answer(RevokedCertificates{"crl"})),
            "\x8A\0\0\0\x07\0\0\0\x03"
            "crl"s);
  EXPECT_EQ(encode(Answer(FileEntries{{{.number = 2,
                                        .kind = EntryKind::kFolder,
                                        .tablespace_oid = 0x4000,
                                        .mode = 0700,
                                        .size_bytes = 0,
                                        .modified_unix_seconds = -1,
                                        .path = "a"}},
                                      true})),
            "\x85\0\0\0\x27\x01\0\0\0\x01\0\0\0\x02\x01\0\0\x40\0\0\0\x01\xC0\0\0\0\0\0\0\0\0"
            "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\x01"
            "a"s);
  EXPECT_EQ(encode(Answer(RangeBytes{false, Compression::kZstd, 13, 258, 7, base::as_bytes(kPacked)})),
            "\x86\0\0\0\x1A\0\x02\0\0\0\x0D\0\0\x01\x02\0\0\0\x07packed bytes"s);
  EXPECT_EQ(encode(Answer(Refused{ErrorCode::kSlot, "no", ""})), "\x89\0\0\0\x0B\x0F\0\0\0\x02no\0\0\0\0"s);
}

TEST(Messages, AreOnlyThoseOfTheirSpeaker) {
  for (int kind = 0; kind < 256; ++kind) {
    const std::string first(1, static_cast<char>(kind));
    const auto may = [&](Speaker speaker) {
      return message_bytes(base::as_bytes(first), speaker).has_value();
    };
    EXPECT_EQ(may(Speaker::kStranger), kind == 0x01 || kind == 0x02) << kind;
    EXPECT_EQ(may(Speaker::kMember), kind >= 0x01 && kind <= 0x0B) << kind;
    EXPECT_EQ(may(Speaker::kAgent), kind >= 0x81 && kind <= 0x8B) << kind;
  }
  expect_refused(parse_request(base::as_bytes(encode(Answer(Attached{})))), "an answer for a request");
  expect_refused(parse_answer(base::as_bytes(encode(Request(ListFiles{})))), "a request for an answer");
}

TEST(Messages, AStrangersBufferIsSmall) {
  EXPECT_LT(max_message_bytes(Speaker::kStranger), std::size_t{17} << 10U);
  EXPECT_LT(max_message_bytes(Speaker::kMember), std::size_t{17} << 10U);
  EXPECT_LT(max_message_bytes(Speaker::kAgent), std::size_t{5} << 20U);
}

/// With one byte of a good message replaced.
template <typename Message>
void expect_byte_counts(const Message& message, std::size_t at, std::vector<int> refused, int taken) {
  std::string bytes = encode(message);
  for (const int value : refused) {
    bytes[at] = static_cast<char>(value);
    expect_refused(parse(bytes, message), std::to_string(value));
  }
  bytes[at] = static_cast<char>(taken);
  EXPECT_TRUE(parse(bytes, message)) << at;
}

TEST(Messages, ValuesThatDoNotExistAreRefused) {
  expect_byte_counts(requests(Shortest())[3], 5, {2, 255}, 1);              // checkpoint
  expect_byte_counts(requests(Shortest())[6], 21, {3, 255}, 2);             // compression
  expect_byte_counts(answers(Shortest())[0], 29, {2, 255}, 1);              // has_page_checksums
  expect_byte_counts(answers(Shortest())[4], 5, {2, 0}, 1);                 // is_last, where there is nothing
  expect_byte_counts(more_answers()[0], 5, {2, 255}, 1);                    // is_last
  expect_byte_counts(more_answers()[0], 14, {2, 255}, 1);                   // the first entry's kind
  expect_byte_counts(more_answers()[1], 5, {2, 255}, 1);                    // is_gone
  expect_byte_counts(more_answers()[2], 6, {0, 3, 255}, 2);                 // compression
  expect_byte_counts(answers(Shortest())[8], 5, {0, 22, 29, 38, 255}, 37);  // an error's number
}

TEST(Messages, APathOfTheListStaysBeneathItsFolder) {
  for (const char* path : {"a", "base/1/1259", "...", "..a", ".a/b.", "a b\n", "\xFF"})
    EXPECT_TRUE(is_path_beneath(path)) << path;
  for (const char* path :
       {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b"}) {
    EXPECT_FALSE(is_path_beneath(path)) << path;
  }
  EXPECT_FALSE(is_path_beneath(std::string_view("a\0b", 3)));
  EXPECT_TRUE(is_path_beneath(path_of(kMaxPathBytes)));
  EXPECT_FALSE(is_path_beneath(path_of(kMaxPathBytes + 1)));

  const std::string good = encode(Answer(FileEntries{{entry(1, "ab/cd")}, true}));
  ASSERT_TRUE(parse_answer(base::as_bytes(good)));
  using namespace std::string_literals;
  for (const std::string& path : {"/b/cd"s, "../cd"s, "ab/.."s, "ab//d"s, "ab/c/"s, "./bcd"s, "ab/c\0"s}) {
    std::string bad = good;
    bad.replace(bad.size() - path.size(), path.size(), path);
    expect_refused(parse_answer(base::as_bytes(bad)), path);
  }
}

TEST(Messages, NumbersOfFilesAscend) {
  std::string bytes = encode(Answer(FileEntries{{entry(1, "a"), entry(2, "b")}, true}));
  const std::size_t second = bytes.size() - (4 + 1 + 4 + 4 + 8 + 8 + 4 + 1) + 3;
  for (const char number : {'\0', '\1'}) {
    bytes[second] = number;
    expect_refused(parse_answer(base::as_bytes(bytes)), "a number again");
  }
  bytes[second] = '\3';
  EXPECT_TRUE(parse_answer(base::as_bytes(bytes)));
}

TEST(Messages, ACountThatLiesTakesNoMemory) {
  std::string bytes = encode(more_answers()[0]);
  bytes.replace(6, 4, "\xFF\xFF\xFF\xFF");
  expect_refused(parse_answer(base::as_bytes(bytes)), "entries");
  bytes = encode(more_answers()[3]);
  bytes.replace(14, 4, "\xFF\xFF\xFF\xFF");
  expect_refused(parse_answer(base::as_bytes(bytes)), "hashes");
}

TEST(MessagesDeathTest, WhatMayNotBeSaidIsNotEncoded) {
  EXPECT_DEATH(encode(Answer(FileEntries{{entry(1, "../a")}, true})), "check");
  EXPECT_DEATH(encode_front({.plain_bytes = 1}), "problem_of");
}

TEST(Messages, ARangeIsItsFrontAndThenTheBytesWhereTheyLie) {
  for (const Answer& answer :
       {more_answers()[1], more_answers()[2], answers(Longest())[5], answers(Shortest())[5]}) {
    const auto& range = std::get<RangeBytes>(answer);
    const auto front = encode_front(range);
    EXPECT_TRUE(std::string(base::as_text(front)) + std::string(base::as_text(range.bytes)) ==
                encode(answer));
  }
  const std::string bytes = encode(more_answers()[2]);
  const auto parsed = parse_answer(base::as_bytes(bytes));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<RangeBytes>(*parsed).bytes.data(), base::as_bytes(bytes).data() + kRangeFrontBytes);
}

}  // namespace
}  // namespace standfast::agent

#include "pg/format/frontend_message.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

using namespace std::string_view_literals;  // texts with zero bytes in them

std::string packet(std::uint32_t code, std::string_view rest = "") {
  std::string bytes;
  base::append_u32_be(bytes, static_cast<std::uint32_t>(8 + rest.size()));
  base::append_u32_be(bytes, code);
  return bytes + std::string(rest);
}
std::string typed(char kind, std::string_view body) {
  std::string bytes(1, kind);
  base::append_u32_be(bytes, static_cast<std::uint32_t>(4 + body.size()));
  return bytes + std::string(body);
}

TEST(FrontendFramer, EveryCutGivesTheSameMessages) {
  const std::string sent = typed('Q', "IDENTIFY_SYSTEM\0"sv) + typed('S', "") + typed('d', "rest");
  for (std::size_t piece = 1; piece <= sent.size(); ++piece) {
    FrontendFramer framer;
    framer.expect(FrontendPhase::kCommands);
    std::string got;
    for (std::size_t at = 0; at < sent.size(); at += piece) {
      const std::string bytes = sent.substr(at, piece);
      base::Bytes input = base::as_bytes(bytes);
      for (;;) {
        const auto message = framer.take(input);
        ASSERT_TRUE(message);
        if (!*message) break;
        got += (*message)->kind + std::string(base::as_text((*message)->body)) + "|";
      }
      EXPECT_TRUE(input.empty());
    }
    EXPECT_EQ(got, "QIDENTIFY_SYSTEM\0|S|drest|"sv) << piece;
    EXPECT_TRUE(framer.is_between_messages());
  }
}

TEST(FrontendFramer, NoByteAfterTheMessageIsTaken) {
  const std::string sent = packet(80877103) + "\x16\x03\x01";
  FrontendFramer framer;
  base::Bytes input = base::as_bytes(sent);
  const auto message = framer.take(input);
  ASSERT_TRUE(message && *message);
  EXPECT_EQ(base::as_text(input), "\x16\x03\x01");
}

TEST(FrontendFramer, AMillionByteStartupPacketIsRefusedAfterFourBytes) {
  for (const std::string_view length :
       {"\x00\x0f\x42\x40"sv, "\x00\x00\x00\x07"sv, "\xff\xff\xff\xff"sv, "\x00\x00\x27\x15"sv}) {
    FrontendFramer framer;
    base::Bytes three = base::as_bytes(length.substr(0, 3));
    const auto wait = framer.take(three);
    ASSERT_TRUE(wait);
    EXPECT_FALSE(*wait);
    base::Bytes fourth = base::as_bytes(length.substr(3));
    const auto refused = framer.take(fourth);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::ErrorCode::kProtocol);
    EXPECT_LE(framer.held_bytes(), 4U);
  }
  FrontendFramer framer;  // PostgreSQL's longest is taken
  base::Bytes longest = base::as_bytes("\x00\x00\x27\x14"sv);
  EXPECT_TRUE(framer.take(longest));
}

TEST(FrontendFramer, EachPhaseHasItsBound) {
  for (const auto phase :
       {FrontendPhase::kAuthentication, FrontendPhase::kCommands, FrontendPhase::kStreaming}) {
    for (const std::size_t beyond : {0U, 1U}) {
      FrontendFramer framer;
      framer.expect(phase);
      const std::string sent = typed('d', std::string(max_frontend_body_bytes(phase) + beyond, 'x'));
      base::Bytes input = base::as_bytes(sent);
      EXPECT_EQ(framer.take(input).has_value(), beyond == 0);
      EXPECT_LE(framer.held_bytes(), max_frontend_body_bytes(phase) + 5);
    }
  }
}

TEST(FrontendFramer, AnUnknownKindIsRefusedAtItsFirstByte) {
  FrontendFramer framer;
  framer.expect(FrontendPhase::kCommands);
  base::Bytes input = base::as_bytes("?");
  const auto refused = framer.take(input);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "invalid frontend message type 63");
  EXPECT_EQ(refused.error().sqlstate, "08P01");
}

TEST(FrontendFramer, ALengthBelowItsOwnIsRefused) {
  FrontendFramer framer;
  framer.expect(FrontendPhase::kStreaming);
  base::Bytes input = base::as_bytes("d\x00\x00\x00\x03"sv);
  EXPECT_FALSE(framer.take(input));
}

base::Result<StartupPacket> parse_packet(std::uint32_t code, std::string_view rest = "") {
  const std::string bytes = packet(code, rest).substr(4);
  return parse_startup_packet(base::as_bytes(bytes));
}

TEST(StartupPacket, RequestsAreKnownByTheirCode) {
  EXPECT_TRUE(std::holds_alternative<SslRequest>(*parse_packet(80877103)));
  EXPECT_TRUE(std::holds_alternative<GssEncryptionRequest>(*parse_packet(80877104)));
  EXPECT_TRUE(std::holds_alternative<CancelRequest>(*parse_packet(80877102, "12345678")));
}

TEST(StartupPacket, TheLastOfAParameterCounts) {
  const auto parsed = parse_packet(196608, "user\0a\0replication\0true\0user\0b\0_pq_.compress\0on\0\0"sv);
  ASSERT_TRUE(parsed);
  const auto& startup = std::get<StartupMessage>(*parsed);
  EXPECT_EQ(startup.minor_version, 0);
  EXPECT_EQ(startup.find("user"), "b");
  EXPECT_EQ(startup.find("replication"), "true");
  EXPECT_FALSE(startup.find("database"));
  EXPECT_EQ(startup.protocol_options, std::vector<std::string>{"_pq_.compress"});
}

TEST(StartupPacket, ALaterMinorVersionIsTakenAnotherMajorOneIsNot) {
  EXPECT_EQ(std::get<StartupMessage>(*parse_packet(196610, "user\0a\0\0"sv)).minor_version, 2);
  for (const std::uint32_t code : {131072U, 262144U, 0U}) {
    const auto refused = parse_packet(code, "user\0a\0\0"sv);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().sqlstate, "0A000");
  }
}

TEST(StartupPacket, TheTerminatorIsTheLastByte) {
  for (const std::string_view rest :
       {""sv, "user"sv, "user\0"sv, "user\0a"sv, "user\0a\0"sv, "user\0a\0\0x"sv, "user\0a\0\0\0"sv}) {
    const auto refused = parse_packet(196608, rest);
    ASSERT_FALSE(refused) << rest.size();
    EXPECT_EQ(refused.error().sqlstate, "08P01");
  }
  EXPECT_TRUE(parse_packet(196608, "\0"sv));
}

TEST(Query, IsOneStringToItsEnd) {
  EXPECT_EQ(*parse_query(base::as_bytes("SHOW x\0"sv)), "SHOW x");
  EXPECT_FALSE(parse_query(base::as_bytes("SHOW x")));
  EXPECT_FALSE(parse_query(base::as_bytes("a\0b\0"sv)));
  EXPECT_FALSE(parse_query({}));
}

TEST(SaslInitialResponse, ItsDataHasItsLengthOrIsAbsent) {
  const auto parsed = parse_sasl_initial_response(base::as_bytes("SCRAM-SHA-256\0\0\0\0\3n,,"sv));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->mechanism, "SCRAM-SHA-256");
  EXPECT_EQ(base::as_text(*parsed->data), "n,,");
  const auto absent = parse_sasl_initial_response(base::as_bytes("X\0\xff\xff\xff\xff"sv));
  ASSERT_TRUE(absent);
  EXPECT_FALSE(absent->data);
  for (const std::string_view bad :
       {""sv, "X"sv, "X\0\0\0\0"sv, "X\0\0\0\0\2a"sv, "X\0\0\0\0\1ab"sv, "X\0\xff\xff\xff\xff!"sv}) {
    EXPECT_FALSE(parse_sasl_initial_response(base::as_bytes(bad))) << bad.size();
  }
}

TEST(StandbyMessage, AStatusSaysWhatWasEncoded) {
  const std::string bytes = encode_standby_status({Lsn(7), Lsn(6), Lsn(5), 42, ReplyRequest::kYes});
  const auto parsed = parse_standby_message(base::as_bytes(bytes));
  ASSERT_TRUE(parsed);
  const auto& status = std::get<StandbyStatus>(*parsed);
  EXPECT_EQ(status.write, Lsn(7));
  EXPECT_EQ(status.flush, Lsn(6));
  EXPECT_EQ(status.apply, Lsn(5));
  EXPECT_EQ(status.sent_at_pg_microseconds, 42);
  EXPECT_EQ(status.reply_request, ReplyRequest::kYes);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(parse_standby_message(base::as_bytes(bytes.substr(0, length)))) << length;
  }
}

TEST(StandbyMessage, FeedbackSaysWhatWasEncoded) {
  const HotStandbyFeedback feedback{42, 1000, 1, 990, 1};
  const std::string bytes = encode_hot_standby_feedback(feedback);
  EXPECT_EQ(base::to_hex(base::as_bytes(bytes)), "68000000000000002a000003e800000001000003de00000001");
  const auto parsed = parse_standby_message(base::as_bytes(bytes));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<HotStandbyFeedback>(*parsed), feedback);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(parse_standby_message(base::as_bytes(bytes.substr(0, length)))) << length;
  }
  EXPECT_FALSE(parse_standby_message(base::as_bytes("p12345678")));
}

}  // namespace
}  // namespace standfast::pg

#include "pg/format/token.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace standfast::pg {
namespace {

using base::ErrorCode;
using base::Secret;

Token example() {
  Token token;
  token.host = "10.20.20.1";
  token.port = 5433;
  token.replication_user = "replicator";
  token.replication_password = Secret("hunter2 \"quoted\" \xC3\xA9");
  token.slot = "pgstandby1";
  token.system_id = SystemId(18446744073709551615ULL);
  token.monitor_user = "standfast_monitor";
  token.monitor_password = Secret("swordfish");
  token.monitor_database = "standfast";
  token.certificate_sha256 = std::string(64, 'a');
  return token;
}

/// A token whose checksum holds over whatever json.
std::string sealed(std::string_view json) {
  const std::string body = "standfast1." + base::to_base64url(json);
  base::Crc32c crc;
  crc.update(base::as_bytes(body));
  return fmt::format("{}.{:08x}", body, crc.value());
}

TEST(Token, WitnessHasNoMonitorInItAndComesBackAsOne) {
  Token token = example();
  token.kind = TokenKind::kWitness;
  EXPECT_FALSE(encode_token(token)) << "a password too many";
  token.monitor_user = token.monitor_database = "";
  token.monitor_password = Secret();
  const auto encoded = encode_token(token);
  ASSERT_TRUE(encoded);
  EXPECT_EQ(decode_token(encoded->reveal()).value(), token);
}

TEST(Token, KindThatIsNotKnownIsOfANewerVersion) {
  const auto refused = decode_token(sealed(
      R"({"v":1,"h":"a","p":1,"u":"r","w":"x","s":"s","i":"7","k":"arbiter","mu":"m","mw":"y","md":"d"})"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("newer version"), std::string::npos);
}

TEST(Token, ComesBackAsItWas) {
  Token token = example();
  EXPECT_EQ(decode_token(encode_token(token)->reveal()).value(), token);
  token.certificate_sha256.reset();
  EXPECT_EQ(decode_token(encode_token(token)->reveal()).value(), token);
}

Token with_agent() {
  Token token = example();
  token.agent = TokenAgent{.host = "fd00::1",
                           .port = 7432,
                           .ca_sha256 = std::string(64, 'c'),
                           .secret = Secret("b0rrowed-secret_of_the_agent")};
  return token;
}

TEST(Token, AgentComesBackAsItWas) {
  EXPECT_EQ(decode_token(encode_token(with_agent())->reveal()).value(), with_agent());
}

TEST(Token, AgentIsWholeAndWithinItsBounds) {
  const auto refused = [](const auto& change) {
    Token token = with_agent();
    change(*token.agent);
    return !encode_token(token).has_value();
  };
  EXPECT_TRUE(refused([](TokenAgent& agent) { agent.host = ""; }));
  EXPECT_TRUE(refused([](TokenAgent& agent) { agent.host = std::string(256, 'h'); }));
  EXPECT_TRUE(refused([](TokenAgent& agent) { agent.port = 0; }));
  EXPECT_TRUE(refused([](TokenAgent& agent) { agent.ca_sha256 = std::string(64, 'C'); }));
  EXPECT_TRUE(refused([](TokenAgent& agent) { agent.secret = Secret(); }));
  EXPECT_TRUE(refused([](TokenAgent& agent) { agent.secret = Secret("with a blank"); }));
  EXPECT_TRUE(refused([](TokenAgent& agent) { agent.secret = Secret(std::string(257, 's')); }));
  EXPECT_FALSE(refused([](TokenAgent& agent) { agent.secret = Secret(std::string(256, 's')); }));
  Token witness = with_agent();
  witness.kind = TokenKind::kWitness;
  witness.monitor_user = witness.monitor_database = "";
  witness.monitor_password = Secret();
  EXPECT_FALSE(encode_token(witness).has_value()) << "a witness is no member";

  const std::string fields =
      R"({"v":1,"h":"a","p":1,"u":"r","w":"x","s":"s","i":"7","mu":"m","mw":"y","md":"d")";
  EXPECT_TRUE(decode_token(sealed(fields + "}")).has_value());
  for (const std::string_view half :
       {R"("ah":"a")", R"("ah":"a","ap":7432)", R"("ah":"a","ap":70000,"af":"x","as":"y")",
        R"("ah":"a","ap":"7432","af":"x","as":"y")", R"("as":"y")"}) {
    const auto decoded = decode_token(sealed(fmt::format("{},{}}}", fields, half)));
    ASSERT_FALSE(decoded.has_value()) << half;
    EXPECT_EQ(decoded.error().code, ErrorCode::kToken);
  }
}

TEST(Token, APasteThatWasWrappedIsTaken) {
  const std::string text = encode_token(example())->reveal();
  std::string wrapped = "\r\n  ";
  for (std::size_t i = 0; i < text.size(); i += 40) wrapped += text.substr(i, 40) + "\r\n\t ";
  EXPECT_EQ(decode_token(wrapped).value(), example());
}

TEST(Token, EveryChangedCharacterIsNoticed) {
  const std::string text = encode_token(example())->reveal();
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string bad = text;
    bad[i] = bad[i] == 'x' ? 'y' : 'x';
    const auto result = decode_token(bad);
    ASSERT_FALSE(result.has_value()) << i;
    EXPECT_EQ(result.error().code, ErrorCode::kToken);
  }
}

TEST(Token, EveryCutIsNoticedAndCalledSo) {
  const std::string text = encode_token(example())->reveal();
  for (std::size_t size = std::string_view("standfast1.").size(); size < text.size(); ++size) {
    const auto result = decode_token(text.substr(0, size));
    ASSERT_FALSE(result.has_value()) << size;
    EXPECT_NE(result.error().message.find("cut off or mistyped"), std::string::npos) << size;
  }
}

TEST(Token, TheErrorTellsWhatIsWrong) {
  struct Case {
    std::string text;
    std::string_view message;
  };
  const Case cases[] = {
      {"", "not a token"},
      {"hello", "not a token"},
      {"standfast", "not a token"},
      {"standfast.x", "not a token"},
      {"standfast0.e30.00000000", "not a token"},
      {std::string(kMaxTokenBytes + 1, 'a'), "not a token"},
      {"standfast2.whatever", "newer version"},
      {"standfast99999999999999999999999.x.y", "newer version"},
      {"standfast1.e30.00000000", "mistyped"},
      {sealed("not json"), "mistyped"},
      {sealed("[]"), "mistyped"},
      {sealed("{}"), "version"},
      {sealed(R"({"v":2})"), "newer version"},
      {sealed(R"({"v":1})"), "host"},
      {sealed(R"({"v":1,"h":"a","p":70000})"), "port"},
      {sealed(R"({"v":1,"h":"a","p":1,"u":"b"})"), "replication password"},
  };
  for (const Case& bad : cases) {
    const auto result = decode_token(bad.text);
    ASSERT_FALSE(result.has_value()) << bad.text;
    EXPECT_EQ(result.error().code, ErrorCode::kToken);
    EXPECT_NE(result.error().message.find(bad.message), std::string::npos) << result.error().message;
  }
}

TEST(Token, NoErrorQuotesAnyPartOfIt) {
  const std::string bad_password =
      sealed(R"({"v":1,"h":"secrethost","p":5432,"u":"secretuser","w":"hunter2\n","s":"a","i":"1","mu":"b",)"
             R"("mw":"hunter3","md":"c"})");
  const std::string not_utf8 = sealed("{\"v\":1,\"h\":\"hunter2\xFF\"}");
  for (const std::string& text : {bad_password, not_utf8, encode_token(example())->reveal() + "x"}) {
    const auto result = decode_token(text);
    ASSERT_FALSE(result.has_value());
    const std::string said = result.error().message + result.error().hint;
    for (const std::string_view secret : {"hunter", "secrethost", "secretuser", "eyJ2"}) {
      EXPECT_EQ(said.find(secret), std::string::npos) << said;
    }
  }
}

TEST(Token, WhatCannotBeReadBackIsNotWritten) {
  Token token = example();
  token.replication_password = Secret("hunter2\n");
  EXPECT_FALSE(encode_token(token).has_value());
  token = example();
  token.monitor_password = Secret("hunter2\xFF");
  ASSERT_FALSE(encode_token(token).has_value());
  EXPECT_EQ(encode_token(token).error().message.find("hunter2"), std::string::npos);
  token = example();
  token.slot.clear();
  EXPECT_FALSE(encode_token(token).has_value());
  token = example();
  token.certificate_sha256 = "ABCD";
  EXPECT_FALSE(encode_token(token).has_value());
  token = example();
  token.replication_password = Secret(std::string(kMaxTokenBytes, 'x'));
  EXPECT_FALSE(encode_token(token).has_value());
}

TEST(Token, IsKnownOnACommandLineWholeOrCut) {
  const std::string text = encode_token(example())->reveal();
  EXPECT_TRUE(looks_like_token(text));
  EXPECT_TRUE(looks_like_token("--token=" + text));
  EXPECT_TRUE(looks_like_token(text.substr(0, 30)));
  EXPECT_TRUE(looks_like_token("standfast2.abcdefghijkl"));
  for (const std::string_view other : {"", "standfast", "standfast1", "standfast1.conf",
                                       "/etc/standfast2.d/x", "standfast.example.com", "hello"}) {
    EXPECT_FALSE(looks_like_token(other)) << other;
  }
}

}  // namespace
}  // namespace standfast::pg

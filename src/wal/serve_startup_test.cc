#include "wal/serve_test_support.h"

namespace standfast::wal {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::string startup(std::string_view parameters) {
  return startup_packet(kProtocol30Code, std::string(parameters) + '\0');
}
const std::string kStandby = startup("user\0stream\0replication\0true\0application_name\0b\0"sv);

ServeSession::Options with_tls(ServeSession::Tls tls) {
  auto options = Dialogue::options();
  options.tls = tls;
  return options;
}

TEST(ServeStartup, AStandbyLogsIn) {
  Dialogue talk;
  talk.client("startup", kStandby);
  talk.client("p", pg::encode_message('p', "SCRAM-SHA-256\0\0\0\0\5n,,n="sv));
  EXPECT_FALSE(talk.session.wants_input());
  talk.session.on_scram_challenge(base::as_bytes("r=1"));
  talk.perform();
  talk.client("p", pg::encode_message('p', "c=biws"));
  talk.session.on_scram_accepted(base::as_bytes("v=2"));
  talk.perform();
  EXPECT_EQ(talk.take_log(), R"(
> startup
< R \0\0\0\10SCRAM-SHA-256\0\0
> p
BeginScram stream SCRAM-SHA-256 n,,n=
< R \0\0\0\11r=1
> p
ContinueScram c=biws
LoggedIn stream b
< R \0\0\0\12v=2
< R \0\0\0\0
< S in_hot_standby\0on\0
< S default_transaction_read_only\0on\0
< S integer_datetimes\0on\0
< S standard_conforming_strings\0on\0
< S server_version\015.18\0
< S server_encoding\0SQL_ASCII\0
< S client_encoding\0SQL_ASCII\0
< S DateStyle\0ISO, MDY\0
< S IntervalStyle\0postgres\0
< S TimeZone\0Etc/UTC\0
< S is_superuser\0off\0
< S session_authorization\0stream\0
< S application_name\0b\0
< K \0\0\0\7\0\0\0\9
< Z I
)");
  EXPECT_TRUE(talk.session.wants_input());
}

TEST(ServeStartup, AWrongPasswordAndAnUnknownUserReadTheSame) {
  for (const char* user : {"stream", "nobody"}) {
    Dialogue talk;
    talk.client("startup", startup(fmt::format("user{0}{1}{0}replication{0}1{0}", '\0', user)));
    talk.client("p", pg::encode_message('p', "SCRAM-SHA-256\0\0\0\0\5n,,n="sv));
    talk.session.on_scram_challenge(base::as_bytes("r=1"));
    talk.client("p", pg::encode_message('p', "c=biws"));
    talk.session.on_scram_refused();
    talk.perform();
    EXPECT_EQ(talk.take_log(), fmt::format(R"(
> startup
< R \0\0\0\10SCRAM-SHA-256\0\0
> p
BeginScram {0} SCRAM-SHA-256 n,,n=
> p
< R \0\0\0\11r=1
ContinueScram c=biws
< E FATAL 28P01 password authentication failed for user "{0}"
End: password authentication failed for user "{0}"
)",
                                           user));
  }
}

TEST(ServeStartup, TlsIsStartedAndOffersChannelBinding) {
  Dialogue talk(with_tls(ServeSession::Tls::kRequired));
  talk.client("GSSENCRequest", startup_packet(kGssRequestCode));
  talk.client("SSLRequest", startup_packet(kSslRequestCode));
  EXPECT_FALSE(talk.session.wants_input());
  talk.session.on_tls(serve::ChannelBinding::kAvailable);
  talk.client("startup", kStandby);
  talk.client("p", pg::encode_message('p', "SCRAM-SHA-256-PLUS\0\0\0\0\1p"sv));
  EXPECT_EQ(talk.take_log(), R"(
> GSSENCRequest
< N
> SSLRequest
< S
StartTls
> startup
< R \0\0\0\10SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0
> p
BeginScram stream SCRAM-SHA-256-PLUS p
)");
}

TEST(ServeStartup, BytesInClearBehindAnSslRequestAreNotTaken) {
  Dialogue talk(with_tls(ServeSession::Tls::kOffered));
  talk.client("SSLRequest and more", startup_packet(kSslRequestCode) + kStandby);
  EXPECT_EQ(talk.log.substr(talk.log.find("End")), "End: received unencrypted data after SSL request\n");
  EXPECT_EQ(talk.log.find("StartTls"), std::string::npos);
}

TEST(ServeStartup, WithoutTlsTheClientIsToldSoAndMayGoOnInClear) {
  Dialogue talk;
  talk.client("SSLRequest", startup_packet(kSslRequestCode));
  talk.client("startup", kStandby);
  EXPECT_EQ(talk.take_log(), R"(
> SSLRequest
< N
> startup
< R \0\0\0\10SCRAM-SHA-256\0\0
)");
  Dialogue asks_again;
  asks_again.client("SSLRequest", startup_packet(kSslRequestCode));
  asks_again.client("SSLRequest", startup_packet(kSslRequestCode));
  EXPECT_EQ(asks_again.take_log(), R"(
> SSLRequest
< N
> SSLRequest
< E FATAL 0A000 a second request for SSL
End: a second request for SSL
)");
}

TEST(ServeStartup, ALoginInClearIsRefusedWhereTlsIsRequired) {
  Dialogue talk(with_tls(ServeSession::Tls::kRequired));
  talk.client("startup", kStandby);
  EXPECT_EQ(talk.take_log(), R"(
> startup
< E FATAL 28000 this server does not take logins in clear text hint: Connect with sslmode=require, or better verify-full.
End: this server does not take logins in clear text
)");
}

std::string answer_to(const std::string& bytes) {
  Dialogue talk;
  talk.receive(bytes);
  return talk.log.substr(0, talk.log.find(" hint:"));
}

TEST(ServeStartup, OnlyPhysicalReplicationIsServed) {
  for (const char* yes : {"true", "on", "1", "yes", "T", "YES", "tru"}) {
    EXPECT_TRUE(
        answer_to(startup(fmt::format("user{0}a{0}replication{0}{1}{0}", '\0', yes))).starts_with("< R"))
        << yes;
  }
  const std::string no_sql =
      "< E FATAL 0A000 this server takes no SQL: it serves WAL by physical replication only";
  EXPECT_EQ(answer_to(startup("user\0a\0"sv)), no_sql);
  EXPECT_EQ(answer_to(startup("user\0a\0replication\0off\0"sv)), no_sql);
  EXPECT_EQ(answer_to(startup("user\0a\0replication\0database\0"sv)),
            "< E FATAL 0A000 this server has no databases: it serves WAL by physical replication only");
  EXPECT_EQ(answer_to(startup("user\0a\0replication\0o\0"sv)),
            "< E FATAL 22023 invalid value for parameter \"replication\": \"o\"");
}

TEST(ServeStartup, WhatIsNotOursEndsTheConnection) {
  EXPECT_EQ(answer_to(startup("replication\0true\0"sv)),
            "< E FATAL 28000 no PostgreSQL user name specified in startup packet\n"
            "End: no PostgreSQL user name specified in startup packet\n");
  EXPECT_EQ(answer_to(startup_packet(kCancelRequestCode, "12345678")),
            "End: a cancel request; nothing runs here to cancel\n");
  EXPECT_EQ(answer_to("\x00\x0f\x42\x40"s + std::string(100, 'x')).substr(9),
            "End: invalid length of startup packet: 1000000\n");
  EXPECT_EQ(answer_to("GET / HTTP/1.1\r\n\r\n").substr(8),
            "End: invalid length of startup packet: 1195725856\n");
  EXPECT_TRUE(answer_to(startup_packet(131072, "user\0a\0\0"sv))
                  .starts_with("< E FATAL 0A000 unsupported frontend protocol 2.0"));
  EXPECT_TRUE(answer_to(startup_packet(kProtocol30Code, "user\0a"sv)).starts_with("< E FATAL 08P01 "));
}

TEST(ServeStartup, ALaterProtocolAndUnknownOptionsAreNegotiatedDown) {
  EXPECT_EQ(answer_to(startup_packet(kProtocol30Code + 2, "user\0a\0replication\0true\0_pq_.x\0y\0\0"sv)),
            "< v \\0\\3\\0\\0\\0\\0\\0\\1_pq_.x\\0\n< R \\0\\0\\0\\10SCRAM-SHA-256\\0\\0\n");
}

TEST(ServeStartup, OnlySaslAnswersAreTakenDuringALogin) {
  const auto after_startup = [](const std::string& bytes) {
    Dialogue talk;
    talk.receive(kStandby);
    talk.log.clear();
    talk.receive(bytes);
    return talk.log.substr(0, talk.log.find('\n'));
  };
  EXPECT_EQ(after_startup(pg::encode_message('Q', "SHOW x\0"sv)),
            "< E FATAL 08P01 expected SASL response, got message type 81");
  EXPECT_EQ(after_startup(pg::encode_message('p', "PLAIN\0\0\0\0\1x"sv)),
            "< E FATAL 08P01 client selected an invalid SASL authentication mechanism");
  EXPECT_EQ(after_startup(pg::encode_message('p', "SCRAM-SHA-256-PLUS\0\0\0\0\1x"sv)),
            "< E FATAL 08P01 client selected an invalid SASL authentication mechanism");
  EXPECT_EQ(after_startup(pg::encode_message('p', "SCRAM-SHA-256\0\0\0\0\7x"sv)),
            "< E FATAL 08P01 a SASL response lies about its length");
  EXPECT_EQ(after_startup(pg::encode_message('p', std::string(1025, 'x'))).substr(0, 9), "left 1025");
  EXPECT_EQ(after_startup(pg::encode_message('X', "")), "End: the client ended the login");
}

TEST(ServeStartup, WhoDoesNotLogInEndsAtTheDeadline) {
  Dialogue silent;
  EXPECT_EQ(silent.session.next_wakeup(), silent.at(60).now);
  silent.time(59);
  EXPECT_EQ(silent.take_log(), "\n");
  silent.time(60);
  EXPECT_EQ(silent.take_log(), "\nEnd: no startup packet in time\n");
  EXPECT_FALSE(silent.session.next_wakeup());

  Dialogue slow;
  slow.receive(kStandby);
  slow.log.clear();
  slow.time(60);
  EXPECT_EQ(slow.take_log(), R"(
< E FATAL 57014 canceling authentication due to timeout
End: canceling authentication due to timeout
)");
}

TEST(ServeStartup, NothingIsDoneAfterTheEnd) {
  Dialogue talk;
  talk.receive(kStandby);
  talk.session.on_input_end();
  talk.log.clear();
  talk.session.on_scram_challenge(base::as_bytes("r=1"));
  talk.session.on_scram_accepted(base::as_bytes("v=2"));
  talk.session.on_history("x");
  talk.session.on_wal_gone();
  talk.slot({});
  talk.time(1000);
  talk.stop();
  talk.store({});
  EXPECT_FALSE(talk.session.wants_input());
  EXPECT_EQ(talk.session.receive(base::as_bytes("x"), talk.at(0)), 0U);
  talk.session.on_input_end();
  talk.perform();
  EXPECT_EQ(talk.log, "End: the client closed the connection\n");
}

}  // namespace
}  // namespace standfast::wal

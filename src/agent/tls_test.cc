#include "agent/tls.h"

#include <array>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/tls_test_support.h"

namespace standfast::agent {
namespace {

using base::ErrorCode;
using base::Result;
using std::chrono::hours;
using namespace testing;

/// What each side makes of the other. A client has only done well once the server answered.
struct Outcome {
  Result<std::optional<Peer>> server = std::optional<Peer>();
  Result<Peer> client = Peer{};
};
Outcome meet(Ends& ends, const MemberContext& server, const MemberContext& client,
             const std::optional<std::string>& wanted = std::nullopt) {
  Outcome outcome;
  std::jthread thread([&] {
    outcome.server = server.accept(ends.server, soon());
    if (outcome.server) static_cast<void>(ends.server.write_all(base::as_bytes("x"), soon()));
    shutdown(ends.server.fd(), SHUT_WR);
  });
  outcome.client = client.connect(ends.client, wanted, soon());
  if (outcome.client) {
    std::array<std::byte, 1> answer{};
    const auto count = ends.client.read_some(answer, soon());
    if (!count) outcome.client = count.error();
  } else {
    shutdown(ends.client.fd(), SHUT_WR);
  }
  return outcome;
}
Outcome meet(const MemberContext& server, const MemberContext& client,
             const std::optional<std::string>& wanted = std::nullopt) {
  Ends ends;
  return meet(ends, server, client, wanted);
}

template <typename T>
void expect_refused(const Result<T>& result, std::string_view why) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCertificate) << result.error().message;
  EXPECT_NE(result.error().message.find(why), std::string::npos) << result.error().message;
}

bool exchange(net::TlsChannel& from, net::TlsChannel& to) {
  std::array<std::byte, 5> bytes{};
  if (!from.write_all(base::as_bytes("hello"), soon())) return false;
  const auto count = to.read_some(bytes, soon());
  return count && base::as_text(base::Bytes(bytes).first(*count)) == "hello";
}

TEST(MemberTls, MembersKnowEachOther) {
  const Cluster cluster;
  const Credentials standby = cluster.give("standby1");
  Ends ends;
  const auto met = meet(ends, *cluster.server(cluster.give("primary")), *cluster.client(standby), "primary");
  ASSERT_TRUE(met.server) << met.server.error().message;
  ASSERT_TRUE(met.client) << met.client.error().message;
  EXPECT_EQ((*met.server)->name, "standby1");
  EXPECT_EQ((*met.server)->serial, read_certificate(standby.certificate_pem)->serial);
  EXPECT_EQ((*met.server)->expires, read_certificate(standby.certificate_pem)->expires);
  EXPECT_EQ(met.client->name, "primary");
  EXPECT_EQ(SSL_version(ends.client.tls()), TLS1_3_VERSION);
  EXPECT_TRUE(exchange(ends.client, ends.server));
}

TEST(MemberTls, TheOneThatIsWantedAndNoOther) {
  const Cluster cluster;
  const auto met =
      meet(*cluster.server(cluster.give("standby2")), *cluster.client(cluster.give("standby1")), "primary");
  expect_refused(met.client, "\"standby2\", not \"primary\"");
}

TEST(MemberTls, WithoutACertificateOnlyWhereStrangersAreAdmitted) {
  const Cluster cluster;
  const auto primary = cluster.give("primary");
  const auto joining =
      *MemberContext::for_joining(kCluster, *fingerprint_of(cluster.authority.certificate_pem));
  const auto refused = meet(*cluster.server(primary), *joining);
  EXPECT_FALSE(refused.server);
  expect_refused(refused.client, "refuses our certificate");
  const auto admitted = meet(*cluster.server(primary, Strangers::kAdmitted), *joining);
  ASSERT_TRUE(admitted.server) << admitted.server.error().message;
  EXPECT_FALSE(admitted.server->has_value());
  EXPECT_EQ(admitted.client->name, "primary");
  // Who has one is known there as well.
  const auto member =
      meet(*cluster.server(primary, Strangers::kAdmitted), *cluster.client(cluster.give("standby1")));
  EXPECT_EQ((*member.server)->name, "standby1");
}

TEST(MemberTls, ATokensFingerprintIsThatOfOneAuthority) {
  const Cluster cluster;
  const Cluster other;
  const auto server = cluster.server(cluster.give("primary"), Strangers::kAdmitted);
  const std::string others = *fingerprint_of(other.authority.certificate_pem);
  const std::string right = *fingerprint_of(cluster.authority.certificate_pem);
  expect_refused(meet(*server, **MemberContext::for_joining(kCluster, others)).client, "refused");
  expect_refused(meet(*server, **MemberContext::for_joining(kCluster, "")).client, "refused");
  expect_refused(meet(*server, **MemberContext::for_joining(pg::SystemId(5), right)).client, "not of 5");
}

TEST(MemberTls, WhoShowsTheAuthoritysCertificateIsNotOfIt) {
  // The chain has the right root, but the certificate is another authority's.
  const Cluster cluster;
  const Cluster other;
  const Credentials false_one = other.give("primary");
  auto context = *net::new_tls_context(net::OldestTls::k13);
  const auto certificate = *certificate_from(false_one.certificate_pem);
  const auto key = *key_from(false_one.key_pem.reveal());
  const auto root = *certificate_from(cluster.authority.certificate_pem);
  ASSERT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
  ASSERT_EQ(SSL_CTX_add1_chain_cert(context.get(), root.get()), 1);
  const auto joining =
      *MemberContext::for_joining(kCluster, *fingerprint_of(cluster.authority.certificate_pem));
  Ends ends;
  std::jthread thread([&] { static_cast<void>(ends.server.accept_tls(*context, soon())); });
  expect_refused(joining->connect(ends.client, std::nullopt, soon()), "refused");
  shutdown(ends.client.fd(), SHUT_WR);
}

TEST(MemberTls, ExpiredAndNotYetValidOnesAreRefusedByBothSides) {
  const Cluster cluster;
  const auto good = cluster.give("good");
  for (const auto& [when, why] : {std::pair(wall_clock() - hours(24 * 31), "expired"),
                                  std::pair(wall_clock() + hours(2), "not yet valid")}) {
    const auto bad = cluster.give("bad", when);
    const auto of_client = meet(*cluster.server(good), *cluster.client(bad));
    expect_refused(of_client.server, why);
    expect_refused(of_client.client, "refuses our certificate");
    const auto of_server = meet(*cluster.server(bad), *cluster.client(good));
    expect_refused(of_server.client, why);
  }
}

TEST(MemberTls, ARevokedOneIsRefusedByBothSides) {
  Cluster cluster;
  const auto good = cluster.give("good");
  const auto bad = cluster.give("bad");
  EXPECT_TRUE(meet(*cluster.server(good), *cluster.client(bad)).client);
  const auto unaware = cluster.client(bad);
  const auto unaware_server = cluster.server(bad);
  cluster.revoke(bad);
  const auto of_client = meet(*cluster.server(good), *unaware);
  expect_refused(of_client.server, "revoked");
  expect_refused(of_client.client, "revoked");
  expect_refused(meet(*unaware_server, *cluster.client(good)).client, "revoked");
  // Where strangers are admitted it is none of them.
  expect_refused(meet(*cluster.server(good, Strangers::kAdmitted), *unaware).server, "revoked");
  EXPECT_TRUE(meet(*cluster.server(good), *cluster.client(cluster.give("another"))).client);
}

TEST(MemberTls, OneOfAnotherAuthorityIsRefusedByBothSides) {
  const Cluster cluster;
  const Cluster other;  // even of the same system identifier
  const auto met = meet(*cluster.server(cluster.give("primary")), *other.client(other.give("standby1")));
  EXPECT_FALSE(met.server && met.client);
  expect_refused(met.client, "refused");
  const auto stranger =
      meet(*cluster.server(cluster.give("primary"), Strangers::kAdmitted),
           *MemberContext::for_client({kCluster, other.authority.certificate_pem}, other.give("standby1"))
                .value());
  EXPECT_FALSE(stranger.client);
}

TEST(MemberTls, WhatDoesNotFitTogetherMakesNoContext) {
  const Cluster cluster;
  const Cluster other;
  const auto own = cluster.give("a");
  const Credentials wrong_key{own.certificate_pem, *make_key()};
  expect_refused(MemberContext::for_client(cluster.trust(), wrong_key), "not given to this key");
  expect_refused(MemberContext::for_client(other.trust(), own), "did not sign");
  ClusterTrust trust = cluster.trust();
  trust.system_id = pg::SystemId(5);
  expect_refused(MemberContext::for_client(trust, own), "not of 5");
  trust = cluster.trust();
  trust.revoked_list_pem =
      *sign_revoked_list(other.authority, {.number = 1, .made = wall_clock(), .serials = {}});
  expect_refused(MemberContext::for_client(trust, own), "did not sign");
  expect_refused(MemberContext::for_client(cluster.trust(), {"no PEM", own.key_pem}), "not a certificate");
  expect_refused(MemberContext::for_client(cluster.trust(), {own.certificate_pem, base::Secret("no PEM")}),
                 "not a private key");
}

TEST(MemberTls, AHandshakeThatStopsEndsAtItsDeadline) {
  const Cluster cluster;
  const auto server = cluster.server(cluster.give("primary"));
  Ends silent;
  const auto at_once = server->accept(silent.server, env::Wait::for_at_most(base::Milliseconds(50)));
  ASSERT_FALSE(at_once);
  EXPECT_EQ(at_once.error().code, ErrorCode::kTimeout);
  // In the middle: the client says hello and nothing more.
  Ends halfway;
  const auto client = cluster.client(cluster.give("standby1"));
  EXPECT_FALSE(client->connect(halfway.client, {}, env::Wait::for_at_most(base::Milliseconds(50))));
  const auto later = server->accept(halfway.server, env::Wait::for_at_most(base::Milliseconds(50)));
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code, ErrorCode::kTimeout);
}

TEST(MemberTls, WhoSendsAByteAtATimeGetsNoMoreTime) {
  const Cluster cluster;
  const auto server = cluster.server(cluster.give("primary"));
  Ends ends;
  std::atomic<bool> is_over = false;
  std::jthread dripping([&] {
    // The header of a long record, and then of its bytes one after the other.
    send(ends.client.fd(), "\x16\x03\x01\x40\x00", 5, MSG_NOSIGNAL);
    while (!is_over) {
      send(ends.client.fd(), "\x01", 1, MSG_NOSIGNAL);
      static_cast<void>(env::wait_for(-1, 0, env::Wait::for_at_most(base::Milliseconds(1))));
    }
  });
  const base::Stopwatch watch;
  const auto accepted = server->accept(ends.server, env::Wait::for_at_most(base::Milliseconds(200)));
  is_over = true;
  EXPECT_FALSE(accepted);
  EXPECT_LT(watch.elapsed(), base::Seconds(10));
}

TEST(MemberTls, ANewCertificateIsForNewConnectionsAndOldOnesGoOn) {
  const Cluster cluster;
  const base::Secret key = *make_key();
  const auto request = check_request(*make_request(key));
  const auto give = [&](UnixSeconds now) {
    return Credentials{sign_member(cluster.authority, *request, {kCluster, "primary"}, now)->certificate_pem,
                       key};
  };
  const Credentials before = give(wall_clock() - hours(24 * 11));
  const Credentials after = give(wall_clock());
  const auto client = cluster.client(cluster.give("standby1"));
  auto server = cluster.server(before);
  Ends old;
  EXPECT_EQ(meet(old, *server, *client).client->serial, read_certificate(before.certificate_pem)->serial);
  server = cluster.server(after);
  Ends fresh;
  EXPECT_EQ(meet(fresh, *server, *client).client->serial, read_certificate(after.certificate_pem)->serial);
  EXPECT_TRUE(exchange(old.client, old.server));
  EXPECT_TRUE(exchange(fresh.client, fresh.server));
}

}  // namespace
}  // namespace standfast::agent

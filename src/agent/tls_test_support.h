// What unit tests of members that meet share: a cluster's authority, and connections.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "agent/certificate_authority.h"
#include "agent/tls.h"
#include "env/stop_event.h"
#include "net/tls_channel.h"

namespace standfast::agent::testing {

using Strangers = MemberContext::Strangers;

inline constexpr pg::SystemId kCluster(7710978553056627143U);

inline UnixSeconds wall_clock() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

inline env::Wait soon() {
  return env::Wait::for_at_most(base::Seconds(60));
}

/// A cluster's authority, and what it gives.
struct Cluster {
  pg::SystemId system_id = kCluster;
  Authority authority = *make_authority(kCluster, wall_clock() - std::chrono::hours(24 * 100));
  std::string revoked_list = {};

  ClusterTrust trust() const { return {system_id, authority.certificate_pem, revoked_list}; }
  Credentials give(const std::string& name, UnixSeconds now = wall_clock()) const {
    base::Secret key = *make_key();
    const auto request = check_request(*make_request(key));
    return {sign_member(authority, *request, {system_id, name}, now)->certificate_pem, std::move(key)};
  }
  void revoke(const Credentials& credentials) {
    const auto facts = *read_certificate(credentials.certificate_pem);
    const RevokedList list{.number = 2, .made = wall_clock(), .serials = {{facts.serial, wall_clock()}}};
    revoked_list = *sign_revoked_list(authority, list);
  }
  std::shared_ptr<const MemberContext> server(const Credentials& own,
                                              Strangers strangers = Strangers::kRefused) const {
    return *MemberContext::for_server(trust(), own, strangers);
  }
  std::shared_ptr<const MemberContext> client(const Credentials& own) const {
    return *MemberContext::for_client(trust(), own);
  }
};

/// Two ends of one connection.
struct Ends {
  Ends() : Ends(make()) {}
  explicit Ends(std::array<int, 2> fds) : server(fds[0]), client(fds[1]) {}
  static std::array<int, 2> make() {
    std::array<int, 2> fds{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    return fds;
  }
  net::TlsChannel server;
  net::TlsChannel client;
};

}  // namespace standfast::agent::testing

// What a host keeps of its own membership of a cluster: folder `member` of the cluster in the secret store
// (docs/formats/members.md). `join` puts it there, the host's agent renews it, and each command that speaks
// with an agent reads it.
//
// Threading: one thread for each MembershipFiles; copies, and other processes, may be at work at once.
// Ownership: borrows the store's FileSystem. Invariants: what is read fits together: the certificate was
// given to the key by the authority, and the list of revoked certificates is that authority's; a membership
// that was written in part is none; a newer list never makes room for an older one. Fails: kCertificate for
// files that do not fit together, and for what is not this cluster's; kInUse when another process does not
// give the folder back in time; kProtocol for an agent.json that cannot be read; and as the SecretStore.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/members.h"
#include "agent/tls.h"
#include "base/result.h"
#include "base/secret.h"
#include "net/connect.h"
#include "pg/client/secret_store.h"

namespace standfast::agent {

constexpr std::uint16_t kDefaultAgentPort = 7432;
constexpr std::size_t kMaxAgentAddresses = 32;

/// A member as it appears to others, and whom it lets in.
struct OwnMembership {
  ClusterTrust trust;
  Credentials own;
  CertificateFacts facts;
};

/// Where agents are found: agent.json.
struct AgentPlaces {
  std::vector<net::HostPort> listen = {};  ///< this host's own listens there; empty: there is none
  /// The agent of the host with the cluster's authority, in the order in which they are tried. Empty: this
  /// host has the authority itself, or was never told.
  std::vector<net::HostPort> authority = {};
};
base::Result<AgentPlaces> parse_agent_places(std::string_view text);
std::string text_of(const AgentPlaces& places);

class MembershipFiles {
 public:
  MembershipFiles(client::SecretStore store, pg::SystemId system_id)
      : store_(std::move(store)), system_id_(system_id) {}

  /// Where all of it lies.
  std::string folder() const;
  pg::SystemId system_id() const { return system_id_; }

  /// No value: this host is no member, or does not know it yet.
  base::Result<std::optional<OwnMembership>> read() const;
  /// Begins anew: what there was goes, but for a list of the same authority.
  base::Result<void> save(const base::Secret& key_pem, const Membership& membership) const;
  /// For the key that is there.
  base::Result<void> replace_certificate(const Membership& membership) const;
  /// One that is not newer than what is there changes nothing.
  base::Result<void> replace_revoked(const std::string& list_pem) const;

  /// Empty places where there is no such file.
  base::Result<AgentPlaces> read_places() const;
  base::Result<void> save_places(const AgentPlaces& places) const;

 private:
  base::Result<std::optional<std::string>> read_text(std::string_view name) const;
  base::Result<void> write(std::string_view name, const std::string& text) const;
  base::Result<std::optional<OwnMembership>> read_parts() const;
  base::Result<void> under_lock(const std::function<base::Result<void>()>& work) const;

  client::SecretStore store_;
  pg::SystemId system_id_;
};

}  // namespace standfast::agent

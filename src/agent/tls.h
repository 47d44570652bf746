// How members speak: mutual TLS 1.3 with the certificates of their cluster's authority, and of nobody else.
//
// The peer is verified against the authority alone, the list of revoked certificates and the wall clock, and
// must be of the cluster that is meant. A context is made anew when a certificate is renewed or a list comes;
// channels that exist go on with what they began with.
//
// Threading: a context is used by any thread; a channel by one. Ownership: a channel keeps what it needs of
// its context. Fails: kCertificate for what is no certificate, key or list of this cluster, and for a peer
// that does not count; as net/tls_channel.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/certificate.h"
#include "base/result.h"
#include "base/secret.h"
#include "env/stop_event.h"
#include "net/tls_channel.h"

namespace standfast::agent {

/// Whom a member trusts.
struct ClusterTrust {
  pg::SystemId system_id;
  std::string ca_pem;
  std::string revoked_list_pem = {};  ///< empty: none has come yet
};
/// What it shows.
struct Credentials {
  std::string certificate_pem;
  base::Secret key_pem;
};
/// Who is at the other end.
struct Peer {
  std::string name;
  std::string serial;  ///< as the register has it
  UnixSeconds expires = {};
};

class MemberContext {
 public:
  /// kAdmitted: a peer may come without a certificate, to ask for one; what it shows must count all the same.
  enum class Strangers : std::uint8_t { kRefused, kAdmitted };
  static base::Result<std::shared_ptr<const MemberContext>> for_server(const ClusterTrust& trust,
                                                                       const Credentials& own,
                                                                       Strangers strangers);
  static base::Result<std::shared_ptr<const MemberContext>> for_client(const ClusterTrust& trust,
                                                                       const Credentials& own);
  /// Of who has only a token: shows nothing, and takes the chain whose root has this SHA-256 (hexadecimal).
  static base::Result<std::shared_ptr<const MemberContext>> for_joining(pg::SystemId system_id,
                                                                        std::string_view ca_sha256);
  MemberContext(const MemberContext&) = delete;
  MemberContext& operator=(const MemberContext&) = delete;

  /// The handshake of a server. No value: a peer without a certificate.
  base::Result<std::optional<Peer>> accept(net::TlsChannel& channel, const env::Wait& wait) const;
  /// That of a client. `wanted`: only the member of that name.
  base::Result<Peer> connect(net::TlsChannel& channel, const std::optional<std::string>& wanted,
                             const env::Wait& wait) const;

 private:
  MemberContext(pg::SystemId system_id, net::TlsContextHandle context)
      : system_id_(system_id), context_(std::move(context)) {}
  base::Result<std::optional<Peer>> peer_of(const net::TlsChannel& channel) const;

  pg::SystemId system_id_;
  net::TlsContextHandle context_;
  std::string ca_sha256_;  ///< of who is joining
};

}  // namespace standfast::agent

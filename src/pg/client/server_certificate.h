// The certificate a server shows, fetched before anything else is said to it, so that its fingerprint can be
// compared before a password goes out (be-secure-openssl.c is the other side).
//
// Threading: any thread; SIGPIPE must be ignored (env/stop_event.h does). Nothing is sent but an SSLRequest
// and a TLS handshake (1.2 or newer). Fails with: kConnect, kTimeout, kCancelled, kCertificate (the server
// has no TLS), kProtocol.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"

namespace standfast::client {

/// The SHA-256 is the leaf's; the PEM text holds the leaf and after it what the server sends of its chain.
/// As sslrootcert, that text makes verify-ca succeed for a self-signed certificate, and for one of a CA if
/// the server sends the CA's certificate too. `host` is a name or an address, not a socket directory.
base::Result<PeerCertificate> fetch_server_certificate(const std::string& host, std::uint16_t port,
                                                       const env::Wait& wait);

}  // namespace standfast::client

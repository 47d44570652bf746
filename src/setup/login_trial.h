// A real login over the network with what a standby will use, tried from this host.
//
// Threading: one thread. Fails with what a connection fails with, the role and the address in the message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "env/stop_event.h"
#include "pg/format/lsn.h"

namespace standfast::setup {

struct LoginTrial {
  std::string address;
  std::string host;  ///< the name or address that the standby is told
  std::uint16_t port = 0;
  std::string role;
  base::Secret password;
  /// None: physical replication, proved by IDENTIFY_SYSTEM.
  std::optional<std::string> database = {};
  /// A file with the certificate the server must show, or that of its CA; none: without TLS.
  std::optional<std::string> pinned_certificate_path = {};
  std::string sslmode = "verify-ca";  ///< with such a file
  pg::SystemId system_id;             ///< of the server that must answer
};

base::Result<void> try_login(const LoginTrial& trial, const env::Wait& wait);

}  // namespace standfast::setup

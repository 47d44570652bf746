// The server's half of a SCRAM-SHA-256 login, with and without channel binding (libpq/auth-scram.c; RFC 5802,
// RFC 5929 tls-server-end-point). The name within the exchange is not looked at, as PostgreSQL does not: who
// logs in is said by the startup packet.
//
// Somebody unknown goes the way of a wrong password: a salt that stays the same for the name, over starts and
// changes of the users too, as a user's own does; the usual number of iterations; and the refusal only at the
// end (mock_scram_secret(), whose nonce a cluster keeps as well).
//
// Threading: one thread; a ScramSecret is read by any. Ownership: values; borrows the secret.
// Fails: no value is the refusal, whatever the reason; kept_in() with kIo, kPermission, kDiskFull, and
// kProtocol for a file that is not understood.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "pg/client/scram_verifier.h"
#include "witness/scram_users.h"

namespace standfast::witness {

/// What nobody can know who logs in.
class ScramSecret {
 public:
  /// The one of a folder of WAL (docs/formats/wal-store.md); made, durably, where there is none.
  static base::Result<ScramSecret> kept_in(env::FileSystem& files, const std::string& folder);
  explicit ScramSecret(base::Secret bytes) : bytes_(std::move(bytes)) {}
  /// A verifier that no password fits.
  std::optional<client::ScramVerifier> verifier_for(std::string_view user, std::uint32_t iterations) const;

 private:
  base::Secret bytes_;
};

/// Printable and new each time.
base::Result<std::string> make_scram_nonce();

class ScramExchange {
 public:
  struct Options {
    std::string user;
    std::string mechanism;
    /// The hash of the certificate that the client sees; empty: this connection has no channel binding.
    std::string end_point_hash = {};
    std::string nonce;
  };
  ScramExchange(const ScramUsers& users, const ScramSecret& secret, Options options);

  /// The server's first message.
  std::optional<std::string> challenge(std::string_view client_first);
  /// The server's last message, for the right password.
  std::optional<std::string> verdict(std::string_view client_final) const;

 private:
  bool accepts_binding(std::string_view flag) const;

  Options options_;
  bool is_known_ = false;
  std::optional<client::ScramVerifier> verifier_;
  std::string gs2_header_;
  std::string client_first_bare_;
  std::string nonce_;  ///< the client's and ours
  std::string server_first_;
};

}  // namespace standfast::witness

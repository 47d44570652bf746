// A self-signed certificate for a new server: EC P-256, its own authority, so that a client that has the
// certificate itself as sslrootcert accepts it with sslmode=verify-ca, and with verify-full for the names and
// addresses in it.
//
// Threading: any thread. Ownership: values.
// Invariant, of the files: never replaces one; the key is 0600 from its first byte on; both are durable.
// Fails: kInUse when server.crt or server.key is there already, kUsage for an address that is none, kIo,
// kPermission, kDiskFull.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "env/file_system.h"

namespace standfast::server {

struct CertificateOptions {
  std::string common_name;                  ///< the host's name
  std::vector<std::string> addresses = {};  ///< IPv4 and IPv6
  std::vector<std::string> dns_names = {};
  int valid_days = 3650;
};

struct NewCertificate {
  std::string certificate_pem;
  base::Secret key_pem;
  std::string sha256_hex;  ///< of the DER form, as client::PeerCertificate has it
};
base::Result<NewCertificate> make_self_signed_certificate(const CertificateOptions& options);

struct CertificateFiles {
  std::string certificate;  ///< DIR/server.crt
  std::string key;          ///< DIR/server.key
  std::string sha256_hex;
};

base::Result<CertificateFiles> make_server_certificate(env::FileSystem& files, const std::string& directory,
                                                       const CertificateOptions& options);

}  // namespace standfast::server

// The members of a cluster, on the host whose `primary setup` made its certificate authority: the authority's
// key and the register lie in the secret store (docs/formats/members.md), folder `ca` of the cluster. Any
// process of that user may work on them; a lock on the folder keeps two changes apart.
//
// Threading: one thread for each Members; copies of it may be used at once. Ownership: borrows the store's
// FileSystem. Invariants: what is given or taken back is durable in the register before it is said; a failed
// call leaves all as it was; time is a parameter. Fails: kInUse when another process does not give the lock
// back in time, kAuthentication for a secret or a certificate that does not count, kCertificate for a request
// that is not right, kPrecondition, kProtocol for a register that cannot be read, and as the SecretStore.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/member_register.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "pg/client/secret_store.h"

namespace standfast::agent {

/// What a member has of its cluster, to be kept beside its key.
struct Membership {
  std::string certificate_pem;
  std::string ca_pem;
  CertificateFacts facts;
};

class Members {
 public:
  struct Options {
    base::Clock::duration lock_patience = base::Seconds(10);
  };
  /// Makes the authority where there is none yet.
  static base::Result<Members> create(client::SecretStore store, pg::SystemId system_id, UnixSeconds now,
                                      const Options& options);
  /// kPrecondition: this host has no authority of that cluster.
  static base::Result<Members> open(client::SecretStore store, pg::SystemId system_id,
                                    const Options& options);

  const std::string& ca_pem() const { return ca_pem_; }

  /// A secret for a token, which admits one member by that name, once. An earlier one of it counts no more.
  base::Result<base::Secret> invite(const std::string& name, UnixSeconds expires, UnixSeconds now);
  /// The member gets the name it was invited by.
  base::Result<Membership> admit(const base::Secret& secret, std::string_view request_pem, UnixSeconds now);
  /// `serial`: of the certificate that the connection was made with. For the same key only.
  base::Result<Membership> renew(std::string_view serial, std::string_view request_pem, UnixSeconds now);
  base::Result<void> revoke(std::string_view name, UnixSeconds now);

  /// The name that the secret would admit now.
  base::Result<std::string> invited_by(const base::Secret& secret, UnixSeconds now) const;
  base::Result<std::vector<MemberState>> list(UnixSeconds now) const;
  /// A CRL in PEM, for the contexts of all members.
  base::Result<std::string> revoked_list(UnixSeconds now) const;

 private:
  using Change = std::function<base::Result<void>(Register&)>;
  Members(client::SecretStore store, pg::SystemId system_id, const Options& options)
      : store_(std::move(store)), system_id_(system_id), options_(options) {}
  base::Result<void> make_files(UnixSeconds now) const;
  base::Result<Authority> read_authority() const;
  base::Result<Register> read_register() const;
  base::Result<base::Secret> read(std::string_view name) const;
  base::Result<void> under_lock(const std::function<base::Result<void>()>& work) const;
  /// Reads the register, changes it and writes it, under the lock.
  base::Result<void> change(const Change& how) const;
  base::Result<Membership> give(Register& members, const CheckedRequest& request, const std::string& name,
                                UnixSeconds now,
                                base::Result<void> (*record)(Register&, const GivenCertificate&,
                                                             UnixSeconds)) const;

  client::SecretStore store_;
  pg::SystemId system_id_;
  Options options_;
  std::string ca_pem_;
};

}  // namespace standfast::agent

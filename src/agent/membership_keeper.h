// What an agent shows and whom it trusts, kept fresh while it runs: the membership as it lies on the disk, a
// certificate that is renewed from a third of its life on, and the newest list of revoked ones. On the host
// with the cluster's authority both come from there; elsewhere the agent of that host is asked.
//
// What cannot be done now is tried again, less and less often, and said once. Nothing that goes wrong takes
// away what there is: an agent goes on with it until it expires.
//
// Threading: standing() from any thread; the rest from one. Ownership: borrows the AuthorityLink. Invariant:
// a standing is whole and never changes; connections that exist keep the context that they began with. Fails:
// open() with kPrecondition where this host is no member, with kCertificate where its certificate has expired
// and cannot be renewed, and as MembershipFiles.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "agent/members.h"
#include "agent/membership_files.h"
#include "agent/messages.h"
#include "agent/tls.h"
#include "base/result.h"

namespace standfast::agent {

/// The agent of the host with the authority, as the agent of another host asks it.
class AuthorityLink {
 public:
  virtual ~AuthorityLink() = default;
  virtual base::Result<SignedCertificate> renew(const OwnMembership& own, std::string request_pem) = 0;
  /// Empty: it has none.
  virtual base::Result<std::string> revoked_list(const OwnMembership& own) = 0;
};

/// How this host stands in its cluster.
struct Standing {
  OwnMembership membership;
  bool has_authority = false;
  std::shared_ptr<const MemberContext> context = {};        ///< to serve with
  std::set<std::string, std::less<>> revoked_serials = {};  ///< by the list in `membership`
  std::uint64_t list_number = 0;                            ///< of that list; 0: there is none
};

struct KeeperPatience {
  std::chrono::seconds look = std::chrono::seconds(5);
  std::chrono::seconds ask_revoked = std::chrono::minutes(5);
  std::chrono::seconds first_retry = std::chrono::minutes(1);
  std::chrono::seconds last_retry = std::chrono::hours(1);
};

class MembershipKeeper {
 public:
  struct Options {
    client::SecretStore store;
    pg::SystemId system_id;
    AuthorityLink& link;
    std::function<void(std::string line)> note;  ///< from the keeper's thread
    KeeperPatience patience = {};
  };
  static base::Result<std::unique_ptr<MembershipKeeper>> open(Options options, UnixSeconds now);

  std::shared_ptr<const Standing> standing() const;
  /// No value: the authority is on another host.
  std::optional<Members> members() const;

  /// Does what is due; to be called every patience.look.
  void keep(UnixSeconds now);
  /// The next keep() does all, due or not.
  void hurry();

 private:
  /// When something is tried next, and how long after a failure.
  class Retry {
   public:
    /// Also where the clock was put back behind the last try.
    bool is_due(UnixSeconds now) const { return now >= next_ || now < last_; }
    void at_once() { next_ = {}; }
    void succeeded(UnixSeconds now, std::chrono::seconds pause);
    void failed(UnixSeconds now, const KeeperPatience& patience);

   private:
    UnixSeconds last_ = {};
    UnixSeconds next_ = {};
    std::chrono::seconds pause_ = {};
  };

  MembershipKeeper(Options options, MembershipFiles files);
  base::Result<void> look();
  base::Result<void> take_revoked(UnixSeconds now);
  base::Result<void> renew(UnixSeconds now);
  base::Result<Membership> renewed(const Standing& own, UnixSeconds now);
  void tell(std::string& told, const base::Result<void>& outcome, std::string_view what);

  const Options options_;
  const MembershipFiles files_;
  Retry revoked_retry_, renew_retry_;
  std::string told_look_, told_revoked_, told_renew_;  ///< troubles, each said once

  mutable std::mutex mutex_;  // for all below
  std::shared_ptr<const Standing> standing_;
};

}  // namespace standfast::agent

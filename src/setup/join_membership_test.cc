#include "setup/join_membership.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <future>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>

#include "agent/session_test_support.h"
#include "net/listener.h"

namespace standfast::setup {
namespace {

using agent::Members;
using agent::MembershipFiles;
using agent::testing::kCluster;
using agent::testing::wall_clock;
using base::ErrorCode;
using base::Result;
using std::chrono::hours;

/// Whose server cannot be asked, where that is said.
class Host : public agent::testing::TestHost {
 public:
  using TestHost::TestHost;
  Result<agent::Welcome> facts() const override {
    return is_up ? TestHost::facts() : base::Error(ErrorCode::kPrecondition, "the server is starting up");
  }
  std::atomic<bool> is_up = true;
};

/// An agent of the host with the authority, on a port of this host's loopback.
class Agent {
 public:
  Agent(const Members& members, std::shared_ptr<const agent::MemberContext> context)
      : host(std::move(context), backups_) {
    host.authority = members;
  }
  ~Agent() { stop_->set(); }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  std::uint16_t port() const { return listeners_.front().bound().port; }
  Host host;

 private:
  void serve() {
    while (env::wait_for(listeners_.front().fd(), POLLIN,
                         env::Wait::for_at_most(base::Seconds(60), stop_.get())) == env::Ready::kYes) {
      auto accepted = *listeners_.front().accept();
      if (!accepted) continue;
      (*agent::Session::open(host, {.fd = accepted->fd, .peer = accepted->peer}))->run();
    }
  }

  agent::testing::FakeServer server_;
  agent::testing::DataDirectory folder_;
  agent::Backups backups_{{.begin_bracket = server_.factory(), .tree = folder_.options(), .max_backups = 2}};
  const std::vector<net::Listener> listeners_ = *net::Listener::open({"127.0.0.1", 0});
  const std::unique_ptr<env::StopEvent> stop_ = *env::StopEvent::make();
  std::future<void> served_ = std::async(std::launch::async, [this] { serve(); });  ///< the first to go
};

class JoinMembershipTest : public ::testing::Test {
 protected:
  static std::string make_folder() {
    char pattern[] = "/tmp/standfast-joining-test-XXXXXX";
    return mkdtemp(pattern);
  }
  JoinMembershipTest() { signal(SIGPIPE, SIG_IGN); }
  ~JoinMembershipTest() override { static_cast<void>(env::remove_tree(disk_, folder_)); }

  client::SecretStore store(const std::string& host) const { return {disk_, folder_ + "/" + host}; }
  void make_member(const std::string& name, const std::string& host, agent::UnixSeconds now) {
    const base::Secret key = *agent::make_key();
    const base::Secret secret = *members_.invite(name, now + hours(1), now);
    ASSERT_TRUE(MembershipFiles(store(host), kCluster)
                    .save(key, *members_.admit(secret, *agent::make_request(key), now)));
  }
  void start_agent() {
    make_member("host-h1", "primary", wall_clock());
    const auto own = **MembershipFiles(store("primary"), kCluster).read();
    agent::ClusterTrust trust = own.trust;
    trust.revoked_list_pem = *members_.revoked_list(wall_clock());
    agent_.emplace(members_, *agent::MemberContext::for_server(trust, own.own,
                                                               agent::MemberContext::Strangers::kAdmitted));
  }
  std::string serial() const {
    const auto membership = *MembershipFiles(store("standby"), kCluster).read();
    return membership ? membership->facts.serial : "";
  }
  Result<AgentAtSource> join() {
    pg::Token token;
    token.system_id = kCluster;
    token.slot = "pgstandby1";
    token.agent = pg::TokenAgent{.host = "127.0.0.1",
                                 .port = agent_->port(),
                                 .ca_sha256 = *agent::fingerprint_of(members_.ca_pem()),
                                 .secret = secret_};
    base::NullReporter reporter;
    return become_member(token, store("standby"), {disk_, *stop_, reporter});
  }

  env::FileSystem& disk_ = env::posix_file_system();
  const std::string folder_ = make_folder();
  const std::unique_ptr<env::StopEvent> stop_ = *env::StopEvent::make();
  Members members_ = *Members::create(store("primary"), kCluster, wall_clock() - hours(24 * 100), {});
  base::Secret secret_;  ///< of the token
  std::optional<Agent> agent_;
};

TEST_F(JoinMembershipTest, AMemberThatIsTurnedAwayForNowKeepsWhatItHas) {
  make_member("pgstandby1", "standby", wall_clock());
  secret_ = *members_.invite("pgstandby1", wall_clock() + hours(1), wall_clock());
  start_agent();
  const std::string before = serial();
  agent_->host.is_up = false;
  const auto refused = join();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPrecondition) << refused.error().message;
  EXPECT_NE(refused.error().message.find("starting up"), std::string::npos);
  EXPECT_EQ(serial(), before);
  EXPECT_TRUE(members_.invited_by(secret_, wall_clock())) << "the secret was used up";

  agent_->host.is_up = true;
  const auto joined = join();
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_EQ(joined->membership.facts.serial, before);
  EXPECT_TRUE(members_.invited_by(secret_, wall_clock()));
}

TEST_F(JoinMembershipTest, TheSecretIsForWhoIsNoMemberOrNoneAnyMore) {
  start_agent();
  const auto join_anew = [this] {
    const std::string before = serial();
    secret_ = *members_.invite("pgstandby1", wall_clock() + hours(1), wall_clock());
    const auto joined = join();
    ASSERT_TRUE(joined) << joined.error().message;
    EXPECT_NE(serial(), before);
    EXPECT_EQ(joined->membership.facts.serial, serial());
    EXPECT_FALSE(members_.invited_by(secret_, wall_clock()));
  };
  join_anew();  // without a certificate
  agent_->host.revoke(serial());
  join_anew();  // by the agent's own list, before its TLS has it
  ASSERT_TRUE(members_.revoke("pgstandby1", wall_clock()));
  agent_.reset();
  start_agent();
  join_anew();  // in the handshake
  make_member("pgstandby1", "standby", wall_clock() - hours(24 * 31));
  join_anew();  // it has expired
}

TEST_F(JoinMembershipTest, AMembershipOfAnotherAuthorityIsNone) {
  Members other = *Members::create(store("other"), kCluster, wall_clock(), {});
  std::swap(members_, other);
  make_member("pgstandby1", "standby", wall_clock());
  std::swap(members_, other);
  start_agent();
  const std::string before = serial();
  secret_ = *members_.invite("pgstandby1", wall_clock() + hours(1), wall_clock());
  const auto joined = join();
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_NE(serial(), before);
}

}  // namespace
}  // namespace standfast::setup

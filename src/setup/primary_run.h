// One run of `primary setup` on a server that is there and running: looks, plans, applies, says what it does.
//
// Threading: one thread; run() is called once. Ownership: borrows everything it is made with. Invariants and
// failures: those of primary_setup.h. primary_run.cc has the changes of the server itself, primary_agent.cc
// the agent, primary_handover.cc what the standby is given.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "agent/members.h"
#include "pg/client/secret_store.h"
#include "pg/client/server_certificate.h"
#include "pg/server/cluster.h"
#include "pg/server/control.h"
#include "setup/admin_session.h"
#include "setup/hba_change.h"
#include "setup/primary_look.h"
#include "setup/primary_plan.h"
#include "setup/primary_setup.h"
#include "setup/settings_change.h"

namespace standfast::setup {

enum class RestartDecision : std::uint8_t { kNotNeeded, kAllowed, kDeclined };

/// The members of a plan that the user named in this run, without tokens.
std::vector<PrimaryMember> describe_named(const PrimaryPlan& plan, const PrimaryWish& wish);

/// One run on a server that is there and running.
class PrimaryRun {
 public:
  PrimaryRun(const PrimarySetupOptions& options, const SetupEnvironment& environment, const PrimaryWish& wish,
             const client::SecretStore& store, const server::Cluster& cluster,
             ServerReach reach = ServerReach::kPublic)
      : options_(options),
        environment_(environment),
        wish_(wish),
        store_(store),
        cluster_(cluster),
        reach_(reach),
        session_(cluster, options.superuser, options.maintenance_database, environment.stop) {}

  base::Result<PrimarySetupOutcome> run();

 private:
  base::Reporter& report() const { return environment_.reporter; }
  env::Wait wait() const { return session_.wait(); }

  base::Result<void> open_and_lock();
  base::Result<PrimaryLook> look();
  base::Result<void> decide_restart();
  base::Result<server::ServerControl> control() const;
  void find_restart_command();
  void say_notes() const;
  void say_changes(std::initializer_list<ChangeKind> kinds) const;
  void count_done(ChangeKind kind);

  base::Result<void> change_settings();
  base::Result<void> choose_passwords();
  base::Result<void> change_roles_and_database();
  base::Result<void> change_hba_and_restart();
  base::Result<void> prove_hba(HbaChange& change);
  base::Result<void> restart_if_allowed();
  base::Result<void> restart();
  base::Error start_after_failure(server::ServerControl& server, base::Error error,
                                  const std::vector<SettingInForce>& waiting);
  base::Result<void> check_settings_in_force();
  std::vector<std::string> trial_addresses() const;
  base::Result<void> prove_logins(HbaChange& change, const std::string& address, std::string& text);
  void say_untried(const std::vector<std::string>& addresses) const;
  bool listens_in_time(const std::string& address) const;
  base::Result<void> fetch_certificate(const std::string& address);
  base::Result<void> try_logins(const std::string& address);
  base::Result<void> create_slots();
  bool can_create_slots() const;
  base::Result<void> set_up_agent();
  base::Result<void> become_member(agent::Members& members);
  base::Result<std::optional<pg::TokenAgent>> agent_for(const PlannedMember& member);
  base::Result<void> write_tokens();
  base::Result<void> ask_firewall(PrimaryState& state);
  base::Result<void> open_firewall();
  void close_firewall();
  void tell_firewall() const;
  base::Result<void> finish();
  PrimarySetupOutcome outcome() const;

  const PrimarySetupOptions& options_;
  const SetupEnvironment& environment_;
  const PrimaryWish& wish_;
  const client::SecretStore& store_;
  const server::Cluster& cluster_;
  ServerReach reach_;
  AdminSession session_;
  std::optional<client::Connection> admin_;
  std::optional<PrimaryLook> look_;
  PrimaryPlan plan_;
  RestartDecision decision_ = RestartDecision::kNotNeeded;
  std::optional<AutoConfBackup> auto_conf_;
  std::optional<client::PeerCertificate> certificate_;  ///< with its whole chain
  std::string ca_der_;                                  ///< the part of the chain that the token has to carry
  std::string restart_command_;
  std::vector<FirewallOpening> opened_;  ///< what this run has let through the firewall
  std::vector<PlannedChange> done_;
  std::vector<PrimaryMember> members_;
  std::optional<agent::Members> authority_;  ///< once it is there, and an agent is wished for
  std::optional<AgentOutcome> agent_;
};

}  // namespace standfast::setup

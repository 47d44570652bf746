#include "setup/witness_removal.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "pg/format/sync_standby_names.h"
#include "setup/admin_session.h"
#include "setup/firewall.h"
#include "setup/names.h"
#include "setup/primary_look.h"
#include "setup/primary_plan_parts.h"
#include "setup/setup_lock.h"

namespace standfast::setup {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::string_view kStep = "2.1";

/// In force, or from the next reload on.
bool is_waited_for(const PrimaryState& state, const std::string& name) {
  const auto setting = state.settings.find("synchronous_standby_names");
  if (setting == state.settings.end()) return false;
  const auto names_it = [&](const std::string& list) {
    const auto parsed = pg::SyncStandbyNames::parse(list);
    return parsed && parsed->names_it(name);
  };
  return names_it(setting->second.value) || names_it(setting->second.configured);
}

Result<WitnessRemoval> find_witness(const PrimaryState& state, const std::string& name) {
  WitnessRemoval found{.name = name, .address_cidr = ""};
  if (state.hba_block) {
    for (const pg::HbaBlockEntry& entry : state.hba_block->members) {
      if (entry.slot_name != name) continue;
      if (entry.kind == MemberKind::kWitness) {
        found.address_cidr = entry.address_cidr;
        continue;
      }
      return Error(ErrorCode::kSlot, fmt::format("\"{}\" is the slot of a standby, not a witness", name),
                   "Name the witness as standfast status shows it.");
    }
  }
  found.has_row = std::any_of(state.witnesses.begin(), state.witnesses.end(),
                              [&](const KnownWitness& row) { return row.name == name; });
  const auto token = state.tokens.find(name);
  found.has_token = token != state.tokens.end() && token->second.kind == pg::TokenKind::kWitness;
  // A slot alone may be anybody's.
  const auto slot = state.slots.find(name);
  const bool is_known = !found.address_cidr.empty() || found.has_row || found.has_token;
  found.has_slot = is_known && slot != state.slots.end() && slot->second.is_physical;
  return found;
}

Result<void> refuse_if_in_use(const PrimaryState& state, const WitnessRemoval& witness) {
  if (is_waited_for(state, witness.name)) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" is listed in synchronous_standby_names: without it commits may wait for "
                             "ever",
                             witness.name),
                 fmt::format("Take it out there first: standfast sync disable {}. Nothing was changed.",
                             witness.name));
  }
  const auto slot = state.slots.find(witness.name);
  if (!witness.has_slot || !slot->second.is_active) return base::ok();
  return Error(
      ErrorCode::kSlot,
      fmt::format("the witness \"{}\" still streams, from {}", witness.name,
                  slot->second.used_from.value_or("this host")),
      "End it on its host, so that it does not come back, then run this again. Nothing was changed.");
}

void describe(const WitnessRemoval& witness, RemovalPlan& plan) {
  const std::string& name = witness.name;
  if (!witness.address_cidr.empty()) {
    plan.changes.push_back({ChangeKind::kHba, "1.3",
                            fmt::format("pg_hba.conf: the line of the witness {} taken out", name),
                            fmt::format("nobody logs in from {} for it any more", witness.address_cidr)});
  }
  if (witness.has_slot) {
    plan.changes.push_back({ChangeKind::kSlot, std::string(kStep), fmt::format("slot {}: dropped", name),
                            "it would hold back WAL for a witness that does not come back"});
  }
  if (witness.has_row) {
    plan.changes.push_back({ChangeKind::kDatabase, std::string(kStep),
                            fmt::format("table {}.{}: {} taken out", kMarkerSchema, kWitnessTable, name),
                            "a promotion asks for it no longer"});
  }
  if (witness.has_token) {
    plan.changes.push_back({ChangeKind::kToken, std::string(kStep),
                            fmt::format("token for {}: removed from the secret store", name),
                            "it holds the password of the replication role"});
  }
}

Result<void> plan_hba_without(const PrimaryState& state, RemovalPlan& plan) {
  plan.hba_text = state.hba_text;
  if (!state.hba_block) return base::ok();
  pg::HbaBlock block = *state.hba_block;
  std::erase_if(block.members, [&](const pg::HbaBlockEntry& entry) {
    return std::any_of(plan.witnesses.begin(), plan.witnesses.end(), [&](const WitnessRemoval& witness) {
      return !witness.address_cidr.empty() && witness.name == entry.slot_name;
    });
  });
  if (block.members.size() == state.hba_block->members.size()) return base::ok();
  block.probe_address_cidr.reset();
  plan.hba_text = TRY(pg::with_block(state.hba_text, block, dialect_of(state)));
  plan.hba_changes = true;
  if (!state.hba_obstacle) return base::ok();
  return Error(ErrorCode::kPermission, "pg_hba.conf cannot be changed: " + *state.hba_obstacle,
               "Nothing was changed. Take the witness's comment and its line out of the block yourself, "
               "reload the server, and run this again.");
}

}  // namespace

Result<RemovalPlan> plan_witness_removal(const PrimaryState& state, std::span<const std::string> names) {
  if (state.server.in_recovery) {
    return Error(ErrorCode::kPrecondition, "this server is a standby, and its witnesses are its primary's",
                 "Run this on the primary.");
  }
  TRY(refuse_broken_hba(state));
  RemovalPlan plan;
  for (const std::string& name : names) {
    const WitnessRemoval witness = TRY(find_witness(state, name));
    TRY(refuse_if_in_use(state, witness));
    const std::size_t described_before = plan.changes.size();
    describe(witness, plan);
    if (plan.changes.size() == described_before) {
      plan.notes.push_back({fmt::format("no witness \"{}\" is known here", name)});
      continue;
    }
    plan.witnesses.push_back(witness);
    plan.notes.push_back({fmt::format("what {} keeps on its own host stays there", name)});
  }
  TRY(plan_hba_without(state, plan));
  return plan;
}

namespace {

class Removal {
 public:
  Removal(const PrimarySetupOptions& options, const SetupEnvironment& environment,
          const client::SecretStore& store, const server::Cluster& cluster)
      : options_(options),
        environment_(environment),
        store_(store),
        cluster_(cluster),
        session_(cluster, options.superuser, options.maintenance_database, environment.stop) {}

  Result<PrimarySetupOutcome> run(const PrimaryWish& wish) {
    admin_ = TRY(session_.connect());
    const bool is_dry = options_.mode == RunMode::kDryRun;
    if (!is_dry) TRY(lock_setup(*admin_, environment_.stop));
    look_ = TRY(
        PrimaryLooker(environment_.files, cluster_, store_, *admin_, ServerReach::kPublic, session_.wait())
            .look(wish, std::nullopt));
    plan_ = TRY(plan_witness_removal(look_->state, options_.remove_witnesses));
    for (const PlanNote& note : plan_.notes) environment_.reporter.info(note.line);
    if (!is_dry && !plan_.changes.empty()) TRY(apply());
    PrimarySetupOutcome outcome;
    outcome.system_id = look_->state.system_id;
    outcome.port = look_->state.port;
    outcome.changes = plan_.changes;
    outcome.verdict = plan_.changes.empty() ? PrimaryVerdict::kUnchanged
                      : is_dry              ? PrimaryVerdict::kPlanned
                                            : PrimaryVerdict::kChanged;
    return outcome;
  }

 private:
  base::Reporter& report() const { return environment_.reporter; }

  Result<void> apply() {
    if (plan_.hba_changes) TRY(change_hba());
    report().step(kStep, "slot, row and token");
    for (const PlannedChange& change : plan_.changes) {
      if (change.kind != ChangeKind::kHba) say(change);
    }
    for (const WitnessRemoval& witness : plan_.witnesses) TRY(forget(witness));
    return base::ok();
  }

  void say(const PlannedChange& change) const {
    report().info(fmt::format("{} ({})", change.what, change.reason));
  }

  Result<void> change_hba() {
    report().step("1.3", "pg_hba.conf");
    for (const PlannedChange& change : plan_.changes) {
      if (change.kind == ChangeKind::kHba) say(change);
    }
    SessionHbaServer server(session_);
    HbaChange change(environment_.files, server, look_->hba_path, look_->state.hba_text, look_->hba_access);
    if (auto put = change.put(plan_.hba_text, DatedCopy::kMake); !put)
      return change.take_back_after(std::move(put).error());
    change.keep();
    if (change.copy_path()) report().info(fmt::format("what it held before is in {}", *change.copy_path()));
    tell_firewall();
    return base::ok();
  }

  /// Whether it was opened for the witness, and for nobody else, only the administrator knows.
  void tell_firewall() const {
    const auto firewall = find_firewall(environment_.files);
    if (!firewall || !*firewall) return;
    for (const WitnessRemoval& witness : plan_.witnesses) {
      if (witness.address_cidr.empty() || is_loopback(witness.address_cidr)) continue;
      report().info("if the firewall was opened for it alone, close it: " +
                    closing_command((*firewall)->kind, witness.address_cidr, look_->state.port));
    }
  }

  Result<void> forget(const WitnessRemoval& witness) {
    if (witness.has_slot) {
      const std::optional<std::string> parameters[] = {witness.name};
      TRY(admin_->query("SELECT pg_drop_replication_slot($1)", parameters, session_.wait()));
    }
    if (witness.has_row) {
      client::Connection inside = TRY(session_.connect_to(std::string(kMonitorDatabase)));
      TRY(remove_witness(inside, witness.name, session_.wait()));
    }
    return witness.has_token ? store_.remove(look_->state.system_id, token_file_name(witness.name))
                             : base::ok();
  }

  const PrimarySetupOptions& options_;
  const SetupEnvironment& environment_;
  const client::SecretStore& store_;
  const server::Cluster& cluster_;
  AdminSession session_;
  std::optional<client::Connection> admin_;
  std::optional<PrimaryLook> look_;
  RemovalPlan plan_;
};

}  // namespace

Result<PrimarySetupOutcome> remove_witnesses(const PrimarySetupOptions& options,
                                             const SetupEnvironment& environment, const PrimaryWish& wish,
                                             const client::SecretStore& store,
                                             const server::Cluster& cluster) {
  return Removal(options, environment, store, cluster).run(wish);
}

}  // namespace standfast::setup

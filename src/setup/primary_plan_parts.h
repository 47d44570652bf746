// The parts of a plan that have rules of their own. Each reads the state and the wish, and adds to the plan;
// primary_plan.cc calls them in the order of doing.
//
// Pure functions. Fail as plan_primary() does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "setup/primary_plan.h"

namespace standfast::setup {

/// The settings, the restart they wait for, and the bound for what a dead standby may cost; plan.members are
/// there already.
base::Result<void> plan_settings(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);

base::Result<void> plan_roles(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);
base::Result<void> plan_database(const PrimaryState& state, PrimaryPlan& plan);

/// A witness's part of plan.members: the one of that name or address, or a new one.
base::Result<void> name_witness(const PrimaryState& state, const WitnessWish& wish,
                                std::vector<PlannedMember>& members);
/// Their rows in the database, and what commits with them mean here; plan.members are there already.
void plan_witnesses(const PrimaryState& state, PrimaryPlan& plan);

/// The first of prefix1, prefix2 ... that is nobody's.
std::string next_slot_name(const PrimaryState& state, const std::vector<PlannedMember>& members,
                           std::string_view prefix);
/// A slot that this run is to use for `address_cidr` and that was not its before. kSlot.
base::Result<void> check_slot_is_free(const PrimaryState& state, const std::string& slot,
                                      const std::string& address_cidr);

/// The server's certificate as a standby will verify it; plan.members are there already.
base::Result<void> plan_certificate(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);
/// Tokens to write and to renew; all else of the plan is there already.
void plan_tokens(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);

/// The members' certificates, the agent and where standbys find it; plan.members are there already.
base::Result<void> plan_agent(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);

/// As the server reads pg_hba.conf.
pg::HbaDialect dialect_of(const PrimaryState& state);
/// kPrecondition: a file that the server cannot read is not added to.
base::Result<void> refuse_broken_hba(const PrimaryState& state);

/// A single address without its prefix, a network with it.
std::string shown_address(const std::string& cidr);

}  // namespace standfast::setup

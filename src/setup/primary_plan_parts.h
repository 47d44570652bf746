// The parts of a plan that have rules of their own. Each reads the state and the wish, and adds to the plan;
// primary_plan.cc calls them in the order of doing.
//
// Pure functions. Fail as plan_primary() does.
#pragma once

#include <string>

#include "base/result.h"
#include "setup/primary_plan.h"

namespace standfast::setup {

/// The settings, the restart they wait for, and the bound for what a dead standby may cost; plan.members are
/// there already.
base::Result<void> plan_settings(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);

base::Result<void> plan_roles(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);
base::Result<void> plan_database(const PrimaryState& state, PrimaryPlan& plan);

/// The server's certificate as a standby will verify it; plan.members are there already.
base::Result<void> plan_certificate(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);
/// Tokens to write and to renew; all else of the plan is there already.
void plan_tokens(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan);

/// A single address without its prefix, a network with it.
std::string shown_address(const std::string& cidr);

}  // namespace standfast::setup

// `standfast primary setup --remove-witness`: takes out what setup made for a witness that is gone for good:
// its lines in pg_hba.conf, its slot, its row in the table of witnesses, its token. Nothing else of the
// server is looked at or changed, and the WAL on the witness's host stays.
//
// The row goes last but for the token: as long as it is there, `standby promote` asks for the witness, and a
// run after a killed one knows that there is something left to do.
//
// Threading: one thread. Fails before anything was changed with kPrecondition while
// synchronous_standby_names has the name (every commit would wait) and on a standby; kSlot while the witness
// streams and for a name that is a standby's; kPermission where pg_hba.conf cannot be changed; and as
// connections do.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/client/secret_store.h"
#include "pg/server/cluster.h"
#include "setup/primary_plan.h"

namespace standfast::setup {

struct WitnessRemoval {
  std::string name;
  std::string address_cidr;  ///< of its lines in pg_hba.conf; "" where it has none
  bool has_slot = false;
  bool has_row = false;
  bool has_token = false;
};

struct RemovalPlan {
  std::vector<WitnessRemoval> witnesses;  ///< those of which there is anything
  std::string hba_text;                   ///< the whole file without their lines
  bool hba_changes = false;
  std::vector<PlannedChange> changes;  ///< in the order of doing
  std::vector<PlanNote> notes;
};
/// Pure. A name that is not known here is a note.
base::Result<RemovalPlan> plan_witness_removal(const PrimaryState& state, std::span<const std::string> names);

base::Result<PrimarySetupOutcome> remove_witnesses(const PrimarySetupOptions& options,
                                                   const SetupEnvironment& environment,
                                                   const PrimaryWish& wish, const client::SecretStore& store,
                                                   const server::Cluster& cluster);

}  // namespace standfast::setup

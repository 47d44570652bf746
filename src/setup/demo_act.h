// The act of the demo: a standby is cut off, clients go on committing, the primary is killed, the standby is
// promoted, and each row whose commit was acknowledged is looked for.
//
// The standby is cut off by its own settings, because one machine without root has no cable to pull:
// primary_conninfo gets a hostaddr where nobody listens, so its receiver finds no primary and gets nothing,
// while name, port and password, by which a promotion finds the witness, stay as they are.
//
// Threading: one thread (the writers have theirs). Ownership: borrows the stage. Fails with: kNotReplicating
// when an acknowledged row is missing, kTimeout, and as promotions, statements and processes do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pg/format/lsn.h"
#include "setup/demo_stage.h"
#include "setup/demo_writers.h"
#include "setup/promotion.h"

namespace standfast::setup {

struct DemoLossProof {
  std::uint64_t acknowledged_rows = 0;
  std::uint64_t found_rows = 0;    ///< of those
  std::uint64_t further_rows = 0;  ///< their commits were on the way when the primary died
  base::Clock::duration mean_commit{}, longest_commit{};
  pg::Lsn acknowledged_lsn;  ///< by the witness, shortly before the kill
  pg::Lsn standby_lsn;       ///< what the standby had, cut off
  PromotionOutcome promotion = {};
};

class DemoAct {
 public:
  DemoAct(const DemoStage& stage, const DemoServer& primary, const DemoServer& standby,
          std::string standby_name)
      : stage_(stage), primary_(primary), standby_(standby), standby_name_(std::move(standby_name)) {}

  /// The standby is the primary afterwards.
  base::Result<DemoLossProof> run();

 private:
  base::Result<void> cut_standby_off();
  base::Result<void> wait_for_standby(client::Connection& primary, client::Connection& standby) const;
  base::Result<void> lead_nowhere(client::Connection standby) const;
  base::Result<void> wait_until_it_is_gone(client::Connection& primary) const;
  base::Result<pg::Lsn> standby_position() const;
  base::Result<void> commit_and_kill();
  base::Result<void> look_before_kill();
  base::Result<void> kill_primary() const;
  base::Result<void> promote();
  base::Result<void> count();

  const DemoStage& stage_;
  const DemoServer& primary_;
  const DemoServer& standby_;
  std::string standby_name_;
  std::vector<DemoWriters::Session> sessions_;
  DemoLossProof proof_;
};

// The parts, for tests; pure.

/// One row: "told", how many of the acknowledged rows are there, and "present", how many rows in all.
std::string count_acknowledged_sql(const std::vector<DemoWriters::Session>& sessions);
/// The primary_conninfo with another way to the same name.
base::Result<std::string> led_nowhere(const std::string& primary_conninfo);

}  // namespace standfast::setup

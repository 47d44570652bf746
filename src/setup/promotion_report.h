// What is said when a standby has become a primary: its timeline, what that leaves behind, what comes next.
//
// Threading: one thread. A promotion that has happened is no failure.
#pragma once

#include <string>
#include <vector>

#include "pg/server/cluster.h"
#include "setup/environment.h"
#include "setup/promotion.h"

namespace standfast::setup {

/// The new timeline, and where it begins. Fails as files do; kProtocol where pg_wal has no history.
base::Result<void> read_new_timeline(const server::Cluster& cluster, const SetupEnvironment& environment,
                                     PromotionOutcome& outcome);
void report_promotion(const std::string& data_directory, const SetupEnvironment& environment,
                      const PromotionOutcome& outcome);

// The parts, for tests.

struct Remark {
  std::string line;
  std::string hint;  ///< "" where nothing is wrong
};
/// What the promotion leaves behind.
Remark describe_gap(const PromotionOutcome& outcome);
/// Of witnesses that have WAL beyond the new timeline's beginning.
std::vector<Remark> remarks_on_witnesses(const PromotionOutcome& outcome);
/// Whom commits wait for now, and how witnesses are led here.
std::vector<Remark> remarks_on_commits(const PromotionOutcome& outcome, const std::string& data_directory);

}  // namespace standfast::setup

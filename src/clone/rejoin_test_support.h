// For tests: the stopped data directory of a rejoin that was killed.
#pragma once

#include "clone/inner_folder.h"
#include "clone/rejoin_aside.h"
#include "clone/test_support.h"

namespace standfast::clone::testing {

inline const pg::SystemId kRejoinedSystem(7);

class KilledRejoinTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    put_data_directory("data", kRejoinedSystem, pg::DbState::kShutDown);
    ASSERT_TRUE(files_.make_directory(at("data/pg_wal"), 0700));
    journal_ = {.system_id = kRejoinedSystem, .time = "20260131T120000", .wal_folder = at("data/pg_wal")};
  }
  /// It had changed nothing yet.
  void note() {
    ASSERT_TRUE(make_inner_folder(files_, at("data")));
    ASSERT_TRUE(write_rejoin_journal(files_, at("data"), journal_));
  }
  /// It had taken out what no server starts without.
  void begin() { ASSERT_TRUE(set_aside(files_, at("data"), journal_, {}, pg::Version(150000))); }

  RejoinJournal journal_;
};

}  // namespace standfast::clone::testing

// The course of one rejoin; rejoin.h has its contract. Inside the folder clone/ only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "clone/agent_backup.h"
#include "clone/outside.h"
#include "clone/rejoin.h"
#include "clone/rejoin_aside.h"
#include "clone/source.h"
#include "clone/target.h"
#include "clone/wal_stream.h"

namespace standfast::clone {

class RejoinCourse {
 public:
  RejoinCourse(const RejoinOptions& options, const CloneEnvironment& environment);

  base::Result<RejoinPlan> plan();
  base::Result<RejoinFacts> run(const Claim& claim);
  /// No server starts from the directory now. That can be known before it is looked at: from an earlier
  /// course.
  bool is_in_pieces() const { return is_in_pieces_; }
  void goes_on_in_pieces() { is_in_pieces_ = true; }
  /// Closes all connections, and says how the directory is left.
  base::Error as_left(base::Error error);

 private:
  // What there is (rejoin_look.cc).
  base::Result<void> inspect(OnRunningServer on_running_server);
  base::Result<void> connect();
  base::Result<void> look();
  base::Result<void> check_noted_slot() const;
  base::Result<void> check_it_is_old() const;
  base::Result<void> end_aside();
  base::Result<void> judge();
  base::Result<Kinship> kinship() const;
  base::Result<void> refuse_the_source_itself() const;
  base::Result<void> refuse_by_judgement() const;
  base::Result<void> connect_to_agent();
  base::Result<CopyPlaces> find_places();
  base::Result<TablespacePlace> place_tablespace(const agent::Tablespace& tablespace, const OldLinks& links);

  // What is done.
  base::Result<void> steps();
  base::Result<void> hold_wal();
  base::Result<void> create_slot();
  base::Result<void> note_slot();
  void give_slot_back();
  RejoinJournal journal_of_this_run() const;
  base::Result<void> try_named_slot();
  base::Result<void> begin_backup();
  base::Result<std::vector<DiskNeed>> check_room();
  base::Result<void> look_once_more();
  base::Result<void> take_aside();
  base::Result<void> hold_folders();
  base::Result<void> start_wal();
  base::Result<void> copy();
  base::Result<void> write_settings();
  base::Result<void> place();
  void hand_over_slot();
  void tell_of_left_tablespaces() const;

  env::Wait wait(base::Clock::duration timeout) const {
    return env::Wait::for_at_most(timeout, &environment_.stop);
  }

  const RejoinOptions& options_;
  CloneEnvironment environment_;
  env::FileSystem& files_;
  base::Reporter& reporter_;

  TargetState target_;
  OldDirectory old_;
  std::optional<client::ReplicationConnection> connection_;
  std::optional<client::ReplicationConnection> wal_connection_;
  SourceFacts source_;
  std::optional<pg::TimelineHistory> source_history_;
  RejoinJudgement judgement_;
  std::unique_ptr<AgentBackup> agent_;
  std::optional<std::string> stream_slot_;
  bool created_slot_ = false;  ///< by this run
  bool noted_slot_ = false;    ///< the journal is this run's, and has no more than that slot
  bool hands_over_ = false;    ///< from a temporary slot to the named one
  bool server_was_stopped_ = false;
  bool is_plan_ = false;
  bool is_in_pieces_ = false;  ///< no server starts from the directory
  bool is_placed_ = false;     ///< it is a standby, with its slot, whatever goes wrong after that
  std::optional<RejoinJournal> journal_;
  CopyPlaces places_;
  std::map<std::string, std::string> left_tablespaces_;  ///< pg_tblspc's names that the source has not
  /// What the source names is written through it. Outlives who writes.
  std::unique_ptr<env::FileSystem> beneath_;
  std::unique_ptr<WalStream> wal_;
  RejoinFacts facts_;
};

}  // namespace standfast::clone

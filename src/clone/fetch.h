// The course of one clone; clone.h has its contract. Inside the folder clone/ only.
//
// Threads of a fetch: the caller's receives the backup and hands messages on; the writer unpacks and writes
// them; SyncPool's make files durable; WalStream's receives WAL. Whichever fails first ends the others.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "clone/agent_backup.h"
#include "clone/clone.h"
#include "clone/interrupted.h"
#include "clone/left_slot.h"
#include "clone/slot_watch.h"
#include "clone/source.h"
#include "clone/staging.h"
#include "clone/stream_queue.h"
#include "clone/sync_pool.h"
#include "clone/target.h"
#include "clone/tree_writer.h"
#include "clone/wal_stream.h"

namespace standfast::clone {

/// What outlives the fetch: all that has to be put in place, or taken back.
struct StagedClone::State {
  CloneOptions options;
  CloneEnvironment environment;
  base::Stopwatch stopwatch = {};
  std::optional<Staging> staging = {};
  std::optional<std::string> created_slot = {};
  bool slot_is_unsure = false;  ///< the server has not said that it made it, and may still be about to
  std::optional<LeftSlot> left_slot = {};
  bool server_was_stopped = false;
  bool placed = false;
  bool is_resumable = false;  ///< what was copied stays for the next run
  CloneFacts facts = {};
  /// Holds the WAL back, by its temporary slot, until the named one does.
  std::optional<client::ReplicationConnection> wal_connection = {};
  std::optional<client::BackupPosition> hands_over_at = {};

  void hand_over_slot();
  void tell_what_is_kept(const Placed& kept) const;
  void tell_of_unfinished() const;
  void clean_up();
};

class Fetch {
 public:
  Fetch(const CloneOptions& options, const CloneEnvironment& environment);

  /// Before run(): of one that failed, and did not clean up.
  void goes_on_after(const Fetch& earlier);
  /// After a failure all connections are closed, and what was made is there until clean_up().
  base::Result<StagedClone> run(const Claim& claim);
  Left left() const { return state_->is_resumable ? Left::kPart : Left::kNothing; }
  void clean_up() { state_->clean_up(); }
  base::Result<ClonePlan> plan();

 private:
  base::Result<void> check_options() const;
  base::Result<TargetState> inspect(OnRunningServer on_running_server) const;
  base::Result<void> look();
  base::Result<void> look_at_folders() const;
  base::Result<void> end_interrupted_placement(const Claim& claim);
  base::Result<void> remove_what_a_killed_run_left();
  base::Result<void> stop_server();
  base::Result<void> prepare_wal();
  base::Result<void> try_named_slot();
  void look_for_left_slot();
  base::Result<void> make_staging();
  std::vector<std::string> login_files() const;
  base::Result<void> create_slots();
  base::Result<void> create_temporary_slot();
  base::Result<void> begin_backup();
  base::Result<void> begin_base_backup();
  base::Result<void> take_over_start();
  base::Result<void> check_room() const;
  base::Result<void> place_tablespaces();
  base::Result<std::string> mapped_location(const pg::BackupTablespace& tablespace) const;
  base::Result<void> refuse_sources_own(const pg::BackupTablespace& tablespace,
                                        const std::string& place) const;
  base::Result<void> hold_folders();
  base::Result<void> start_wal();
  base::Result<void> transfer();
  base::Result<void> receive_backup(StreamQueue& queue, std::size_t copies);
  base::Result<void> receive_one_copy(StreamQueue& queue);
  base::Result<void> pass_on(StreamQueue& queue, StreamItem item);
  base::Result<void> finish_wal();
  base::Result<void> check_against_manifest();
  base::Result<void> write_settings();
  base::Result<void> sync_folders();

  // Through an agent (fetch_agent.cc).
  base::Result<void> choose_way();
  base::Result<void> take_up(const Journal& journal);
  base::Result<void> take_up_own_slot(const std::string& name);
  base::Result<void> begin_agent_backup();
  base::Result<void> copy_from_the_agent();
  base::Result<void> tell_of_agent_copy(const CopyProgress& progress);
  base::Result<void> finish_agent_copy();
  CopyPlaces copy_places() const;
  SyncFiles sync_files() const { return options_.sync ? SyncFiles::kYes : SyncFiles::kNo; }

  void keep_for_hand_over();

  base::Error with_server_warnings(base::Error error) const;
  void say_what_the_source_is() const;
  std::string_view source_word() const { return source_.is_standby ? "standby" : "primary"; }
  TargetRules target_rules(OnRunningServer on_running_server) const;
  env::Wait wait(base::Clock::duration timeout) const;
  base::Clock::duration patience() const;  ///< with a server that sends nothing
  bool streams_wal() const { return options_.wal == WalMethod::kStream; }
  void report_progress();

  const CloneOptions& options_;
  CloneEnvironment environment_;
  env::FileSystem& files_;
  base::Reporter& reporter_;
  std::unique_ptr<StagedClone::State> state_;

  /// Of a killed run, and only while it is not settled: in a plan.
  std::optional<Interrupted> interrupted_;
  TargetState target_;
  std::unique_ptr<AgentBackup> agent_;  ///< null: by BASE_BACKUP
  std::optional<Journal> taken_up_;     ///< of the copy that this one goes on with
  std::optional<SlotWatch> slot_watch_;
  std::optional<client::ReplicationConnection> backup_connection_;
  std::optional<client::ReplicationConnection> wal_connection_;
  SourceFacts source_;
  std::optional<std::string> stream_slot_;  ///< what the WAL is streamed through
  bool hands_over_ = false;                 ///< to the named slot, at the end
  client::BackupStart start_;
  std::optional<std::uint64_t> total_bytes_;
  std::map<std::uint32_t, TablespacePlace> tablespaces_;
  /// Those of the copy's own folders: what the server sends is written through it. Outlives who writes.
  std::unique_ptr<env::FileSystem> beneath_;
  std::unique_ptr<WalStream> wal_;
  std::unique_ptr<SyncPool> pool_;
  std::unique_ptr<TreeWriter> writer_;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t received_messages_ = 0;
};

}  // namespace standfast::clone

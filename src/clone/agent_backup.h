// A backup of a source's agent, and the copy that is made within it: what a first copy, one that goes on and
// a rejoin have in common (agent_copy.h is the algorithm). In this order:
//
//   connect()   a member's connection, and what the agent says of its server
//   begin()     the backup, and the list of its files
//   copy()      the folders become what the list says; pg_control waits beside its place
//   end()       the backup's end; backup_label is written as the server gave it
//   finish()    once the WAL is there up to the stop position: the manifest
//   place_control_file() (agent_copy.h), last
//
// Destroyed before end() it leaves the backup, which the agent then ends.
//
// Threading: one thread; copy() has others inside. Ownership: owns its connection; borrows the file system.
// Fails: as agent/client.h and agent_copy.h; kPrecondition where the source's timeline changed meanwhile.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/client.h"
#include "base/reporter.h"
#include "base/result.h"
#include "clone/agent_copy.h"
#include "clone/agent_stream.h"
#include "clone/copy_difference.h"
#include "clone/manifest_writer.h"
#include "clone/slot_watch.h"
#include "pg/format/timeline_history.h"
#include "pg/format/versions.h"

namespace standfast::clone {

/// Where an agent is, and what admits to it.
struct AgentSource {
  net::HostPort address;
  std::shared_ptr<const agent::MemberContext> context;
  pg::SystemId system_id;
};

class AgentBackup {
 public:
  static base::Result<std::unique_ptr<AgentBackup>> connect(AgentSource source, const env::StopEvent& stop);

  const agent::Welcome& welcome() const { return client_->welcome(); }
  pg::Version version() const { return pg::Version(static_cast<int>(welcome().server_version_num)); }
  const std::string& member() const { return client_->peer().name; }

  base::Result<void> begin(const agent::BeginBackup& request);
  const agent::BackupBegun& begun() const { return begun_; }
  std::span<const agent::FileEntry> entries() const { return entries_; }
  /// As many as were asked for, or as this host and the link are good for.
  std::size_t streams(std::optional<std::size_t> asked) const { return asked.value_or(default_streams_); }
  /// Of the files of a tablespace; 0: of all others.
  std::uint64_t listed_bytes(std::uint32_t tablespace) const;

  /// Between begin() and end(); changes nothing.
  base::Result<CopyDifference> compare(env::FileSystem& files, const CopyPlaces& places,
                                       base::Reporter& reporter, const env::StopEvent& stop);

  /// Pages are checked where the source has checksums.
  enum class CheckPages : std::uint8_t { kNo, kYes };
  /// A connection that breaks is opened again (lasting_stream.h), and that is said.
  base::Result<void> copy(env::FileSystem& files, AgentCopyOptions options, CheckPages check_pages,
                          base::Reporter& reporter, const env::StopEvent& stop);
  /// Looks through this, which outlives it: between begin() and end(), in the thread that calls copy().
  SlotWatch watch_slot(const std::string& slot, base::Reporter& reporter);
  base::Result<void> end(env::FileSystem& files, const CopyPlaces& places, SyncFiles sync);
  const agent::BackupEnded& ended() const { return ended_; }

  /// `history`: of the timeline that it stopped on. False: this server has no manifests.
  base::Result<bool> finish(env::FileSystem& files, const CopyPlaces& places, SyncFiles sync,
                            const std::optional<pg::TimelineHistory>& history, const env::StopEvent& stop);
  /// From copy() on.
  const AgentCopy& copied() const { return copy_; }

 private:
  AgentBackup(AgentSource source, std::unique_ptr<agent::AgentClient> client)
      : source_(std::move(source)), client_(std::move(client)) {}
  agent::ClientOptions client_options() const;
  base::Error as_holders(base::Error failure) const;
  base::Error as_streams(base::Error failure);

  AgentSource source_;
  std::unique_ptr<agent::AgentClient> client_;
  std::size_t default_streams_ = 1;
  agent::BackupBegun begun_;
  agent::BackupEnded ended_;
  std::vector<agent::FileEntry> entries_;
  AgentCopy copy_;
};

}  // namespace standfast::clone

// The backup bracket of a server, held in a session of its own (backup.c, xlogfuncs.c
// pg_backup_start()): what is read of the data directory between its begin and end(), with the WAL from the
// start to the stop position, makes a base backup. The session stays open in between; when it is lost the
// server ends the backup by itself, and nothing of it lies in the data directory, because it is never an
// exclusive one.
//
// Threading: one thread at a time. Ownership: a bracket owns its connection; destroyed before end() it leaves
// the backup by closing it. Fails with: kPrecondition (a server that cannot be backed up now: wal_level, a
// standby whose primary has full_page_writes = off), kCancelled, kTimeout, and as client::Connection does;
// after any of these the backup is lost.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/messages.h"
#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/format/lsn.h"

namespace standfast::agent {

struct BackupStart {
  pg::Lsn start;
  pg::TimelineId timeline;
  /// SourceTreeOptions has it.
  std::string stats_temp_folder = {};
};
/// Of a server until 14, whose backups leave that folder out: `setting` is its stats_temp_directory. Relative
/// to the data directory; empty: not below it (basebackup.c perform_base_backup()).
std::string stats_temp_folder_of(std::string_view setting, std::string_view data_directory);

/// A backup that has begun; abstract, so that who holds it can be tested without a server.
class Bracket {
 public:
  virtual ~Bracket() = default;
  virtual const BackupStart& start() const = 0;
  /// Whether the server's session still lives, and with it the backup. To be asked now and then.
  virtual base::Result<void> check(const env::Wait& wait) = 0;
  virtual base::Result<SlotState> slot(const std::string& name, const env::Wait& wait) = 0;
  /// Once. The WAL is streamed, so that no archiving is waited for.
  virtual base::Result<BackupEnded> end(const env::Wait& wait) = 0;
};

/// `connection`: of a role that may execute the functions, on any database. A spread checkpoint may take as
/// long as checkpoint_timeout.
base::Result<std::unique_ptr<Bracket>> begin_bracket(client::Connection connection,
                                                     const BeginBackup& request, const env::Wait& wait);

}  // namespace standfast::agent

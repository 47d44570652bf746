// Whether what was received is what the server's manifest says it sent.
//
// Threading: one thread. Fails: kDamaged with the first file that differs, or when the manifest's own
// checksum does not hold; kProtocol when it is not understood or of another backup.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "clone/tree_writer.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::clone {

struct BackupIdentity {
  pg::SystemId system_id;
  pg::TimelineId timeline;
  pg::Lsn start_lsn;
  pg::Lsn stop_lsn;
};

/// Of a manifest that was asked for with CRC-32C.
base::Result<void> check_manifest(const std::string& manifest_text, const std::vector<ReceivedFile>& received,
                                  const BackupIdentity& backup);

/// Of the copy of a standby. No record in the WAL marks the end of such a backup: pg_control does, by its
/// minRecoveryPoint, so it must be younger than everything else but the WAL (access/transam/xlogrecovery.c
/// CheckRecoveryConsistency()). kProtocol.
base::Result<void> check_control_file_came_last(const std::vector<ReceivedFile>& received);

}  // namespace standfast::clone

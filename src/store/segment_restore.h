// One file of a folder of WAL, handed to a recovery that asks for it by its name (restore_command;
// access/transam/xlogarchive.c RestoreArchivedFile()).
//
// A segment is followed record by record on its way: recovery takes a damaged record for the end of all WAL,
// so a segment that others follow must not be handed over damaged. The .partial segment that ends a timeline
// has zeros behind its last whole record.
//
// The target is fsynced and gets its name last, by a rename, durable; recovery fsyncs it once more when it
// keeps it (KeepFileRestoredFromArchive(), durable_rename()). The store's own .partial is not fsynced for it,
// nor read from the device: what is handed over are records whose checksums hold, the primary had them on its
// disk before it sent them, and they count on the target's disk. What this store has acknowledged is another
// matter, which no reader adds to.
//
// Threading: one thread. Ownership: borrows the FileSystem. Fails with kFailed only where the file is not
// there, or the whole folder is not; kUsage for a name that no recovery asks for and a folder that is none;
// kDamaged where the file is there and must not be used; kCancelled; else kIo, kPermission, kDiskFull. The
// target is then as it was.
#pragma once

#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::store {

struct RestoreOptions {
  std::string folder;
  std::string name;    ///< %f
  std::string target;  ///< %p
};
base::Result<void> restore_wal_file(env::FileSystem& files, const RestoreOptions& options,
                                    const env::StopEvent& stop);

}  // namespace standfast::store

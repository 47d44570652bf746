// --move-old-to: the old data directory goes where the user wants it, after the copy is in place. On the same
// file system that is one rename. Else it is copied into PATH/.standfast-incoming-NUMBER, fsynced, read again
// and compared, and its entries move up into PATH; only then the one that was copied is removed.
//
// Threading: one thread. Invariants: the journal says what is to be moved, and when it is whole at its new
// place; a run that is killed anywhere in between is continued by the next one. Nothing is followed: links
// are copied as they are, so what the old directory had on other disks stays there.
// Fails: kTargetRefused for a place that cannot be used, kDiskFull, kCancelled, kDamaged, kPermission, kIo.
#pragma once

#include <string>

#include "base/reporter.h"
#include "base/result.h"
#include "clone/journal.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::clone {

/// Missing in a folder that may be written, or empty; outside of every data directory.
base::Result<void> check_place_for_old(env::FileSystem& files, const std::string& place,
                                       const std::string& target);
/// That there is room for the old directory where it has to be copied.
base::Result<void> check_room_for_old(env::FileSystem& files, const std::string& place,
                                      const std::string& old_directory);

struct OldMove {
  env::FileSystem& files;
  const env::StopEvent& stop;
  base::Reporter& reporter;
};
/// Does what journal.old says, from where an earlier run stopped; then removes the journal.
base::Result<void> move_old(const OldMove& environment, const std::string& target, Journal& journal);

/// Where the copy is until it is whole, named for where it comes from: another clone may be moving another
/// directory to the same place. For tests.
std::string incoming_of(const JournalOld& old);

}  // namespace standfast::clone

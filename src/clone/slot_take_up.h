// A replication slot that others have for a moment longer, and one that an earlier run of ours made.
//
// Threading: one thread. Fails: as the attempt does, and as source.h; kCancelled.
#pragma once

#include <functional>
#include <string>

#include "base/reporter.h"
#include "base/result.h"
#include "base/time.h"
#include "clone/clone.h"
#include "clone/journal.h"
#include "env/stop_event.h"
#include "pg/client/replication_connection.h"

namespace standfast::clone {

/// The walsender of a server that was just stopped, or of a run that was killed, holds its slot a moment
/// longer.
constexpr base::Seconds kSlotReleaseTimeout(10);
/// Where a link went away in silence the walsender learns of it by wal_sender_timeout only, a minute unless
/// set otherwise.
constexpr base::Seconds kOwnSlotReleaseTimeout(75);
constexpr base::Milliseconds kSlotRetryInterval(200);

/// Attempts it again and again while the server says that the slot is in use, until the deadline: its last
/// answer, whatever that is. At least once.
base::Result<void> when_slot_is_free(const std::function<base::Result<void>()>& attempt,
                                     const env::Wait& release,
                                     base::Clock::duration interval = kSlotRetryInterval);

/// A slot that an earlier run made for itself: as it is, or anew where it is gone or has lost its WAL. It
/// can be streamed from at `at` then.
base::Result<void> take_up_slot(client::ReplicationConnection& connection, const CloneOptions& options,
                                const std::string& name, const client::BackupPosition& at,
                                const CloneEnvironment& environment);

/// Drops a slot that an earlier run made, on the cluster where it made it (else kPrecondition), as soon as
/// the server has noticed that this run is gone; tells when it has to wait for that.
base::Result<void> drop_own_slot(const client::ConnectOptions& connect, const JournalSlot& slot,
                                 const CloneEnvironment& environment);

}  // namespace standfast::clone

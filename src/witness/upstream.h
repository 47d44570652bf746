// What a server has in common with a folder of WAL: that the bytes which both should have are the same ones,
// and the histories of the server's timelines, kept in the folder.
//
// Threading: one thread. Ownership: borrows all. Fails as ReplicationConnection does; kPrecondition where the
// server's WAL is another one; kIo, kDiskFull, kPermission, kDamaged of the folder.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/replication_connection.h"
#include "pg/format/timeline_history.h"
#include "store/wal_store.h"
#include "wal/receive_plan.h"

namespace standfast::witness {

enum class Agreement : std::uint8_t {
  kSame,
  kNothingToCompare  ///< one of the two no longer has what lies before
};

/// Streams the range from the server, without a report or a slot, and compares. Where the server no longer
/// has the segments before the last one, that alone is compared.
base::Result<Agreement> compare_with_server(client::ReplicationConnection& connection, env::FileSystem& files,
                                            const store::WalStore::Options& folder,
                                            const wal::Overlap& overlap, const env::Wait& wait);

struct UpstreamHistory {
  pg::TimelineHistory parsed;
  std::string text;
};
base::Result<UpstreamHistory> fetch_history(client::ReplicationConnection& connection,
                                            pg::TimelineId timeline, const env::Wait& wait);
/// The server's own history and, where the server has them, those of the timelines before it that the folder
/// lacks: whoever is on one of these asks for them one by one.
base::Result<void> keep_histories(client::ReplicationConnection& connection, env::FileSystem& files,
                                  store::WalStore& store, const UpstreamHistory& history,
                                  const env::Wait& wait);

}  // namespace standfast::witness

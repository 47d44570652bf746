// One connection to the source of a copy, as a fetcher uses it: what it asks for is on its way while it works
// on what came before. agent_stream.h is the one that there is; tests have others.
//
// Threading: one thread each, which may not be the one that opened it. Ownership: what take_bytes() gives is
// a view until the next call. Invariants: as agent/client.h: answers come in the order of the requests, at
// most max_under_way() of which are not taken yet; an answer has no more than was asked for. Fails: as the
// connection does; kCancelled when the stop event that it was opened with is set.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "agent/block_runs.h"
#include "agent/messages.h"
#include "base/bytes.h"
#include "base/result.h"
#include "env/stop_event.h"
#include "pg/format/control_file.h"

namespace standfast::clone {

class CopyStream {
 public:
  struct Bytes {
    bool is_gone = false;
    base::Bytes plain = {};  ///< fewer than were asked for: the file ends there now
  };
  virtual ~CopyStream() = default;
  virtual std::size_t max_under_way() const = 0;
  virtual base::Result<void> ask_bytes(std::uint32_t file, const agent::FileRange& range) = 0;
  virtual base::Result<void> ask_hashes(const agent::HashRange& range) = 0;
  virtual base::Result<Bytes> take_bytes() = 0;
  virtual base::Result<agent::RangeHashes> take_hashes() = 0;
};

/// `stop` outlives the stream.
using OpenCopyStream = std::function<base::Result<std::unique_ptr<CopyStream>>(const env::StopEvent& stop)>;

/// The source's pg_control, for what has to be known before the copy. kProtocol where the list has none.
base::Result<pg::ControlFile> read_control_file(CopyStream& stream,
                                                std::span<const agent::FileEntry> entries);

}  // namespace standfast::clone

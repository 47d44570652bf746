// A CopyStream from an agent: a connection that takes part in a backup which another one has begun. How its
// ranges are packed is tried while they come (agent/packing_choice.h), for all streams together, as they
// share the link.
//
// Threading: opened in any thread, used by one; SharedPacking by all. Ownership: a stream owns its client.
#pragma once

#include <memory>
#include <mutex>

#include "agent/client.h"
#include "agent/packing_choice.h"
#include "clone/copy_stream.h"

namespace standfast::clone {

class SharedPacking {
 public:
  agent::Compression next() const;
  void measured(const agent::RangeCost& cost);

 private:
  mutable std::mutex mutex_;
  agent::PackingChoice choice_;
};

/// `packing` outlives what is opened.
OpenCopyStream open_from_agent(net::HostPort address, agent::ClientOptions options, agent::BackupId backup,
                               SharedPacking& packing);

}  // namespace standfast::clone

// A stream of a copy that outlives its connections: where one breaks (kConnect, kTimeout; TLS takes a byte
// that changed on the way for that) another is opened, and what was asked for and not answered is asked for
// again.
//
// Threading: as CopyStream; `on_break` is called in the stream's thread. Ownership: owns the connection.
// Invariant: a break is followed by at most `attempts` to open another, within `patience`; only an answer
// makes the next break a new one. Fails: with the break, when no attempt succeeded; at once with whatever
// else fails, as a source that has ended the backup does.
#pragma once

#include <functional>

#include "base/result.h"
#include "base/time.h"
#include "clone/copy_stream.h"

namespace standfast::clone {

struct LastingRules {
  int attempts = 6;                                             ///< the first at once
  base::Clock::duration first_pause = base::Milliseconds(500);  ///< doubled each time
  base::Clock::duration patience = base::Seconds(60);
  /// Another connection stands.
  std::function<void(const base::Error& broke)> on_break = {};
};

OpenCopyStream lasting(OpenCopyStream open, LastingRules rules);

}  // namespace standfast::clone

// A copy through an agent whose connections break off (that which holds the backup, the stream of WAL, or
// those that carry files, and no others were to be had) cannot go on within its backup. It begins anew by
// itself, a few times, as the next run would: with a new backup, and with what is there already.
//
// Threading: one thread. Ownership: borrows the reporter and the stop event.
#pragma once

#include "base/reporter.h"
#include "base/result.h"
#include "base/time.h"
#include "clone/source.h"
#include "env/stop_event.h"

namespace standfast::clone {

struct AnewRules {
  int times = 3;
  base::Clock::duration first_pause = base::Seconds(2);
  int pauses_grow_by = 3;
};

class BeginAnew {
 public:
  BeginAnew(base::Reporter& reporter, const env::StopEvent& stop, AnewRules rules = {})
      : reporter_(reporter), stop_(stop), rules_(rules), pause_(rules.first_pause) {}

  /// Whether it is to begin anew; the pause before that is over then. One that fails before it has any part
  /// of a copy is tried again only after one that had.
  bool after(const base::Error& failure, Left left);

 private:
  base::Reporter& reporter_;
  const env::StopEvent& stop_;
  const AnewRules rules_;
  base::Clock::duration pause_;
  int times_ = 0;
};

}  // namespace standfast::clone

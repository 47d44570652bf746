// While a copy goes on the slot that holds its WAL is looked at now and then: where the WAL comes too slowly
// the slot comes to its bound (max_slot_wal_keep_size), and what the copy needs is removed.
//
// Threading: one thread. Ownership: borrows the reporter. A bound that is near is said once, and again after
// the slot was within it. Fails: kSlot once WAL is gone, and as `look` does.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/messages.h"
#include "base/reporter.h"
#include "base/result.h"
#include "base/time.h"

namespace standfast::clone {

class SlotWatch {
 public:
  using Look = std::function<base::Result<agent::SlotState>(const std::string& slot)>;
  SlotWatch(std::string slot, Look look, base::Reporter& reporter)
      : slot_(std::move(slot)), look_(std::move(look)), reporter_(reporter) {}

  base::Result<void> look();
  base::Result<void> judge(const agent::SlotState& state);
  /// As often as the caller likes: nothing happens until some seconds after the last look.
  base::Result<void> look_now_and_then();
  /// Why the stream of WAL failed: the slot, where it has lost its WAL; else what the stream itself said.
  base::Error explain(base::Error failure);

 private:
  std::string slot_;
  Look look_;
  base::Reporter& reporter_;
  std::optional<base::Deadline> next_ = {};
  bool has_warned_ = false;
};

}  // namespace standfast::clone

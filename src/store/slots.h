// The physical replication slots of a folder of WAL (replication/slot.c): each holds back the WAL that its
// standby has not flushed yet, up to a bound, at which the slot is lost.
//
// Persistent ones are files (slot_file.h), temporary ones are their session's and go with it. That a slot is
// made, dropped or lost is durable when the call returns. Its advance is durable only with save(), once a
// second or so: what is forgotten of it keeps more WAL, never less, because what is needed is counted from
// what is durable. Feedback goes the same way.
//
// What a slot holds back and what is known to be on a disk elsewhere are two things. The first is there from
// the moment that WAL is reserved; the second only a receiver can tell, by the flush that it reports while it
// uses the slot, be it a standby's or pg_receivewal's, for a persistent slot or a temporary one. Both belong
// to a timeline: of what was reported beyond the place where our history left it nothing is ours.
//
// Threading: any. No call that only reads or advances waits for the disk. Ownership: owns its slots; borrows
// the FileSystem. Nobody else writes to standfast.slots: the folder's lock is the caller's matter.
// Fails: kIo, kDiskFull, kPermission; kDamaged for a slot's file that is not understood.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "store/slot_file.h"
#include "wal/retention.h"
#include "wal/serve_actions.h"

namespace standfast::store {

/// Who uses a slot; 0: nobody.
using SlotUser = std::uint64_t;

struct LostSlot {
  std::string name;
  SlotUser user = 0;  ///< whose stream has to end
  bool operator==(const LostSlot&) const = default;
};

class Slots {
 public:
  struct Options {
    std::string folder;
    std::uint64_t segment_bytes = 0;
    std::size_t max_slots = 16;
    /// WAL that a slot may hold back; zero: any amount; none: half of what the file system holds.
    std::optional<std::uint64_t> max_keep_bytes = {};
  };
  static base::Result<std::unique_ptr<Slots>> open(env::FileSystem& files, Options options);

  // What a session asks for.
  wal::serve::SlotAnswer create(const wal::serve::CreateSlot& wish, const wal::serve::StoreView& view,
                                SlotUser user);
  wal::serve::SlotAnswer read(const std::string& name, const wal::serve::StoreView& view) const;
  /// With WhenActive::kWait it waits that long for whoever uses it, or made it if it is temporary.
  wal::serve::SlotAnswer drop(const wal::serve::DropSlot& wish, SlotUser user, base::Deadline deadline);
  wal::serve::SlotAnswer acquire(const std::string& name, SlotUser user);
  /// Of the slot that `user` holds: its receiver has flushed so far.
  void advance(SlotUser user, const wal::serve::AdvanceSlot& reported);
  /// Its hot standby feedback, which is kept until the next one. False: it holds no slot.
  bool keep_feedback(SlotUser user, const pg::HotStandbyFeedback& feedback);
  /// The slot that it holds is lost.
  bool has_lost(SlotUser user) const;
  void release(SlotUser user);
  /// Its temporary slots are gone.
  void end_session(SlotUser user);

  // What the keeper of the folder asks for.
  /// Makes durable how far the slots have come.
  base::Result<void> save();
  /// The bound from now on, as Options::max_keep_bytes.
  base::Result<void> set_bound(std::optional<std::uint64_t> max_keep_bytes);
  /// Slots that hold back more than the bound are lost from now on. Those are told of, once, that have become
  /// so durably.
  base::Result<std::vector<LostSlot>> enforce_bound(const wal::serve::StoreView& view);
  /// What they hold back, and what is known to be on another disk.
  /// The last feedback of each slot that had one, be its standby there or not; but of those that are lost.
  std::vector<pg::HotStandbyFeedback> feedbacks() const;
  std::vector<wal::RetainedSlot> retained(const wal::serve::StoreView& view) const;
  /// Zero: any amount.
  std::uint64_t max_keep_bytes() const;

 private:
  struct Slot {
    SlotState state;
    SlotState saved;
    bool is_temporary = false;
    SlotUser maker = 0;  ///< of a temporary one
    SlotUser user = 0;
  };
  Slots(env::FileSystem& files, Options options);

  std::string folder() const;
  std::string path_of(const std::string& name) const { return folder() + "/" + name; }
  static bool is_anothers(const Slot& slot, SlotUser user) { return slot.is_temporary && slot.maker != user; }
  base::Result<void> write(const std::string& name, const SlotState& state);

  env::FileSystem& files_;
  const Options options_;
  std::mutex files_mutex_;  ///< for what changes files; taken before mutex_
  mutable std::mutex mutex_;
  std::uint64_t max_keep_bytes_ = 0;
  std::condition_variable released_;
  std::map<std::string, Slot> slots_;
};

}  // namespace standfast::store

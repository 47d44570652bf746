// What may be served just now, and who is told when there is more: the one thing that connections know of
// whoever fills the store. A receiver in the same process publishes after each flush; a folder that nobody
// writes is published once. Subscribed is who streams: each subscription costs the publisher a system call.
//
// Threading: any. Ownership: a Subscription borrows the StoreNews and the descriptor, and must go before
// them. Invariant of the publisher: what serve::StoreView says of its end.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "store/wal_store.h"
#include "wal/serve_actions.h"

namespace standfast::witness {

class StoreNews {
 public:
  using View = std::shared_ptr<const wal::serve::StoreView>;

  /// Before the first one there is no WAL.
  void publish(wal::serve::StoreView view);
  View view() const;

  class Subscription {
   public:
    Subscription(StoreNews& news, int event_fd);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    StoreNews& news_;
    int event_fd_;
  };

 private:
  mutable std::mutex mutex_;
  View view_ = std::make_shared<const wal::serve::StoreView>();
  std::set<int> event_fds_;  ///< written to (eventfd) when there is a new view
};

/// The view of a timeline up to a durable end, with what its history file in the folder says of those before.
/// Fails: kPrecondition where there is no history or the timeline has not reached its beginning; kProtocol
/// for a history that makes no sense; kIo, kPermission.
base::Result<wal::serve::StoreView> view_of_folder(env::FileSystem& files, const std::string& folder,
                                                   pg::TimelineId timeline, pg::Lsn durable_end);
/// What may be served of a store that has just been opened. While its timeline has not reached its beginning,
/// that is the one before, up to its own end. No value: nothing.
base::Result<std::optional<wal::serve::StoreView>> view_of_store(env::FileSystem& files,
                                                                 const store::WalStore& store);
/// No value: there is none.
base::Result<std::optional<std::string>> read_history(env::FileSystem& files, const std::string& folder,
                                                      pg::TimelineId timeline);

}  // namespace standfast::witness

// What verify writes on a primary to see it arrive on a standby: a row of standfast_marker, and the database
// replica_demo. Both are known again as ours, so that what a killed run left is removed by the next one, and
// nothing else is.
//
//   row       has a token, and an advisory lock is held on its id as long as the run that wrote it lives
//   database  is made with a connection limit that nobody gives by hand, and then a comment: the limit is
//   there
//             from its first moment, also when the run is killed while the server still copies the template
//
// Threading: one thread. Fails: as statements do; kPrecondition for a replica_demo that is not ours, or no
// database to put the row in.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/format/lsn.h"

namespace standfast::setup {

/// Something that was written on the primary and is now waited for.
struct Written {
  pg::Lsn lsn;  ///< the primary's flush position after the commit: whoever replayed it has it
  base::Clock::time_point committed;
  base::Clock::duration commit_time{};  ///< from COMMIT to its answer
  /// No: the server gave up waiting for a synchronous standby. The commit stays, and is seen by all.
  bool is_acknowledged = true;
};

class Marker {
 public:
  /// How long the server lets the commit of a marker wait for a synchronous standby.
  static constexpr base::Seconds kCommitTimeout{10};

  /// On a connection to the database "standfast", made for this. Sets timeouts, and that its commits, but for
  /// that of write(), wait for no standby: a primary whose synchronous standby is gone must not hang us.
  /// Creates the table if missing;
  /// removes what killed runs left and says how many.
  static base::Result<Marker> prepare(client::Connection& primary, const env::Wait& wait);
  int leftovers_removed() const { return leftovers_removed_; }

  /// Commits as an application does: synchronous_commit = on, with a deadline that the server keeps.
  base::Result<Written> write(const env::Wait& wait);
  base::Result<void> remove(const env::Wait& wait);
  /// On a connection to the standby's database "standfast". A table that is not there yet is no error.
  base::Result<bool> is_seen_by(client::Connection& standby, const env::Wait& wait) const;

 private:
  explicit Marker(client::Connection& primary) : primary_(&primary) {}

  client::Connection* primary_;
  std::string token_;
  int leftovers_removed_ = 0;
};

class ReplicaDemo {
 public:
  static constexpr const char* kName = "replica_demo";

  /// On a connection to any other database. kPermission when the role may not create databases, kPrecondition
  /// when someone else's replica_demo is there; ours is dropped. kInUse while another run has its own there:
  /// the session holds an advisory lock from now on, and no other session of the server, in whatever
  /// database, may hold the same.
  static base::Result<ReplicaDemo> prepare(client::Connection& primary, const env::Wait& wait);
  bool leftover_removed() const { return leftover_removed_; }

  base::Result<Written> create(const env::Wait& wait);
  /// Only if it is ours; nothing to drop is fine.
  base::Result<void> drop(const env::Wait& wait);
  static base::Result<bool> is_seen_by(client::Connection& standby, const env::Wait& wait);

 private:
  explicit ReplicaDemo(client::Connection& primary) : primary_(&primary) {}
  base::Result<void> hold_lock(const env::Wait& wait);
  base::Result<bool> try_lock(const env::Wait& wait);
  enum class Found : std::uint8_t { kNothing, kOurs, kOursWithoutComment, kForeign };
  base::Result<Found> look(const env::Wait& wait);
  base::Result<void> comment(const env::Wait& wait);

  client::Connection* primary_;
  bool leftover_removed_ = false;
};

}  // namespace standfast::setup

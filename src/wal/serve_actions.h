// The values that go in and out of a ServeSession: what it is told of the store, what it asks for, what it is
// answered. serve_session.h says how they are used.
//
// Threading: values. Ownership: an action owns its bytes and names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.h"
#include "pg/format/frontend_message.h"
#include "pg/format/lsn.h"
#include "pg/format/replication_command.h"

namespace standfast::wal::serve {

/// Now, on the monotonic clock for deadlines and on the wall clock for messages.
struct Instant {
  base::Clock::time_point now = {};
  std::int64_t pg_microseconds = 0;  ///< since 2000-01-01
};

// ---- Facts ----

/// What does not change while a session lasts.
struct ServerFacts {
  pg::SystemId system_id;
  std::string server_version;  ///< the upstream's, as it says it: "15.18 (Debian 15.18-0+deb12u1)"
  std::uint64_t segment_bytes = 0;
  std::uint32_t data_directory_mode = 0700;
};

/// A timeline that the store's own one descends from, and where it was left.
struct Ancestor {
  pg::TimelineId timeline;
  pg::Lsn end;
};

/// What may be served. The end is that of the last complete record that is durable; on a new timeline it is
/// not told before it has reached the fork.
struct StoreView {
  pg::TimelineId timeline;  ///< 0: there is no WAL yet
  pg::Lsn durable_end;
  std::vector<Ancestor> ancestors = {};  ///< oldest first, without `timeline`
};

/// How the answer to who asks for SQL begins, by which a client knows what it has met.
inline constexpr std::string_view kTakesNoSql = "this server takes no SQL";

// ---- Actions, to be performed in their order ----

/// Put these bytes into the outbound buffer.
struct Send {
  std::string bytes;
};
/// Put the header into it and then the WAL of the ReadWal that on_wal_read() was called for.
struct SendWal {
  std::string header;
  std::size_t wal_bytes = 0;
};

/// After the bytes before it went out in clear: make the TLS handshake, then on_tls().
struct StartTls {};
/// Begin a SCRAM exchange, then on_scram_challenge() or on_scram_refused(). A user who does not exist gets
/// the same challenge as any other, from a secret of the server, and is refused at the end.
struct BeginScram {
  std::string user;
  std::string mechanism;  ///< one of those that were offered
  std::string client_first;
};
/// The client's proof; then on_scram_accepted() or on_scram_refused().
struct ContinueScram {
  std::string client_final;
};
/// For the log and the status: the login is done.
struct LoggedIn {
  std::string user;
  std::string application_name;  ///< printable
};

/// Answered by on_history().
struct ReadHistory {
  pg::TimelineId timeline;
};

// Slots; all but the last two are answered by on_slot(). Their names are valid ones. A temporary slot goes
// with the session that made it.
struct CreateSlot {
  std::string slot;
  pg::SlotLife life = pg::SlotLife::kPersistent;
  pg::ReserveWal reserve_wal = pg::ReserveWal::kNo;
};
struct ReadSlot {
  std::string slot;
};
/// A wait for whoever uses it has a bound of the performer's.
struct DropSlot {
  std::string slot;
  pg::WhenActive when_active = pg::WhenActive::kFail;
};
/// Nobody else may use it until ReleaseSlot or End.
struct AcquireSlot {
  std::string slot;
};
/// The standby of the slot held has all before `flushed` of a timeline on its disk.
struct AdvanceSlot {
  pg::TimelineId timeline;
  pg::Lsn flushed;
};
struct ReleaseSlot {};

/// Read these bytes, which are durable and lie in one segment; then on_wal_read(), with all of them at hand,
/// on_wal_gone() or on_wal_failed(). There is never a second one before that.
struct ReadWal {
  pg::TimelineId timeline;
  pg::Lsn start;
  pg::Lsn end;
};

/// What a standby says of itself, for the status. Invalid positions: not known.
struct StandbyPositions {
  pg::Lsn write;
  pg::Lsn flush;
  pg::Lsn apply;
};
struct StandbyFeedback {
  pg::HotStandbyFeedback feedback;
};

/// The last action: write out what is in the buffer, within a bound of time, close the connection, release
/// the slot held and drop the session's temporary ones.
struct End {
  std::string reason;  ///< for the log, in one lower-case line
};

using Action = std::variant<Send, SendWal, StartTls, BeginScram, ContinueScram, LoggedIn, ReadHistory,
                            CreateSlot, ReadSlot, DropSlot, AcquireSlot, AdvanceSlot, ReleaseSlot, ReadWal,
                            StandbyPositions, StandbyFeedback, End>;

// ---- Answers ----

enum class ChannelBinding : std::uint8_t { kUnavailable, kAvailable };

enum class SlotOutcome : std::uint8_t {
  kDone,
  kMissing,
  kExists,
  kActive,   ///< used by another session
  kLost,     ///< what it held back is gone
  kTooMany,  ///< the bound on the number of slots is reached
  kFailed,   ///< `detail` says why
};
struct SlotAnswer {
  SlotOutcome outcome = SlotOutcome::kDone;
  pg::Lsn restart = {};  ///< of ReadSlot: from where on WAL is held back; invalid: none is
  pg::TimelineId restart_timeline = {};
  std::string detail = {};
};

}  // namespace standfast::wal::serve

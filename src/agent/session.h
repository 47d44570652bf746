// One connection of an agent: what a client asks in it, and what it is answered
// (docs/formats/agent-messages.md has both, and in which order they may come).
//
// A request is taken when the answer before it is out, so that no more is held for a connection than one
// message that comes in, one range of a file, and that range packed. A client that vanishes while a backup
// begins for it, which may take as long as a checkpoint, is noticed; else by the next read or write.
//
// Threading: run() in a thread of its own; stop(), drop() and peer_address() from any. Ownership: owns its
// socket and the backup that it began; borrows the host, which outlives it. Invariants: nothing is done for a
// client before its Hello, nothing of the data directory is shown without a certificate that counts now, and
// each wait has a deadline. Fails: open() with kIo, where the process has no descriptor left; then never to
// the outside: how it ended goes to the host's log, and to the client as far as that may learn it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/backups.h"
#include "agent/members.h"
#include "agent/messages.h"
#include "agent/range_packing.h"
#include "agent/source_tree.h"
#include "agent/tls.h"
#include "base/cpu_stopwatch.h"
#include "base/result.h"
#include "base/time.h"
#include "env/stop_event.h"
#include "net/connections.h"
#include "net/tls_channel.h"

namespace standfast::agent {

/// What a connection needs of the agent that it is one of. All calls from any thread.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  virtual std::shared_ptr<const MemberContext> tls() const = 0;
  /// The connection of that number is a member's. False: there are as many as there may be.
  virtual bool admit(std::uint64_t connection) = 0;
  virtual pg::SystemId system_id() const = 0;
  /// As it is now; the version in it is not looked at.
  virtual base::Result<Welcome> facts() const = 0;
  virtual Backups& backups() = 0;
  /// No value: the cluster's authority is on another host.
  virtual std::optional<Members> members() const = 0;
  virtual bool is_revoked(std::string_view serial) const = 0;
  /// In PEM; empty: there is none yet.
  virtual base::Result<std::string> revoked_list() const = 0;
  virtual UnixSeconds now() const = 0;
  virtual void note(std::string line) = 0;
};

/// The deadlines; docs/formats/agent-messages.md says these to the makers of clients.
struct SessionPatience {
  base::Clock::duration handshake = base::Seconds(30);
  base::Clock::duration hello = base::Seconds(60);
  /// From the first byte of a message to its last.
  base::Clock::duration message = base::Seconds(30);
  /// For the next request of a client that takes part in no backup.
  base::Clock::duration silence = base::Seconds(120);
  /// Of all that take part in a backup: a fetcher may be writing, hashing what it has, or waiting for the
  /// others, and who began it says nothing until all is there.
  base::Clock::duration silence_in_backup = base::Seconds(900);
  /// Until one answer is read.
  base::Clock::duration answer = base::Seconds(120);
  base::Clock::duration begin = base::Seconds(3600);  ///< a spread checkpoint
  base::Clock::duration end = base::Seconds(120);
  /// How often it is asked whether certificate and backup still count.
  base::Clock::duration between_checks = base::Seconds(10);
};

class Session final : public net::ServedConnection {
 public:
  struct Options {
    std::uint64_t id = 0;  ///< the host's number for it
    int fd = -1;           ///< does not block
    std::string peer;      ///< "10.20.20.2:41812"
    SessionPatience patience = {};
  };
  /// On an error the socket is closed.
  static base::Result<std::unique_ptr<Session>> open(SessionHost& host, Options options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() override;

  void run() override;
  /// It ends without taking another request; an answer that is on its way is cut.
  void stop() override;
  /// The same, and its socket is shut down.
  void drop() override;
  /// Without its port.
  std::string peer_address() const;

 private:
  Session(SessionHost& host, Options options, std::unique_ptr<env::StopEvent> stop);

  // session.cc: bytes and time.
  base::Result<void> serve();
  base::Result<void> meet();
  /// A view of what came in, until the next call; no value: the client has closed.
  base::Result<std::optional<base::Bytes>> next_message();
  base::Result<void> wait_for_client(const std::optional<base::Deadline>& message_until);
  base::Deadline silent_until() const;
  /// Whether it goes on: the certificate still counts, and nobody has told it to stop.
  base::Result<void> check_now_and_then();
  base::Result<void> send(base::Bytes bytes);
  base::Result<void> say(const Answer& what);
  base::Result<void> refuse(const base::Error& error);
  void end_with(const base::Error& error);
  void linger();
  void note(std::string_view line);
  env::Wait wait_for_at_most(base::Clock::duration patience) const;

  // session_requests.cc: an error ends the connection.
  base::Result<void> take(const Request& request);
  bool may_say(const Request& request) const;
  base::Result<void> answer(const Hello& hello);
  base::Result<void> answer(const SignRequest& request);
  base::Result<void> answer(const RenewRequest& request);
  base::Result<void> answer(const BeginBackup& request);
  base::Result<void> answer(const AttachBackup& request);
  base::Result<void> answer(const ListFiles& request);
  base::Result<void> answer(const ReadRange& range);
  base::Result<void> answer(const HashRange& range);
  base::Result<void> answer(const EndBackup& request);
  base::Result<void> answer(const ListRevoked& request);
  base::Result<void> answer(const LookAtSlot& look);
  base::Result<std::unique_ptr<OwnedBackup>> begin(const BeginBackup& request);
  base::Result<void> say_membership(const base::Result<Membership>& membership);
  base::Result<std::shared_ptr<OpenBackup>> backup() const;

  SessionHost& host_;
  const Options options_;
  net::TlsChannel channel_;
  const std::unique_ptr<env::StopEvent> stop_;

  // Of the thread that runs it.
  std::optional<Peer> peer_;  ///< none: a stranger
  Speaker speaker_ = Speaker::kStranger;
  bool has_met_ = false;      ///< TLS stands
  bool has_greeted_ = false;  ///< Hello was answered by Welcome
  bool is_over_ = false;      ///< nothing more is taken
  bool is_mute_ = false;      ///< an answer was cut: nothing can follow it
  base::Clock::time_point last_request_ = base::Clock::now();
  base::Deadline next_check_ = base::Deadline::after({});
  std::unique_ptr<OwnedBackup> owned_;
  std::optional<std::weak_ptr<OpenBackup>> part_;  ///< in which it takes part, as the one that began it too
  std::vector<std::byte> in_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::vector<std::byte> range_;  ///< room for a RangeBytes message, once one was asked for
  SourceTree::Reading reading_;
  RangePacker packer_;
  base::CpuStopwatch cpu_;                      ///< since the last answer with bytes
  base::Clock::duration room_waited_before_{};  ///< the channel's, at that answer
};

}  // namespace standfast::agent

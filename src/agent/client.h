// A member's connection to an agent, and what it asks there (docs/formats/agent-messages.md).
//
// Calls of a form "do this" wait for their answer. Those of a fetcher are in two parts, so that the next
// range is on its way while the last one is written: ask() sends a request and does not wait for what comes
// of it, take_bytes() and take_hashes() wait for the answer to the oldest. At most `max_under_way` are asked
// for before one is taken (CHECK): so few that no agent stops reading them, and what the sockets and this
// hold is bounded.
//
// Threading: one thread. Ownership: owns its socket. What take_bytes() gives views a buffer of the client,
// until the next call; the bytes begin at a multiple of env::kDirectBlockBytes, packed on the way or not.
// Memory: two ranges; for a long list its message as well, while it is read.
// Fails: kConnect, kTimeout, kCancelled, kCertificate, kProtocol; what an agent refuses with, after which the
// connection goes on. After any other failure each call gives that one again: what comes next on the
// connection cannot be told any more.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/messages.h"
#include "agent/packing_choice.h"
#include "agent/range_packing.h"
#include "agent/tls.h"
#include "base/result.h"
#include "base/time.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "net/connect.h"
#include "net/round_trip.h"
#include "net/tls_channel.h"

namespace standfast::agent {

/// Each is for one answer.
struct ClientPatience {
  base::Clock::duration connect = base::Seconds(20);   ///< with the handshake and Welcome
  base::Clock::duration answer = base::Seconds(120);   ///< of a range: what a disk and a slow link take
  base::Clock::duration silence = base::Seconds(30);   ///< without a byte, while a range's bytes are awaited
  base::Clock::duration listing = base::Seconds(600);  ///< until the first of a list of millions is there
  /// A spread checkpoint takes as long as checkpoint_timeout, which may be a day.
  base::Clock::duration backup = base::Seconds(3600);
  base::Clock::duration end = base::Seconds(180);  ///< of a backup; no archiving is waited for
};

struct ClientOptions {
  std::shared_ptr<const MemberContext> context;
  pg::SystemId system_id;
  std::optional<std::string> member = {};  ///< only the one of that name
  std::size_t max_under_way = 8;           ///< at most kMaxUnderWay
  std::size_t max_listed_entries = 8'000'000;
  ClientPatience patience = {};
};

class AgentClient {
 public:
  static constexpr std::size_t kMaxUnderWay = 64;

  /// With Hello and Welcome. `stop` ends each wait, and outlives the client; may be null.
  static base::Result<std::unique_ptr<AgentClient>> connect(const net::HostPort& address,
                                                            ClientOptions options,
                                                            const env::StopEvent* stop);
  /// The same over a socket that is connected already, and does not block; it is taken over.
  static base::Result<std::unique_ptr<AgentClient>> connect_over(int fd, ClientOptions options,
                                                                 const env::StopEvent* stop);
  ~AgentClient();
  AgentClient(const AgentClient&) = delete;
  AgentClient& operator=(const AgentClient&) = delete;

  const Welcome& welcome() const { return welcome_; }
  const Peer& peer() const { return peer_; }
  /// Nothing more comes on it.
  bool is_broken() const { return failure_.has_value(); }
  /// Of the link; no value: not known.
  std::optional<std::chrono::microseconds> shortest_round_trip() const {
    return net::shortest_round_trip(channel_.fd());
  }

  base::Result<SignedCertificate> sign(SignRequest request);
  base::Result<SignedCertificate> renew(RenewRequest request);
  /// The list of revoked certificates that the agent has, unjudged; empty: it has none.
  base::Result<std::string> list_revoked();
  base::Result<BackupBegun> begin_backup(BeginBackup request);
  base::Result<void> attach(const BackupId& id);
  /// All of them, by ascending number.
  base::Result<std::vector<FileEntry>> list_files();
  base::Result<SlotState> look_at_slot(const std::string& name);
  base::Result<BackupEnded> end_backup();

  struct Bytes {
    bool is_gone = false;
    base::Bytes plain = {};  ///< fewer than were asked for: the file ends there now
    RangeCost cost = {};
  };
  base::Result<void> ask(const ReadRange& range);
  base::Result<void> ask(const HashRange& range);
  std::size_t under_way() const { return asked_.size(); }
  std::size_t max_under_way() const { return options_.max_under_way; }
  /// The answer to the oldest request, which must have been one of that kind (CHECK).
  base::Result<Bytes> take_bytes();
  base::Result<RangeHashes> take_hashes();

 private:
  using Asked = std::variant<ReadRange, HashRange>;
  /// Room for one range that begins at a multiple of env::kDirectBlockBytes, and for the front before it.
  struct AlignedRoom;

  AgentClient(int fd, ClientOptions options, const env::StopEvent* stop);
  base::Result<void> greet();
  base::Result<void> send(const Request& request);
  base::Result<void> ask(Asked asked);
  base::Result<Answer> receive(base::Clock::duration patience, base::Clock::duration silence);
  template <typename Wanted>
  base::Result<Wanted> say(const Request& request, base::Clock::duration patience);
  base::Result<Answer> take_answer(base::Clock::duration silence);
  base::Result<void> read_all(std::span<std::byte> into, const env::Wait& wait,
                              base::Clock::duration silence);
  /// Where a message of that length is put whose header is in room_ already.
  std::span<std::byte> place_for(std::size_t message_length);
  env::Wait wait(base::Clock::duration patience) const { return env::Wait::for_at_most(patience, stop_); }
  base::Result<void> check_usable() const;
  base::Error broken(base::Error error);
  base::Error with_last_words(base::Error lost);

  net::TlsChannel channel_;
  ClientOptions options_;
  const env::StopEvent* stop_;
  Peer peer_;
  Welcome welcome_;
  std::deque<Asked> asked_;
  std::optional<base::Error> failure_;
  std::unique_ptr<AlignedRoom> room_;
  std::unique_ptr<AlignedRoom> unpacked_;  ///< made when something comes packed
  std::vector<std::byte> long_message_;
  RangeUnpacker unpacker_;
};

}  // namespace standfast::agent

// Serving WAL to one client, as decisions only: its bytes and events go in, actions come out (replication/
// walsender.c, tcop/backend_startup.c and postgres.c, libpq/auth-sasl.c of 12 to 18 do it with all the rest
// in between). No clock, socket, file, thread or cryptography in here.
//
// How it is driven, by one thread:
//   - take_actions() after each call, and perform them in their order; some are answered by a call.
//   - receive() with what the client sent, while wants_input(). It takes what it can: the bytes that it
//     leaves are given again later. on_input_end() when there are no more.
//   - on_sent() as the outbound buffer empties, on_store() when the store has more, on_stop() once.
//   - on_time() at next_wakeup() at the latest, after any input that is waiting: a peer is only called silent
//     by someone who has listened.
//   After End nothing is done any more, and late answers are ignored.
//
// Threading: one thread. Ownership: views given to it are not kept.
// Invariants: no WAL is asked for or announced beyond what on_store() told; at most one ReadWal is open, and
// none is begun while kWalGateBytes wait to go out; input is not wanted while kInputGateBytes wait; one
// question is open at a time. A session that is not logged in ends at its deadline. A slot's name in an
// action is valid. Fails: never to the caller; what a client does wrong is answered as PostgreSQL does, by an
// ErrorResponse, after which the session goes on, or by a fatal one and End.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "pg/format/backend_message.h"
#include "pg/format/frontend_message.h"
#include "wal/serve_actions.h"

namespace standfast::wal {

class ServeSession {
 public:
  enum class Tls : std::uint8_t { kNotOffered, kOffered, kRequired };
  struct Options {
    serve::ServerFacts facts;
    serve::StoreView store = {};
    Tls tls = Tls::kNotOffered;
    pg::BackendKey key = {};
    base::Clock::duration authentication_timeout = base::Seconds(60);
    base::Clock::duration wal_sender_timeout = base::Seconds(60);  ///< zero: none
    base::Clock::duration stop_patience = base::Seconds(10);  ///< for a standby to confirm what it was sent
  };

  static constexpr std::uint64_t kMaxBatchBytes = 128 * 1024;  ///< of WAL in a message, as PostgreSQL's
  static constexpr std::size_t kWalGateBytes = 256 * 1024;
  static constexpr std::size_t kInputGateBytes = 1024 * 1024;

  ServeSession(Options options, const serve::Instant& now);

  std::vector<serve::Action> take_actions() { return std::exchange(actions_, {}); }
  bool wants_input() const;
  bool has_ended() const { return state_ == State::kEnded; }
  std::optional<base::Clock::time_point> next_wakeup() const;

  /// How many bytes it took off the front.
  std::size_t receive(base::Bytes bytes, const serve::Instant& now);
  void on_input_end();
  void on_sent(std::size_t bytes, const serve::Instant& now);
  void on_time(const serve::Instant& now);
  void on_store(serve::StoreView store, const serve::Instant& now);
  /// The slot that its stream holds is lost: the session ends.
  void on_slot_lost();
  /// Streams send what is durable and wait for it to be confirmed; everything else ends at once.
  void on_stop(const serve::Instant& now);

  // Answers.
  void on_tls(serve::ChannelBinding binding);
  void on_scram_challenge(base::Bytes server_first);
  void on_scram_accepted(base::Bytes server_final);
  void on_scram_refused();
  void on_history(std::optional<std::string> content);
  void on_history_failed(const base::Error& error);
  void on_slot(const serve::SlotAnswer& answer, const serve::Instant& now);
  void on_wal_read(const serve::Instant& now);
  void on_wal_gone();
  void on_wal_failed(const base::Error& error);

  /// For the status, while it streams.
  struct StreamStatus {
    pg::TimelineId timeline;
    pg::Lsn sent;
    serve::StandbyPositions standby;
    bool is_caught_up = false;
  };
  std::optional<StreamStatus> stream_status() const;

 private:
  enum class State : std::uint8_t {
    kStartup,
    kTlsHandshake,
    kSaslMechanism,  ///< the client chooses
    kSaslChallenge,  ///< on_scram_challenge() is due
    kSaslProof,      ///< the client proves
    kSaslVerdict,    ///< on_scram_accepted() or on_scram_refused() is due
    kIdle,
    kAsking,  ///< on_history() or on_slot() is due
    kStreaming,
    kEnded,
  };
  struct Stream {
    pg::TimelineId timeline;
    pg::Lsn sent;
    serve::StandbyPositions standby = {};
    bool holds_slot = false;
    std::optional<pg::Lsn> reading_up_to = {};
    bool has_sent_done = false;
    bool has_received_done = false;
    bool awaits_reply = false;
    base::Clock::time_point last_reply = {};
  };
  struct Fork {
    pg::Lsn end;
    pg::TimelineId next;
  };

  // serve_session.cc
  bool is_logged_in() const;
  void on_message(const pg::FrontendMessage& message, base::Bytes& rest);
  void send(std::string bytes);
  void end(std::string reason);
  void end_fatally(const char* sqlstate, std::string message, std::string hint = "");
  void end_for_violation(const base::Error& error);
  void end_if_stalled();

  // serve_startup.cc
  void on_startup_packet(base::Bytes body, base::Bytes& rest);
  void on_encryption_request(bool& was_asked, const char* name, bool is_accepted, base::Bytes& rest);
  void on_startup_message(const pg::StartupMessage& startup);
  bool accepts_connection_kind(const pg::StartupMessage& startup);
  void offer_sasl();
  std::vector<std::string_view> sasl_mechanisms() const;
  void on_sasl_message(const pg::FrontendMessage& message);
  void begin_scram(base::Bytes body);
  using Parameters = std::vector<std::pair<std::string, std::string>>;
  Parameters reported_parameters() const;

  // serve_commands.cc
  void on_idle_message(const pg::FrontendMessage& message);
  void on_query(base::Bytes body);
  void reply_error(const pg::ServerReport& report);
  void reply_row(std::span<const pg::Column> columns, std::span<const pg::RowValue> values,
                 std::string_view tag);
  void ask(pg::ReplicationCommand command, serve::Action question);
  void perform(const pg::IdentifySystem& command);
  void perform(const pg::ShowSetting& command);
  void perform(const pg::ReadTimelineHistory& command);
  void perform(const pg::CreateReplicationSlot& command);
  void perform(const pg::ReadReplicationSlot& command);
  void perform(const pg::DropReplicationSlot& command);
  void perform(const pg::StartReplication& command);
  std::optional<std::string> shown_setting(std::string_view name) const;
  void reply_slot(const pg::ReadReplicationSlot& command, const serve::SlotAnswer& answer);

  // serve_stream.cc
  std::optional<Fork> fork_of(pg::TimelineId timeline) const;
  void start_stream(const pg::StartReplication& command);
  void refuse_stream(const pg::StartReplication& command, pg::ServerReport report);
  void on_streaming_message(const pg::FrontendMessage& message);
  void on_standby_message(base::Bytes body);
  void on_standby_status(const pg::StandbyStatus& status);
  void continue_stream();
  void read_more(pg::Lsn limit);
  void send_keepalive(pg::ReplyRequest reply_request);
  void finish_stop();
  void finish_stream_if_done();
  std::string end_of_stream(pg::TimelineId timeline) const;
  void fail_stream(const pg::ServerReport& report);
  void fail_read(const pg::ServerReport& report);
  bool is_asking_standby() const;
  void watch_standby();

  Options options_;
  State state_ = State::kStartup;
  serve::Instant instant_;
  std::vector<serve::Action> actions_;
  pg::FrontendFramer framer_;
  std::size_t unsent_bytes_ = 0;
  base::Clock::time_point last_progress_;  ///< of sending
  base::Clock::time_point authentication_deadline_;
  std::optional<base::Clock::time_point> stop_deadline_;

  bool ssl_was_asked_ = false;
  bool gss_was_asked_ = false;
  bool is_encrypted_ = false;
  serve::ChannelBinding binding_ = serve::ChannelBinding::kUnavailable;
  std::string user_;
  std::string application_name_;

  bool skips_until_sync_ = false;
  std::optional<pg::ReplicationCommand> asked_;  ///< the command that waits for an answer
  std::optional<Stream> stream_;
};

}  // namespace standfast::wal

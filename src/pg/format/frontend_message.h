// What a client sends to a server (libpq/pqcomm.h, libpq/protocol.h; tcop/backend_startup.c
// ProcessStartupPacket(), tcop/postgres.c SocketBackend(), replication/walsender.c ProcessStandbyMessage()),
// as far as one that serves WAL has to understand it.
//
// Threading: FrontendFramer one thread, the rest pure functions. Ownership: what is parsed views the bytes it
// was parsed from, unless it holds strings; a message of the framer is valid until its next call.
// Invariants: the framer never holds more than the bound of its phase and a header; it takes no byte beyond
// the message that it returns; how the bytes are cut makes no difference.
// Fails: kProtocol, with the SQLSTATE that PostgreSQL answers with. A length outside its bounds is refused
// as soon as its four bytes are there, an unknown kind of message at its first byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "pg/format/replication_message.h"

namespace standfast::pg {

/// Which messages may come next, and with it how long they may be.
enum class FrontendPhase : std::uint8_t {
  kStartup,         ///< packets without a kind: at most PostgreSQL's MAX_STARTUP_PACKET_LENGTH
  kAuthentication,  ///< SASL messages (PG_MAX_SASL_MESSAGE_LENGTH)
  kCommands,        ///< queries
  kStreaming,       ///< replies of a standby
};
/// Of a message without its kind and length.
std::size_t max_frontend_body_bytes(FrontendPhase phase);

struct FrontendMessage {
  char kind = '\0';  ///< none in kStartup
  base::Bytes body;
};

/// Cuts a client's bytes into messages.
class FrontendFramer {
 public:
  void expect(FrontendPhase phase) { phase_ = phase; }
  /// Takes bytes off the front of `input` until a message is whole; no value when more are needed, and then
  /// `input` is empty. After an error it is of no further use.
  base::Result<std::optional<FrontendMessage>> take(base::Bytes& input);
  bool is_between_messages() const { return held_.empty() || returned_; }
  std::size_t held_bytes() const { return held_.size(); }

 private:
  std::size_t header_bytes() const { return phase_ == FrontendPhase::kStartup ? 4 : 5; }
  /// The length of the whole message, once its header is there.
  base::Result<std::optional<std::size_t>> whole_bytes() const;
  void hold(base::Bytes& input, std::size_t up_to_bytes);

  FrontendPhase phase_ = FrontendPhase::kStartup;
  std::string held_;
  bool returned_ = false;  ///< what is held was given out
};

// Packets of the startup phase.

struct SslRequest {};
struct GssEncryptionRequest {};
struct CancelRequest {};
/// Protocol 3 of any minor version.
struct StartupMessage {
  std::uint16_t minor_version = 0;
  std::vector<std::pair<std::string, std::string>> parameters;  ///< as sent
  std::vector<std::string> protocol_options;                    ///< names that begin with "_pq_."

  /// The last one given, as PostgreSQL takes it.
  std::optional<std::string_view> find(std::string_view name) const;
};
using StartupPacket = std::variant<SslRequest, GssEncryptionRequest, CancelRequest, StartupMessage>;
base::Result<StartupPacket> parse_startup_packet(base::Bytes body);

// Typed messages.

/// The text of 'Q'.
base::Result<std::string_view> parse_query(base::Bytes body);

/// The first 'p' of a SASL exchange; the later ones are their bytes.
struct SaslInitialResponse {
  std::string_view mechanism;
  std::optional<base::Bytes> data;
};
base::Result<SaslInitialResponse> parse_sasl_initial_response(base::Bytes body);

/// 'h' in CopyData: the oldest transactions that a standby still needs the rows of. Zeros: none.
struct HotStandbyFeedback {
  std::int64_t sent_at_pg_microseconds = 0;
  std::uint32_t xmin = 0;
  std::uint32_t xmin_epoch = 0;
  std::uint32_t catalog_xmin = 0;
  std::uint32_t catalog_xmin_epoch = 0;
  bool operator==(const HotStandbyFeedback&) const = default;
};
std::string encode_hot_standby_feedback(const HotStandbyFeedback& feedback);

/// What comes back inside CopyData while WAL is streamed.
using StandbyMessage = std::variant<StandbyStatus, HotStandbyFeedback>;
base::Result<StandbyMessage> parse_standby_message(base::Bytes message);

}  // namespace standfast::pg

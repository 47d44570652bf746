#include "pg/format/frontend_message.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace standfast::pg {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint32_t kSupportedMajorVersion = 3;
constexpr std::uint32_t kRequestMajor = 1234;  // no version of the protocol: the minor one names a request
constexpr std::uint32_t kCancelRequest = (kRequestMajor << 16U) | 5678U;
constexpr std::uint32_t kSslRequest = (kRequestMajor << 16U) | 5679U;
constexpr std::uint32_t kGssEncryptionRequest = (kRequestMajor << 16U) | 5680U;
constexpr std::string_view kProtocolOptionPrefix = "_pq_.";

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kMinStartupBodyBytes = 4;

constexpr std::string_view kKnownKinds = "QpXdcfPBEDCHSF";

constexpr const char* kProtocolViolation = "08P01";
constexpr const char* kFeatureNotSupported = "0A000";

Error violation(std::string message, const char* sqlstate = kProtocolViolation) {
  Error error(ErrorCode::kProtocol, std::move(message));
  error.sqlstate = sqlstate;
  return error;
}

}  // namespace

std::size_t max_frontend_body_bytes(FrontendPhase phase) {
  switch (phase) {
    case FrontendPhase::kStartup:
      return 10000;
    case FrontendPhase::kAuthentication:
    case FrontendPhase::kStreaming:
      return 1024;
    case FrontendPhase::kCommands:
      return 16384;
  }
  return 0;
}

base::Result<std::optional<FrontendMessage>> FrontendFramer::take(base::Bytes& input) {
  if (std::exchange(returned_, false)) held_.clear();
  // The header comes first, byte by byte of need, so that a message that may not be is never waited for.
  if (phase_ != FrontendPhase::kStartup && held_.empty()) hold(input, 1);
  std::optional<std::size_t> whole = TRY(whole_bytes());
  if (!whole) {
    hold(input, header_bytes());
    whole = TRY(whole_bytes());
    if (!whole) return std::optional<FrontendMessage>();
  }
  hold(input, *whole);
  if (held_.size() < *whole) return std::optional<FrontendMessage>();
  returned_ = true;
  const base::Bytes bytes = base::as_bytes(held_);
  return std::optional(FrontendMessage{phase_ == FrontendPhase::kStartup ? '\0' : held_.front(),
                                       bytes.subspan(header_bytes())});
}

base::Result<std::optional<std::size_t>> FrontendFramer::whole_bytes() const {
  const bool is_startup = phase_ == FrontendPhase::kStartup;
  if (!is_startup && !held_.empty() && kKnownKinds.find(held_.front()) == std::string_view::npos) {
    return violation(
        fmt::format("invalid frontend message type {}", static_cast<unsigned char>(held_.front())));
  }
  if (held_.size() < header_bytes()) return std::optional<std::size_t>();
  base::ByteReader reader(base::as_bytes(held_).subspan(header_bytes() - kLengthBytes));
  const std::size_t length = *reader.u32_be();
  const std::size_t least = kLengthBytes + (is_startup ? kMinStartupBodyBytes : 0);
  if (length < least || length > kLengthBytes + max_frontend_body_bytes(phase_)) {
    return violation(is_startup ? fmt::format("invalid length of startup packet: {}", length)
                                : fmt::format("invalid message length: {}", length));
  }
  return std::optional(header_bytes() - kLengthBytes + length);
}

void FrontendFramer::hold(base::Bytes& input, std::size_t up_to_bytes) {
  const std::size_t wanted = up_to_bytes - std::min(up_to_bytes, held_.size());
  const std::size_t count = std::min(wanted, input.size());
  held_ += base::as_text(input.first(count));
  input = input.subspan(count);
}

std::optional<std::string_view> StartupMessage::find(std::string_view name) const {
  std::optional<std::string_view> found;
  for (const auto& [parameter, value] : parameters) {
    if (parameter == name) found = value;
  }
  return found;
}

namespace {

base::Result<StartupMessage> parse_startup_message(std::uint16_t minor, base::ByteReader reader) {
  StartupMessage message;
  message.minor_version = minor;
  for (;;) {
    const auto name = reader.c_string();
    if (name && name->empty()) break;
    const auto value = reader.c_string();
    if (!name || !value) return violation("invalid startup packet layout: a parameter is cut off");
    if (name->starts_with(kProtocolOptionPrefix)) {
      message.protocol_options.emplace_back(*name);
    } else {
      message.parameters.emplace_back(*name, *value);
    }
  }
  if (reader.remaining() > 0) {
    return violation("invalid startup packet layout: expected terminator as last byte");
  }
  return message;
}

}  // namespace

base::Result<StartupPacket> parse_startup_packet(base::Bytes body) {
  base::ByteReader reader(body);
  const auto code = reader.u32_be();
  if (!code) return violation("invalid length of startup packet");
  if (*code == kCancelRequest) return StartupPacket(CancelRequest{});
  if (*code == kSslRequest) return StartupPacket(SslRequest{});
  if (*code == kGssEncryptionRequest) return StartupPacket(GssEncryptionRequest{});
  const std::uint32_t major = *code >> 16U;
  const auto minor = static_cast<std::uint16_t>(*code & 0xFFFFU);
  if (major != kSupportedMajorVersion) {
    return violation(
        fmt::format("unsupported frontend protocol {}.{}: server supports 3.0 to 3.0", major, minor),
        kFeatureNotSupported);
  }
  return StartupPacket(TRY(parse_startup_message(minor, reader)));
}

base::Result<std::string_view> parse_query(base::Bytes body) {
  base::ByteReader reader(body);
  const auto text = reader.c_string();
  if (!text) return violation("invalid string in message");
  if (reader.remaining() > 0) return violation("invalid message format");
  return *text;
}

base::Result<SaslInitialResponse> parse_sasl_initial_response(base::Bytes body) {
  base::ByteReader reader(body);
  const auto mechanism = reader.c_string();
  const auto length = mechanism ? reader.u32_be() : std::nullopt;
  if (!length) return violation("a SASL response is cut off");
  if (*length == UINT32_MAX && reader.remaining() == 0) return SaslInitialResponse{*mechanism, std::nullopt};
  if (*length != reader.remaining()) return violation("a SASL response lies about its length");
  return SaslInitialResponse{*mechanism, reader.rest()};
}

std::string encode_hot_standby_feedback(const HotStandbyFeedback& feedback) {
  std::string bytes;
  base::append_u8(bytes, 'h');
  base::append_u64_be(bytes, static_cast<std::uint64_t>(feedback.sent_at_pg_microseconds));
  base::append_u32_be(bytes, feedback.xmin);
  base::append_u32_be(bytes, feedback.xmin_epoch);
  base::append_u32_be(bytes, feedback.catalog_xmin);
  base::append_u32_be(bytes, feedback.catalog_xmin_epoch);
  return bytes;
}

namespace {

base::Result<StandbyMessage> parse_status(base::ByteReader reader) {
  const auto write = reader.u64_be();
  const auto flush = reader.u64_be();
  const auto apply = reader.u64_be();
  const auto sent_at = reader.u64_be();
  const auto reply = reader.u8();
  if (!write || !flush || !apply || !sent_at || !reply)
    return violation("a standby status update is cut off");
  return StandbyMessage(StandbyStatus{.write = Lsn(*write),
                                      .flush = Lsn(*flush),
                                      .apply = Lsn(*apply),
                                      .sent_at_pg_microseconds = static_cast<std::int64_t>(*sent_at),
                                      .reply_request = *reply != 0 ? ReplyRequest::kYes : ReplyRequest::kNo});
}

base::Result<StandbyMessage> parse_feedback(base::ByteReader reader) {
  const auto sent_at = reader.u64_be();
  const auto xmin = reader.u32_be();
  const auto xmin_epoch = reader.u32_be();
  const auto catalog_xmin = reader.u32_be();
  const auto catalog_xmin_epoch = reader.u32_be();
  if (!sent_at || !xmin || !xmin_epoch || !catalog_xmin || !catalog_xmin_epoch)
    return violation("a hot standby feedback message is cut off");
  return StandbyMessage(HotStandbyFeedback{static_cast<std::int64_t>(*sent_at), *xmin, *xmin_epoch,
                                           *catalog_xmin, *catalog_xmin_epoch});
}

}  // namespace

base::Result<StandbyMessage> parse_standby_message(base::Bytes message) {
  base::ByteReader reader(message);
  const auto kind = reader.u8();
  if (!kind) return violation("an empty standby message");
  if (*kind == 'r') return parse_status(reader);
  if (*kind == 'h') return parse_feedback(reader);
  return violation(fmt::format("unexpected standby message of kind {}", *kind));
}

}  // namespace standfast::pg

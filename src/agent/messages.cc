#include "agent/messages.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "agent/messages_codec.h"
#include "base/exit_code.h"
#include "pg/format/utf8.h"

namespace standfast::agent {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::size_t kStrangerKinds = 2;  // Hello and SignRequest
static_assert(std::is_same_v<std::variant_alternative_t<0, Request>, Hello> &&
              std::is_same_v<std::variant_alternative_t<1, Request>, SignRequest>);

struct Vocabulary {
  std::uint8_t first_kind;
  std::span<const Kind> kinds;
};
Vocabulary vocabulary_of(Speaker speaker) {
  switch (speaker) {
    case Speaker::kStranger:
      return {kFirstRequest, request_kinds().first(kStrangerKinds)};
    case Speaker::kMember:
      return {kFirstRequest, request_kinds()};
    case Speaker::kAgent:
      break;
  }
  return {kFirstAnswer, answer_kinds()};
}

/// How many bytes of `rest` are a control character at its begin (C0, DEL, C1 in UTF-8); 0: it begins with
/// none.
std::size_t control_bytes(std::string_view rest) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  if (byte(0) < 0x20 || byte(0) == 0x7F) return 1;
  return rest.size() > 1 && byte(0) == 0xC2 && byte(1) >= 0x80 && byte(1) < 0xA0 ? 2 : 0;
}

std::string line_of(std::string_view text) {
  std::string line;
  const bool is_utf8 = pg::is_utf8(text);
  while (!text.empty() && line.size() <= kMaxTextBytes) {
    const std::size_t control = control_bytes(text);
    if (control > 0) {
      line += ' ';
    } else {
      line += is_utf8 || static_cast<unsigned char>(text[0]) < 0x80 ? text[0] : '?';
    }
    text.remove_prefix(std::max<std::size_t>(control, 1));
  }
  line.resize(std::min(line.size(), kMaxTextBytes));
  while (!pg::is_utf8(line)) line.pop_back();  // cut within a character
  return line;
}

}  // namespace

// ---------------------------------------------------------------- fields

void FieldReader::read(ErrorCode& value) {
  const auto code = base::code_of_exit(value_of(in_.u8()));
  has_failed_ = has_failed_ || !code;
  if (!has_failed_) value = *code;
}

bool is_text(std::string_view text, std::size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes && text.find('\0') == std::string_view::npos;
}

bool is_line(std::string_view text, std::size_t max_bytes) {
  if (text.empty() || text.size() > max_bytes || !pg::is_utf8(text)) return false;
  for (; !text.empty(); text.remove_prefix(1)) {
    if (control_bytes(text) > 0) return false;
  }
  return true;
}

bool is_range(std::uint64_t offset, std::uint64_t length_bytes) {
  constexpr std::uint64_t kMaxFileBytes = std::numeric_limits<std::int64_t>::max();
  return offset <= kMaxFileBytes && length_bytes <= kMaxFileBytes - offset;
}

bool is_path_beneath(std::string_view path) {
  if (!is_text(path, kMaxPathBytes)) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

// ---------------------------------------------------------------- messages

Error not_understood(std::string_view name, std::string_view why) {
  return Error(
      ErrorCode::kProtocol, fmt::format("the other member's {} cannot be understood: {}", name, why),
      "See that both hosts have the same version of standfast, and that nothing else listens there.");
}

Result<std::optional<std::size_t>> message_bytes(Bytes front, Speaker speaker) {
  base::ByteReader in(front);
  const std::optional<std::uint8_t> kind = in.u8();
  if (!kind) return std::optional<std::size_t>();
  const Vocabulary vocabulary = vocabulary_of(speaker);
  const std::size_t index = std::size_t{*kind} - vocabulary.first_kind;  // below it: out of range as well
  if (index >= vocabulary.kinds.size()) {
    return not_understood("message", fmt::format("it may not say one of kind {:#04x} here", *kind));
  }
  const std::optional<std::uint32_t> length = in.u32_be();
  if (!length) return std::optional<std::size_t>();
  const Kind& bounds = vocabulary.kinds[index];
  if (*length < bounds.min_bytes || *length > bounds.max_bytes) {
    return not_understood(bounds.name, fmt::format("a length of {} bytes is out of its bounds", *length));
  }
  return std::optional(kMessageHeaderBytes + *length);
}

std::size_t max_message_bytes(Speaker speaker) {
  std::size_t most = 0;
  for (const Kind& kind : vocabulary_of(speaker).kinds) most = std::max(most, kind.max_bytes);
  return kMessageHeaderBytes + most;
}

Result<Bytes> body_of(Bytes message, Speaker speaker) {
  const std::optional<std::size_t> bytes = TRY(message_bytes(message, speaker));
  if (!bytes || *bytes != message.size()) return not_understood("message", "it is not whole");
  return message.subspan(kMessageHeaderBytes);
}

std::string encode_header(std::uint8_t kind, std::size_t body_bytes) {
  std::string header;
  base::append_u8(header, kind);
  base::append_u32_be(header, static_cast<std::uint32_t>(body_bytes));
  return header;
}

Refused refusal_of(const Error& error) {
  Refused refused{.code = error.code, .message = line_of(error.message), .hint = line_of(error.hint)};
  if (refused.message.empty()) refused.message = base::description_of(error.code);
  return refused;
}

Error error_of(const Answer& answer) {
  if (const auto* refused = std::get_if<Refused>(&answer)) {
    return Error(refused->code, refused->message, refused->hint);
  }
  return not_understood(answer_kinds()[answer.index()].name, "something else was asked for");
}

}  // namespace standfast::agent

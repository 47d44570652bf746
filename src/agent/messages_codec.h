// What messages_requests.cc and messages_answers.cc are made of. The fields of each message are listed once,
// in a function template fields(io, message), which a FieldWriter and a FieldReader are both given to, so
// that what is written and what is read cannot differ. problem_of(message) says what it may not say.
//
// Threading: values. Ownership: a writer borrows its text, a reader views its bytes. Fails: a read that does
// not fit gives zeros and makes is_whole() false for good.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "agent/messages.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash128.h"
#include "base/result.h"
#include "base/secret.h"
#include "pg/format/lsn.h"

namespace standfast::agent {

/// M is T or const T.
template <typename M, typename T>
concept Is = std::same_as<std::remove_const_t<M>, T>;

template <typename Io, Is<base::Hash128> M>
void fields(Io& io, M& hash) {
  io(hash.high, hash.low);
}
template <typename Io, typename M>
requires std::is_empty_v<M>
void fields(Io&, M&) {}

constexpr Checkpoint last_of(Checkpoint) {
  return Checkpoint::kSpread;
}
constexpr Compression last_of(Compression) {
  return Compression::kZstd;
}
constexpr EntryKind last_of(EntryKind) {
  return EntryKind::kFolder;
}
constexpr SlotStanding last_of(SlotStanding) {
  return SlotStanding::kLost;
}

class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}

  template <typename... Fields>
  void operator()(const Fields&... values) {
    (write(values), ...);
  }

 private:
  void write(bool value) { base::append_u8(out_, value ? 1 : 0); }
  void write(std::uint32_t value) { base::append_u32_be(out_, value); }
  void write(std::uint64_t value) { base::append_u64_be(out_, value); }
  void write(std::int64_t value) { base::append_u64_be(out_, static_cast<std::uint64_t>(value)); }
  template <typename Enum>
  requires std::is_enum_v<Enum>
  void write(Enum value) { base::append_u8(out_, static_cast<std::uint8_t>(value)); }
  void write(base::ErrorCode value) {
    base::append_u8(out_, static_cast<std::uint8_t>(base::exit_code_of(value)));
  }
  void write(pg::Lsn value) { write(value.value()); }
  void write(pg::TimelineId value) { write(value.value()); }
  void write(pg::SystemId value) { write(value.value()); }
  void write(const base::Hash128& value) { fields(*this, value); }
  void write(const std::string& value) {
    write(static_cast<std::uint32_t>(value.size()));
    out_ += value;
  }
  void write(const base::Secret& value) { write(value.reveal()); }
  void write(base::Bytes value) { out_ += base::as_text(value); }
  template <typename Element>
  void write(const std::vector<Element>& values) {
    write(static_cast<std::uint32_t>(values.size()));
    for (const Element& value : values) fields(*this, value);
  }

  std::string& out_;
};

class FieldReader {
 public:
  explicit FieldReader(base::Bytes body) : in_(body) {}

  template <typename... Fields>
  void operator()(Fields&... values) {
    (read(values), ...);
  }
  /// All was there, and nothing is left.
  bool is_whole() const { return !has_failed_ && in_.remaining() == 0; }

 private:
  template <typename Value>
  Value value_of(std::optional<Value> value) {
    has_failed_ = has_failed_ || !value;
    return value.value_or(Value{});
  }
  void read(bool& value) {
    const std::uint8_t byte = value_of(in_.u8());
    has_failed_ = has_failed_ || byte > 1;
    value = byte == 1;
  }
  void read(std::uint32_t& value) { value = value_of(in_.u32_be()); }
  void read(std::uint64_t& value) { value = value_of(in_.u64_be()); }
  void read(std::int64_t& value) { value = static_cast<std::int64_t>(value_of(in_.u64_be())); }
  template <typename Enum>
  requires std::is_enum_v<Enum>
  void read(Enum& value) {
    const std::uint8_t byte = value_of(in_.u8());
    has_failed_ = has_failed_ || byte > static_cast<std::uint8_t>(last_of(Enum{}));
    if (!has_failed_) value = static_cast<Enum>(byte);
  }
  void read(base::ErrorCode& value);
  void read(pg::Lsn& value) { value = pg::Lsn(value_of(in_.u64_be())); }
  void read(pg::TimelineId& value) { value = pg::TimelineId(value_of(in_.u32_be())); }
  void read(pg::SystemId& value) { value = pg::SystemId(value_of(in_.u64_be())); }
  void read(base::Hash128& value) { fields(*this, value); }
  void read(std::string& value) {
    const std::uint32_t size = value_of(in_.u32_be());
    value = base::as_text(value_of(in_.take(size)));
  }
  void read(base::Secret& value) {
    std::string text;
    read(text);
    value = base::Secret(std::move(text));
  }
  void read(base::Bytes& value) { value = value_of(in_.take(in_.remaining())); }
  /// What is held grows with what is there, not with the number that stands in front of it.
  template <typename Element>
  void read(std::vector<Element>& values) {
    const std::uint32_t count = value_of(in_.u32_be());
    while (!has_failed_ && values.size() < count) fields(*this, values.emplace_back());
  }

  base::ByteReader in_;
  bool has_failed_ = false;
};

// ---------------------------------------------------------------- what problem_of() asks

bool is_text(std::string_view text, std::size_t max_bytes);  ///< not empty, no NUL
bool is_line(std::string_view text, std::size_t max_bytes);  ///< UTF-8 that no terminal takes for a command
/// Of a file that a kernel can have.
bool is_range(std::uint64_t offset, std::uint64_t length_bytes);

template <typename M>
requires std::is_empty_v<M> std::string_view problem_of(const M&) {
  return {};
}

// ---------------------------------------------------------------- whole messages

/// Of a body.
struct Kind {
  std::string_view name;
  std::size_t min_bytes = 0;
  std::size_t max_bytes = 0;
};
/// In the order of the variants.
std::span<const Kind> request_kinds();
std::span<const Kind> answer_kinds();
constexpr std::uint8_t kFirstRequest = 0x01;
constexpr std::uint8_t kFirstAnswer = 0x81;

base::Error not_understood(std::string_view name, std::string_view why);
/// The body of a message that is whole.
base::Result<base::Bytes> body_of(base::Bytes message, Speaker speaker);
std::string encode_header(std::uint8_t kind, std::size_t body_bytes);

template <typename Message>
base::Result<void> check_message(const Message& message, std::span<const Kind> kinds) {
  const std::string_view problem = std::visit([](const auto& one) { return problem_of(one); }, message);
  if (!problem.empty()) return not_understood(kinds[message.index()].name, problem);
  return base::ok();
}

template <typename Message>
std::string encode_message(const Message& message, std::uint8_t first_kind) {
  CHECK(check(message));
  const auto kind = static_cast<std::uint8_t>(first_kind + message.index());
  std::string out = encode_header(kind, 0);
  FieldWriter writer(out);
  std::visit([&](const auto& one) { fields(writer, one); }, message);
  return out.replace(0, kMessageHeaderBytes, encode_header(kind, out.size() - kMessageHeaderBytes));
}

template <typename Message, std::size_t Index = 0>
Message read_alternative(std::size_t index, FieldReader& in) {
  if constexpr (Index + 1 < std::variant_size_v<Message>) {
    if (index != Index) return read_alternative<Message, Index + 1>(index, in);
  }
  std::variant_alternative_t<Index, Message> one;
  fields(in, one);
  return one;
}

template <typename Message>
base::Result<Message> parse_message(base::Bytes message, Speaker speaker, std::uint8_t first_kind,
                                    std::span<const Kind> kinds) {
  FieldReader in(TRY(body_of(message, speaker)));
  const std::size_t index = std::to_integer<std::size_t>(message[0]) - first_kind;
  Message parsed = read_alternative<Message>(index, in);
  if (!in.is_whole()) return not_understood(kinds[index].name, "its fields are not what such a message has");
  TRY(check(parsed));
  return parsed;
}

}  // namespace standfast::agent

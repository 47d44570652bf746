// Strong types for PostgreSQL's numbers. Nothing converts by itself.
//
// Lsn: a position in the WAL, in bytes (access/xlogdefs.h XLogRecPtr; 0 is invalid). Text form "16/B374D848",
// as %X/%X. TimelineId: 1 and up. SystemId: pg_control's system_identifier, printed as an unsigned decimal
// number.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace standfast::pg {

class Lsn {
 public:
  constexpr Lsn() = default;
  constexpr explicit Lsn(std::uint64_t value) : value_(value) {}
  static std::optional<Lsn> parse(std::string_view text);

  constexpr std::uint64_t value() const { return value_; }
  constexpr bool is_valid() const { return value_ != 0; }
  std::string to_string() const;
  constexpr auto operator<=>(const Lsn&) const = default;
  constexpr Lsn operator+(std::uint64_t bytes) const { return Lsn(value_ + bytes); }
  /// Bytes from `other` up to here; zero where `other` is ahead.
  constexpr std::uint64_t bytes_since(Lsn other) const {
    return value_ > other.value_ ? value_ - other.value_ : 0;
  }
  /// The first byte of the segment this position lies in.
  constexpr Lsn segment_start(std::uint64_t segment_bytes) const {
    return Lsn(value_ - value_ % segment_bytes);
  }

 private:
  std::uint64_t value_ = 0;
};

class TimelineId {
 public:
  constexpr TimelineId() = default;
  constexpr explicit TimelineId(std::uint32_t value) : value_(value) {}
  static std::optional<TimelineId> parse(std::string_view decimal);
  constexpr std::uint32_t value() const { return value_; }
  constexpr auto operator<=>(const TimelineId&) const = default;

 private:
  std::uint32_t value_ = 0;
};

class SystemId {
 public:
  constexpr SystemId() = default;
  constexpr explicit SystemId(std::uint64_t value) : value_(value) {}
  static std::optional<SystemId> parse(std::string_view decimal);
  constexpr std::uint64_t value() const { return value_; }
  std::string to_string() const;
  constexpr auto operator<=>(const SystemId&) const = default;

 private:
  std::uint64_t value_ = 0;
};

}  // namespace standfast::pg

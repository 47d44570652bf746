// Errors as values. Result<T> holds a T or an Error; TRY unwraps one or returns the error from the calling
// function. Member names follow std::expected, which g++ 12 does not have.
//
// Threading: values, no shared state. Ownership: a Result owns its T and its Error.
// Invariant: exactly one of value and error is there; asking for the other one aborts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error_table.h"

namespace standfast::base {

enum class ErrorCode : std::uint8_t {
#define STANDFAST_ENUMERATOR(code, exit_code, name, text) code,
  STANDFAST_ERROR_TABLE(STANDFAST_ENUMERATOR)
#undef STANDFAST_ENUMERATOR
};

int exit_code_of(ErrorCode code);
std::string_view name_of(ErrorCode code);
std::string_view description_of(ErrorCode code);

/// What failed, in one lower-case line without a full stop, and what to do about it, as a sentence.
/// Neither ever carries a secret.
struct Error {
  ErrorCode code = ErrorCode::kFailed;
  std::string message;
  std::string hint;
  int os_errno = 0;
  std::string sqlstate;    ///< five characters, if a PostgreSQL server sent the error
  bool retryable = false;  ///< the same call may succeed later, with nothing changed by hand

  Error() = default;
  Error(ErrorCode error_code, std::string error_message, std::string error_hint = "")
      : code(error_code), message(std::move(error_message)), hint(std::move(error_hint)) {}

  /// The same error with "CONTEXT: " put before its message.
  Error with_context(std::string_view context) const&;
  Error with_context(std::string_view context) &&;
  Error with_hint(std::string new_hint) &&;
};

/// An Error of a failed system call: "ACTION: strerror". EACCES/EPERM give kPermission, ENOSPC/EDQUOT
/// kDiskFull, everything else kIo.
Error error_from_errno(int error_number, std::string_view action);

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return checked(); }
  const T& value() const& { return const_cast<Result*>(this)->checked(); }
  T&& value() && { return std::move(checked()); }
  T& operator*() & { return checked(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(checked()); }
  T* operator->() { return &checked(); }
  const T* operator->() const { return &value(); }
  T value_or(T fallback) && { return has_value() ? std::move(checked()) : std::move(fallback); }

  const Error& error() const& {
    CHECK(!has_value());
    return std::get<1>(state_);
  }
  Error&& error() && {
    CHECK(!has_value());
    return std::get<1>(std::move(state_));
  }

 private:
  T& checked() {
    if (!has_value()) check_failed("has_value()", std::get<1>(state_).message.c_str(), __FILE__, __LINE__);
    return std::get<0>(state_);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  void value() const { CHECK(has_value()); }

  const Error& error() const& {
    CHECK(!has_value());
    return *error_;
  }
  Error&& error() && {
    CHECK(!has_value());
    return *std::move(error_);
  }

 private:
  std::optional<Error> error_;
};

inline Result<void> ok() {
  return {};
}

namespace internal {
template <typename T>
T unwrap(Result<T>&& result) {
  return std::move(result).value();
}
inline void unwrap(Result<void>&& result) {
  result.value();
}
}  // namespace internal

}  // namespace standfast::base

/// The value of a Result, or a return of its error from the function around it. May be nested.
#define TRY(expression) TRY_NAMED(expression, __COUNTER__)
#define TRY_NAMED(expression, number) TRY_WITH(expression, number)
#define TRY_WITH(expression, number)                                                     \
  ({                                                                                     \
    auto try_result_##number = (expression);                                             \
    if (!try_result_##number.has_value()) return std::move(try_result_##number).error(); \
    ::standfast::base::internal::unwrap(std::move(try_result_##number));                 \
  })

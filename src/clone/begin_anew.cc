#include "clone/begin_anew.h"

#include <utility>

#include <fmt/format.h>

namespace standfast::clone {

using base::Error;
using base::ErrorCode;

bool BeginAnew::after(const Error& failure, Left left) {
  const bool broke_off = failure.code == ErrorCode::kConnect || failure.code == ErrorCode::kTimeout;
  const bool has_part = left == Left::kPart || times_ > 0;
  if (!broke_off || !has_part || times_ == rules_.times || stop_.is_set()) return false;
  ++times_;
  const auto pause = std::exchange(pause_, pause_ * rules_.pauses_grow_by);
  reporter_.warn(
      fmt::format("the copy broke off: {}", failure.message),
      fmt::format("It begins anew in {} and goes on with what is there.", base::format_duration(pause)));
  return env::wait_for(-1, 0, env::Wait::for_at_most(pause, &stop_)) != env::Ready::kStopped;
}

}  // namespace standfast::clone

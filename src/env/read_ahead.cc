#include "env/read_ahead.h"

namespace standfast::env {
namespace {

constexpr std::uint64_t kAheadBytes = std::uint64_t{4} << 20U;

}  // namespace

void ReadAhead::went_on(File& file, std::uint64_t offset, std::uint64_t end) {
  if (goes_on_at_ != offset || asked_until_ < end) asked_until_ = end;
  goes_on_at_ = end;
  if (asked_until_ >= end + kAheadBytes / 2) return;
  file.start_reading(asked_until_, end + kAheadBytes - asked_until_);
  asked_until_ = end + kAheadBytes;
}

}  // namespace standfast::env

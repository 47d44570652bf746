// What the unit tests of messages share.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "agent/messages.h"

namespace standfast::agent::testing {

inline constexpr std::uint64_t kMaxOffset = std::numeric_limits<std::int64_t>::max();
inline constexpr base::Hash128 kHash{0x0102030405060708U, 0x090A0B0C0D0E0F10U};
inline const std::string kPacked = "packed bytes";

inline FileEntry entry(std::uint32_t number, std::string path) {
  return {.number = number, .mode = 0600, .size_bytes = 8192, .path = std::move(path)};
}

template <typename Parsed>
void expect_refused(const base::Result<Parsed>& parsed, std::string_view what) {
  ASSERT_FALSE(parsed) << what;
  EXPECT_EQ(parsed.error().code, base::ErrorCode::kProtocol) << what;
  EXPECT_FALSE(parsed.error().hint.empty()) << what;
}

}  // namespace standfast::agent::testing

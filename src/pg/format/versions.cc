#include "pg/format/versions.h"

#include <array>
#include <cctype>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

/// The minor release of each major that began to set the next multixid's offset.
struct MultixidChange {
  int major;
  int minor;
};
constexpr auto kMultixidChanges =
    std::to_array<MultixidChange>({{14, 21}, {15, 16}, {16, 12}, {17, 8}, {18, 2}});
/// The change needed three more releases on these, two on the later ones (whose lock is taken elsewhere).
constexpr int kLastMajorWithDeadlock = 16;

/// None: 12 and 13 ended before it.
std::optional<int> multixid_change_of(int major) {
  for (const MultixidChange& change : kMultixidChanges) {
    if (change.major == major) return change.minor;
  }
  return std::nullopt;
}

}  // namespace

bool Version::writes_old_multixids() const {
  const auto change = multixid_change_of(major());
  return !change || minor() < *change;
}

Version::OldMultixids Version::replay_of_old_multixids() const {
  const auto change = multixid_change_of(major());
  if (!change || minor() < *change) return OldMultixids::kUnderstood;
  const int releases_since = minor() - *change;
  if (releases_since == 0) return OldMultixids::kMayFailAfterTruncation;
  if (releases_since == 1) return OldMultixids::kMayFailAfterCheckpoint;
  return releases_since == 2 && major() <= kLastMajorWithDeadlock ? OldMultixids::kDeadlock
                                                                  : OldMultixids::kUnderstood;
}

Version Version::first_with_new_multixids() const {
  constexpr int kNumbersOfAMajor = 10000;
  return Version(major() * kNumbersOfAMajor + multixid_change_of(major()).value_or(0));
}

Version Version::first_sound_with_old_multixids() const {
  return Version(first_with_new_multixids().number() + (major() <= kLastMajorWithDeadlock ? 3 : 2));
}

std::optional<Version> Version::parse(std::string_view text) {
  if (const auto prefix = text.find(") "); prefix != std::string_view::npos && !is_digit(text.front())) {
    text.remove_prefix(prefix + 2);
  }
  int numbers[2] = {0, 0};
  std::size_t at = 0;
  for (int part = 0; part < 2; ++part) {
    if (at >= text.size() || !is_digit(text[at]))
      return part == 0 ? std::nullopt : std::optional(Version(numbers[0] * 10000));
    while (at < text.size() && is_digit(text[at]) && numbers[part] < 10000) {
      numbers[part] = numbers[part] * 10 + (text[at++] - '0');
    }
    if (numbers[part] >= 10000) return std::nullopt;
    if (at < text.size() && text[at] == '.') ++at;
  }
  return Version(numbers[0] * 10000 + numbers[1]);
}

std::string Version::to_string() const {
  return minor() == 0 ? fmt::format("{}", major()) : fmt::format("{}.{}", major(), minor());
}

}  // namespace standfast::pg

#include "clone/rate.h"

#include <charconv>

#include <fmt/format.h>

#include "env/file_system.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<std::uint64_t> parse_max_rate(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Error(ErrorCode::kUsage, fmt::format("the transfer rate \"{}\" {}", text, why),
                 "Give a number of kB/s, or one with the suffix k or M, from 32k to 1024M.");
  };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return refuse("is no number");
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  double bytes = number * 1024;
  if (suffix == "M") {
    bytes *= 1024;
  } else if (!suffix.empty() && suffix != "k") {
    return refuse("has an unknown suffix");
  }
  if (!(bytes >= static_cast<double>(kMinRateBytesPerSecond) &&
        bytes <= static_cast<double>(kMaxRateBytesPerSecond)))
    return refuse("is out of range");
  return static_cast<std::uint64_t>(bytes);
}

Result<TablespaceMapping> parse_tablespace_mapping(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Error(ErrorCode::kUsage, fmt::format("the tablespace mapping \"{}\" {}", text, why),
                 "Write it as \"-T OLDDIR=NEWDIR\" with two absolute paths.");
  };
  std::string sides[2];
  std::size_t side = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '=';
    if (escaped) {
      sides[side] += text[++i];
    } else if (text[i] == '=') {
      if (++side == 2) return refuse("has more than one '='");
    } else {
      sides[side] += text[i];
    }
  }
  if (side != 1 || sides[0].empty() || sides[1].empty()) return refuse("is not OLDDIR=NEWDIR");
  if (sides[0][0] != '/' || sides[1][0] != '/') return refuse("needs absolute paths");
  return TablespaceMapping{env::absolute_path(sides[0]), env::absolute_path(sides[1])};
}

}  // namespace standfast::clone

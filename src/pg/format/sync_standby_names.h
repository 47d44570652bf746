// The value of synchronous_standby_names (replication/syncrep_scanner.l, syncrep_gram.y).
//
// Pure. Names match without case (pg_strcasecmp); "*" matches every one. No value for a text that the server
// would not take either.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace standfast::pg {

/// FIRST: of those connected, the first in the list count. ANY: any of them do.
enum class SyncMethod : std::uint8_t { kFirst, kAny };

struct SyncStandbyNames {
  SyncMethod method = SyncMethod::kFirst;
  std::uint32_t count = 1;  ///< how many must have a commit
  std::vector<std::string> names;
  bool is_plain_list = false;  ///< "a, b", which means FIRST 1 (a, b)

  /// An empty text is an empty list: nobody is waited for.
  static std::optional<SyncStandbyNames> parse(std::string_view text);
  std::string to_string() const;

  bool is_empty() const { return names.empty(); }
  /// As written in the list, not by "*".
  bool names_it(std::string_view name) const;
  bool has_wildcard() const { return names_it("*"); }
};

}  // namespace standfast::pg

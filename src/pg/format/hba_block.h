// The one marked block of pg_hba.conf that Standfast owns: which standbys may log in, and by which rule.
//
//   # BEGIN standfast: written by "standfast primary setup"; do not edit inside, the next run rewrites it
//   # slot pgstandby1
//   hostssl replication "replicator" 10.20.20.2/32 scram-sha-256
//   hostssl "standfast" "standfast_monitor" 10.20.20.2/32 scram-sha-256
//   # witness witness1
//   hostssl replication "replicator" 10.20.20.3/32 scram-sha-256
//   # END standfast
//
// A witness keeps WAL and asks no questions, so it gets the one line that it needs.
//
// Threading: pure functions on values.
// Invariant: without_block(with_block(text, block)) is text without its block, byte for byte, and
// with_block() twice is with_block() once. A file without a last newline lends that lack to a block at its
// end, which is how the newline that had to be added is known again. Fails: kPrecondition for a BEGIN without
// END or a second block; kProtocol for a file hba_file.h cannot read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/format/hba_file.h"

namespace standfast::pg {

enum class HbaMember : std::uint8_t { kStandby, kWitness };

struct HbaBlockEntry {
  std::string slot_name;
  std::string address_cidr;  ///< as parse_standby_address() gives it
  HbaMember kind = HbaMember::kStandby;
  bool operator==(const HbaBlockEntry&) const = default;
};

struct HbaBlock {
  std::vector<HbaBlockEntry> members;
  std::string replication_role;
  std::string monitor_role;
  std::string monitor_database;
  Encryption encryption = Encryption::kTls;  ///< kTls: hostssl; kPlain: host
  /// From where setup itself tries the logins, if that is no member's address.
  std::optional<std::string> probe_address_cidr;

  std::string render() const;  ///< with the markers, ends with a newline
  /// The logins the block is there to admit.
  std::vector<HbaConnection> connections() const;
  bool operator==(const HbaBlock&) const = default;
};

/// The block as it stands in the file; none if there is none. A block with lines in it that Standfast does
/// not write is kPrecondition.
base::Result<std::optional<HbaBlock>> find_block(std::string_view file_text);

/// The file with this block in place of any earlier one, before the first rule that takes or may take one of
/// its connections (and before the comment right above that rule), else at the end. An earlier one that
/// stands before all such rules keeps its place.
base::Result<std::string> with_block(std::string_view file_text, const HbaBlock& block,
                                     HbaDialect dialect = HbaDialect::kWithContinuation);
base::Result<std::string> without_block(std::string_view file_text);

/// The file with the lines of its block moved to the left margin: a block that a person pasted from what was
/// shown to him is still one.
std::string with_block_at_margin(std::string_view file_text);

}  // namespace standfast::pg

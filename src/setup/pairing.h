// Whether a server and this host can be a pair, as far as releases, builds and collations decide it: facts of
// both in, what is wrong out. What is known of PostgreSQL's releases is in pg/format/versions.h.
//
// Threading: pure functions on values. Fails: never; a fact that is not known is not judged.
// Follows: utils/init/miscinit.c ValidatePgVersion(), access/transam/xlog.c ReadControlFile(),
// access/transam/multixact.c RecordNewMultiXact(), utils/adt/pg_locale.c get_collation_actual_version().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/format/versions.h"

namespace standfast::setup {

/// What a build was compiled with, and a data directory only fits a build that has the same.
struct BuildFacts {
  std::optional<std::uint64_t> block_bytes = {};
  std::optional<std::uint64_t> wal_block_bytes = {};
  std::optional<std::uint64_t> segment_blocks = {};  ///< of a file of a relation
  std::optional<bool> float8_by_value = {};
};

/// By which versions of which libraries text is sorted.
struct CollationFacts {
  std::optional<std::string> libc = {};  ///< glibc's: "2.36"
  std::optional<std::string> icu = {};   ///< of the collator: "153.120"; not the library's own
  /// Of a server: databases whose default collation is of that library, and not C or POSIX.
  std::vector<std::string> libc_databases = {};
  std::vector<std::string> icu_databases = {};
};

/// One of the two.
struct PairingSide {
  pg::Version version;
  std::string machine;  ///< "x86_64"
  /// Of a standby: its WAL is written by a server whose release is not known here.
  bool in_recovery = false;
  BuildFacts build = {};
  CollationFacts collations = {};
};

enum class PairingSeverity : std::uint8_t {
  kRefuse,
  kWarn,
  kNote,  ///< concerns only who uses what it names
};
struct PairingFinding {
  PairingSeverity severity = PairingSeverity::kRefuse;
  std::string message;
  std::string hint;
};

/// The most serious first.
std::vector<PairingFinding> judge_pairing(const PairingSide& source, const PairingSide& host);
/// The part of it that is about collations; of two running servers, of which the first is the source.
std::vector<PairingFinding> judge_collations(const CollationFacts& source, const CollationFacts& host);

}  // namespace standfast::setup

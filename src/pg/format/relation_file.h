// Which files of a cluster hold the pages of a relation, told by their path alone (common/relpath.c
// GetRelationPath(), reinit.c parse_filename_for_nontemp_relation(), basebackup.c sendDir()). These have
// page checksums where the cluster has; pg_filenode.map, pg_internal.init, PG_VERSION, pg_control, temporary
// files and relations, and whatever else lies beside them, have none.
//
// Before 17 a base backup also tried names in these folders that no server gives; here the rule is that of 17
// and later for all.
//
// Threading: pure functions on values; bytes from outside may be handed in as they are.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace standfast::pg {

enum class Fork : std::uint8_t { kMain, kFreeSpace, kVisibility, kInit };

struct RelationFile {
  std::uint32_t relation = 0;  ///< its file's number
  Fork fork = Fork::kMain;
  std::uint32_t segment = 0;
  bool operator==(const RelationFile&) const = default;

  /// What the file's first page is within its fork; `segment_blocks` is pg_control's. The arithmetic is that
  /// of 32-bit block numbers.
  std::uint32_t first_block_number(std::uint32_t segment_blocks) const { return segment * segment_blocks; }
};

/// A name within the folder of a database or within global: "16384", "16384_fsm", "16384_vm.2", "16384.1".
std::optional<RelationFile> parse_relation_file_name(std::string_view name);

/// A path relative to the data directory: "global/1262", "base/5/1259.1",
/// "pg_tblspc/16390/PG_15_202209061/5/16400"; or relative to a tablespace: "PG_15_202209061/5/16400".
std::optional<RelationFile> parse_relation_path(std::string_view path);

}  // namespace standfast::pg

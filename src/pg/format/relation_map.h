// pg_filenode.map (utils/cache/relmapper.c) of 12 to 18, little endian: which files the catalogs have that
// pg_class cannot tell of. Before 16 it is written over in place, so that whoever reads it beside a running
// server can get a part of each of two.
//
// Threading: pure. Fails: kDamaged where the bytes are no whole map, or its CRC-32C does not hold (a reader
// of a running server's file tries again).
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/result.h"

namespace standfast::pg {

/// sizeof(RelMapFile): 62 mappings and a padding until 15, 64 from 16 on.
inline constexpr std::size_t kRelationMapBytesUntil15 = 512;
inline constexpr std::size_t kRelationMapBytes = 524;

base::Result<void> check_relation_map(base::Bytes bytes);

}  // namespace standfast::pg

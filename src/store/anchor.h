// The file standfast.anchors: checksums over what the first segment of a stay begins with, and what else no
// record's checksum can vouch for (wal_store.h). docs/formats/wal-store.md has its bytes.
//
// Threading: pure functions and two that touch the folder. Fails: kIo, kPermission, kDiskFull. A file that is
// not understood counts as none: then the segment is fetched again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "wal/record_scanner.h"

namespace standfast::store {

using Anchors = std::vector<wal::UnprovenRange>;

/// Never more are kept; the oldest go. A server abandons one record in a crash, no more.
inline constexpr std::size_t kMaxAnchors = 1000;

std::string encode_anchors(const Anchors& anchors);
/// Empty for a text that is not understood.
Anchors parse_anchors(std::string_view text);

base::Result<void> write_anchors(env::FileSystem& files, const std::string& folder, const Anchors& anchors,
                                 mode_t mode);
base::Result<Anchors> read_anchors(env::FileSystem& files, const std::string& folder);

}  // namespace standfast::store

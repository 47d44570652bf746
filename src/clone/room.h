// Whether the disks have room for what a copy brings, found out before anything is changed: what comes and
// what goes is added up by the disk that it is on.
//
// Threading: one thread. Ownership: borrows the FileSystem. Fails: kDiskFull; kIo, kPermission.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "clone/copy_layout.h"
#include "env/file_system.h"

namespace standfast::clone {

/// Room for WAL that comes while the copy is made, in segments; it cannot be known before.
constexpr std::uint64_t kWalReserveSegments = 4;

struct DiskNeed {
  std::string path;  ///< of a folder on that disk
  std::uint64_t needed_bytes = 0;
  std::uint64_t available_bytes = 0;  ///< free, or what is there already and stays or goes
};

class RoomNeeds {
 public:
  explicit RoomNeeds(env::FileSystem& files) : files_(files) {}

  /// So many bytes come. A folder that does not exist yet will be on its parent's disk.
  base::Result<void> add(const std::string& folder, std::uint64_t bytes);
  /// So many go, or are there already.
  base::Result<void> spare(const std::string& folder, std::uint64_t bytes);
  /// What prepare() and the fetch make longer and shorter. The layout's folders may be missing.
  base::Result<void> add_growth(const CopyLayout& layout);

  /// Each disk that anything comes to.
  base::Result<std::vector<DiskNeed>> disks() const;

 private:
  struct Sum {
    std::string path;
    std::uint64_t comes = 0;
    std::uint64_t goes = 0;
  };
  /// Null: there is no such disk, not even the root's.
  base::Result<Sum*> sum_of(std::string folder);

  env::FileSystem& files_;
  std::map<std::uint64_t, Sum> by_device_;
};

/// kDiskFull for the first that has not what it needs. `what` needs it: "the copy".
base::Result<void> check_room(const std::vector<DiskNeed>& disks, std::string_view what,
                              const std::string& hint);

}  // namespace standfast::clone

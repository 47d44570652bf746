#include "clone/room.h"

#include <fmt/format.h>

#include "base/time.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<RoomNeeds::Sum*> RoomNeeds::sum_of(std::string folder) {
  auto info = TRY(files_.inspect_following(folder));
  while (!info && folder != "/") {
    folder = env::parent_of(folder);
    info = TRY(files_.inspect_following(folder));
  }
  if (!info) return nullptr;
  Sum& sum = by_device_[info->device];
  if (sum.path.empty()) sum.path = folder;
  return &sum;
}

Result<void> RoomNeeds::add(const std::string& folder, std::uint64_t bytes) {
  if (Sum* sum = TRY(sum_of(folder))) sum->comes += bytes;
  return base::ok();
}

Result<void> RoomNeeds::spare(const std::string& folder, std::uint64_t bytes) {
  if (Sum* sum = TRY(sum_of(folder))) sum->goes += bytes;
  return base::ok();
}

Result<void> RoomNeeds::add_growth(const CopyLayout& layout) {
  for (const FolderGrowth& growth : TRY(growth_of(files_, layout))) {
    TRY(add(growth.folder, growth.comes));
    TRY(spare(growth.folder, growth.goes));
  }
  return base::ok();
}

Result<std::vector<DiskNeed>> RoomNeeds::disks() const {
  std::vector<DiskNeed> disks;
  for (const auto& [device, sum] : by_device_) {
    if (sum.comes == 0) continue;
    const std::uint64_t free = TRY(files_.space(sum.path)).available_bytes;
    disks.push_back({sum.path, sum.comes, free + sum.goes});
  }
  return disks;
}

Result<void> check_room(const std::vector<DiskNeed>& disks, std::string_view what, const std::string& hint) {
  for (const DiskNeed& disk : disks) {
    if (disk.needed_bytes <= disk.available_bytes) continue;
    return Error(ErrorCode::kDiskFull,
                 fmt::format("{} needs {} and the disk of \"{}\" has {} free", what,
                             base::format_bytes(disk.needed_bytes), disk.path,
                             base::format_bytes(disk.available_bytes)),
                 hint);
  }
  return base::ok();
}

}  // namespace standfast::clone

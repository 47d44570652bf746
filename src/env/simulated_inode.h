// For tests, and for simulated_disk*.cc alone: what a simulated disk holds of one file, directory or link.
//
// Threading: under the disk's lock.
#pragma once

#include <algorithm>
#include <array>
#include <set>

#include "env/simulated_disk.h"

namespace standfast::env::testing {

inline base::Error failure(int error_number, const char* action, const std::string& path) {
  return base::error_from_errno(error_number, std::string("could not ") + action + " \"" + path + "\"");
}

/// Below `bound`, which is above 0. Not a distribution of the library, whose numbers differ between
/// libraries.
inline std::uint64_t pick(std::mt19937_64& random, std::uint64_t bound) {
  return random() % bound;
}

/// Bytes that are zero until something else is written.
class SparseBytes {
 public:
  void write(std::uint64_t offset, base::Bytes bytes) {
    each_page(
        offset, bytes.size(),
        [&](std::uint64_t page, std::size_t within, std::size_t from, std::size_t count) {
          const base::Bytes part = bytes.subspan(from, count);
          auto found = pages_.find(page);
          if (found == pages_.end()) {
            if (std::all_of(part.begin(), part.end(), [](std::byte byte) { return byte == std::byte{0}; }))
              return;
            found = pages_.emplace(page, Page{}).first;
          }
          std::copy(part.begin(), part.end(), found->second.begin() + static_cast<std::ptrdiff_t>(within));
        });
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const {
    each_page(offset, into.size(),
              [&](std::uint64_t page, std::size_t within, std::size_t from, std::size_t count) {
                const auto part = into.subspan(from, count);
                const auto found = pages_.find(page);
                if (found == pages_.end()) {
                  std::fill(part.begin(), part.end(), std::byte{0});
                } else {
                  std::copy_n(found->second.begin() + static_cast<std::ptrdiff_t>(within), count,
                              part.begin());
                }
              });
  }
  void copy_sector(const SparseBytes& other, std::uint64_t sector) {
    std::array<std::byte, SimulatedDisk::kSectorBytes> bytes{};
    other.read(sector * bytes.size(), bytes);
    write(sector * bytes.size(), bytes);
  }
  void zero_from(std::uint64_t offset) {
    const std::uint64_t page = offset / kPageBytes;
    pages_.erase(pages_.lower_bound(offset % kPageBytes == 0 ? page : page + 1), pages_.end());
    const auto found = pages_.find(page);
    if (found != pages_.end())
      std::fill(found->second.begin() + static_cast<std::ptrdiff_t>(offset % kPageBytes), found->second.end(),
                std::byte{0});
  }

 private:
  static constexpr std::uint64_t kPageBytes = SimulatedDisk::kPageBytes;
  using Page = std::array<std::byte, kPageBytes>;

  template <typename Visit>
  static void each_page(std::uint64_t offset, std::size_t length, const Visit& visit) {
    for (std::size_t done = 0; done < length;) {
      const std::uint64_t at = offset + done;
      const auto within = static_cast<std::size_t>(at % kPageBytes);
      const std::size_t count = std::min<std::size_t>(length - done, kPageBytes - within);
      visit(at / kPageBytes, within, done, count);
      done += count;
    }
  }
  std::map<std::uint64_t, Page> pages_;
};

struct SimulatedDisk::Inode {
  FileInfo info;
  std::shared_ptr<std::uint64_t> taken_on_disk;

  // A regular file.
  SparseBytes cache;
  SparseBytes device;
  std::set<std::uint64_t> dirty_sectors;
  std::set<std::uint64_t> taken_pages;
  std::uint64_t size = 0;
  std::uint64_t least_size = 0;     ///< since the last sync
  std::uint64_t greatest_size = 0;  ///< since the last sync

  // A directory.
  Names names;
  Names durable_names;

  std::string link_target;

  explicit Inode(std::shared_ptr<std::uint64_t> taken) : taken_on_disk(std::move(taken)) {}
  ~Inode() { *taken_on_disk -= taken_pages.size() * kPageBytes; }
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;

  void size_is_durable() { least_size = greatest_size = size; }
  void give_pages_back() {
    const auto first = taken_pages.lower_bound((size + kPageBytes - 1) / kPageBytes);
    *taken_on_disk -= static_cast<std::uint64_t>(std::distance(first, taken_pages.end())) * kPageBytes;
    taken_pages.erase(first, taken_pages.end());
  }
  void cut_power(std::mt19937_64& random) {
    const std::uint64_t kept_of_eight = pick(random, 9);
    for (const std::uint64_t sector : dirty_sectors)
      if (pick(random, 8) < kept_of_eight) device.copy_sector(cache, sector);
    dirty_sectors.clear();
    const std::uint64_t range = greatest_size - least_size;
    switch (pick(random, 4)) {
      case 0:
        size = least_size;
        break;
      case 1:
        size = greatest_size;
        break;
      case 2:
        size = least_size + pick(random, range + 1);
        break;
      default:
        size = least_size + pick(random, range + 1);
        size = std::max(least_size, size - size % kSectorBytes);
    }
    size_is_durable();
    device.zero_from(size);
    cache = device;
    give_pages_back();
    names = durable_names;
  }
};

}  // namespace standfast::env::testing

#include "clone/copy_work.h"

#include <algorithm>
#include <numeric>
#include <ratio>

#include "base/check.h"

namespace standfast::clone {

namespace {

constexpr std::size_t kMinStreams = 2;
constexpr std::size_t kMaxStreamsOfCores = 8;
constexpr std::size_t kMaxStreamsOfLink = 16;
/// Linux lets a socket's buffer grow to 4 to 6 MiB.
constexpr std::int64_t kSocketBytes = std::int64_t{4} << 20;
constexpr std::int64_t kFastLinkBytesPerSecond = 1'250'000'000;  ///< 10 Gbit/s

}  // namespace

std::size_t default_streams(std::size_t cores, std::optional<std::chrono::microseconds> round_trip) {
  const std::size_t of_cores = std::clamp(2 * cores, kMinStreams, kMaxStreamsOfCores);
  const std::int64_t way =
      std::clamp<std::int64_t>(round_trip.value_or(std::chrono::microseconds(0)).count(), 0, std::micro::den);
  const std::int64_t of_link = way * kFastLinkBytesPerSecond / std::micro::den / kSocketBytes + 1;
  return std::max(of_cores, std::min(static_cast<std::size_t>(of_link), kMaxStreamsOfLink));
}

std::uint64_t pieces_of(const PlannedFile& file, const WorkRules& rules) {
  if (file.is_whole) return 1;
  return std::max<std::uint64_t>(
      1, file.size_bytes / rules.stretch_bytes + (file.size_bytes % rules.stretch_bytes == 0 ? 0 : 1));
}

std::vector<WorkUnit> plan_units(std::span<const PlannedFile> files, std::size_t left_out,
                                 const WorkRules& rules) {
  CHECK(rules.stretch_bytes > 0 && rules.max_pieces > 0);
  std::vector<std::size_t> order(files.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
    return files[left].size_bytes > files[right].size_bytes;
  });

  std::vector<WorkUnit> units;
  WorkUnit together;
  std::uint64_t together_bytes = 0;
  const auto end_together = [&] {
    if (!together.empty()) units.push_back(std::exchange(together, {}));
    together_bytes = 0;
  };
  for (const std::size_t index : order) {
    if (index == left_out) continue;
    const std::uint64_t size = files[index].size_bytes;
    for (std::uint64_t number = 0; number < pieces_of(files[index], rules); ++number) {
      const std::uint64_t offset = number * rules.stretch_bytes;
      const std::uint64_t rest = size - offset;
      const Piece piece{index, offset, files[index].is_whole ? rest : std::min(rules.stretch_bytes, rest)};
      if (piece.length_bytes >= rules.small_unit_bytes) {
        units.push_back({piece});
        continue;
      }
      if (together.size() == rules.max_pieces ||
          together_bytes + piece.length_bytes > rules.small_unit_bytes) {
        end_together();
      }
      together.push_back(piece);
      together_bytes += piece.length_bytes;
    }
  }
  end_together();
  return units;
}

}  // namespace standfast::clone

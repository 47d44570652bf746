// Packed segments: the first byte chooses the form, the rest is what lies in the file, and then what is
// packed. Whatever comes, an unpacker takes no more than it is given, fills no more than there is room, and
// gives the same in small pieces; what is packed unpacks to itself.
#include <algorithm>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "store/packing.h"

namespace {

namespace base = standfast::base;
namespace store = standfast::store;

constexpr std::size_t kMostBytes = std::size_t{1} << 20U;  // of what comes out
constexpr std::size_t kRoomBytes = std::size_t{64} << 10U;

struct Unpacked {
  std::string bytes;
  bool is_damaged = false;
};

/// Up to the end, the damage or the bound.
Unpacked unpack(store::SegmentForm form, base::Bytes packed, std::size_t piece_bytes) {
  const auto unpacker = store::make_unpacker(form);
  std::vector<std::byte> room(kRoomBytes);
  Unpacked unpacked;
  base::Bytes rest = packed;
  while (unpacked.bytes.size() < kMostBytes) {
    const base::Bytes piece = rest.first(std::min(rest.size(), piece_bytes));
    const auto step = unpacker->unpack(piece, room);
    if (!step) {
      CHECK(step.error().code == base::ErrorCode::kDamaged);
      unpacked.is_damaged = true;
      return unpacked;
    }
    CHECK(step->taken <= piece.size() && step->given <= room.size());
    unpacked.bytes += base::as_text(base::Bytes(room).first(step->given));
    rest = rest.subspan(step->taken);
    if (step->taken == 0 && step->given == 0) return unpacked;
  }
  return unpacked;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  constexpr store::SegmentForm kForms[] = {store::SegmentForm::kLz4, store::SegmentForm::kZstd,
                                           store::SegmentForm::kGzip};
  const store::SegmentForm form = kForms[data[0] % 3U];
  const base::Bytes bytes = base::as_bytes(standfast::fuzz::as_text(data + 1, size - 1));
  const Unpacked whole = unpack(form, bytes, kMostBytes);
  const Unpacked in_pieces = unpack(form, bytes, 1 + data[0] / 3U);
  // Damage in a frame may be met before what lies in front of it has come out.
  const std::size_t both = std::min({whole.bytes.size(), in_pieces.bytes.size(), kMostBytes});
  CHECK(whole.bytes.compare(0, both, in_pieces.bytes, 0, both) == 0);
  CHECK(whole.is_damaged || in_pieces.is_damaged || whole.bytes.size() >= kMostBytes ||
        whole.bytes == in_pieces.bytes);

  if (form == store::SegmentForm::kGzip) return 0;  // read only
  const auto packer = store::make_packer({.form = form}, bytes.size());
  std::string packed;
  CHECK(packer->pack(bytes.first(bytes.size() / 2), store::Packer::Part::kSome, packed));
  CHECK(packer->pack(bytes.subspan(bytes.size() / 2), store::Packer::Part::kLast, packed));
  const Unpacked again = unpack(form, base::as_bytes(packed), kRoomBytes);
  CHECK(!again.is_damaged && again.bytes == base::as_text(bytes));
  return 0;
}

// The file of a replication slot, standfast.slots/NAME (docs/formats/wal-slots.md): what has to outlive the
// process.
//
// Pure functions. A text that is not understood gives no value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pg/format/lsn.h"

namespace standfast::store {

struct SlotState {
  pg::Lsn restart = {};  ///< WAL from here on is held back; invalid: none is
  /// What is before this a receiver that used the slot has reported to be on its disk; invalid: none has
  /// reported anything.
  pg::Lsn flushed = {};
  pg::TimelineId timeline = {};    ///< of both positions; 0: not known
  std::uint64_t xmin = 0;          ///< the oldest transaction, with its epoch, whose rows its standby needs
  std::uint64_t catalog_xmin = 0;  ///< the same for catalogs; 0: none
  bool is_lost = false;
  bool operator==(const SlotState&) const = default;
};

std::string encode_slot(const SlotState& slot);
/// Also of the format before this one, which did not know what a receiver had reported.
std::optional<SlotState> parse_slot(std::string_view text);

}  // namespace standfast::store

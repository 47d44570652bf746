#include "clone/left_slot.h"

#include <fmt/format.h>

#include "clone/rejoin_aside.h"
#include "clone/source.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

Result<void> drop(const LeftSlot& left) {
  if (left.connect.parameters.empty())
    return Error(ErrorCode::kConnect, "how its server is reached was not noted");
  return drop_slot(left.connect, left.slot.name,
                   {.when = client::DropSlot::kIfFree, .only_on = left.slot.system_id});
}

}  // namespace

std::optional<LeftSlot> find_left_slot(env::FileSystem& files, const std::string& data_folder,
                                       const CloneOptions& copy, const std::string& source) {
  // A journal that cannot be read is no reason to keep the directory that it is of.
  const auto journal = find_unfinished_rejoin(files, data_folder);
  const auto slot = journal && *journal ? slot_made_by(**journal) : std::nullopt;
  if (!slot || slot->name == copy.slot) return std::nullopt;
  LeftSlot left{.slot = *slot, .connect = {}};
  if (left.slot.conninfo == source) {
    left.connect = copy.connect;
  } else if (left.slot.conninfo) {
    left.connect.parameters = client::parse_conninfo(*left.slot.conninfo).value_or({});
  }
  return left;
}

void drop_left_slot(const LeftSlot& left, base::Reporter& reporter) {
  const JournalSlot& slot = left.slot;
  const auto dropped = drop(left);
  if (dropped) {
    reporter.info(fmt::format(
        "dropped replication slot \"{}\" of the rejoin that this copy takes the place of", slot.name));
  } else if (dropped.error().sqlstate != kSlotUndefined) {
    reporter.warn(
        fmt::format("replication slot \"{}\" of system {}, which a rejoin made, could not be dropped: {}",
                    slot.name, slot.system_id.to_string(), dropped.error().message),
        fmt::format("It holds back WAL there{}, and nothing needs it any more. Drop it: {}.",
                    slot.conninfo ? fmt::format(" ({})", *slot.conninfo) : "", drop_statement(slot.name)));
  }
}

}  // namespace standfast::clone

// What WAL the slot of a copy that did not end holds back at its source, asked there as the copy reached it:
// over the replication protocol (15 and later), else by a statement.
//
// Threading: one thread. Changes nothing. Fails: never; what cannot be known has its reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "clone/unfinished.h"
#include "setup/environment.h"
#include "setup/server_facts.h"

namespace standfast::setup {

struct UnfinishedCopy {
  clone::Unfinished facts;
  std::optional<std::uint64_t> held_bytes = {};  ///< by its slot
  std::string why_not_known = {};                ///< "" where it is known, and where there is no slot
};

/// What these servers say of it; else its source is asked. A stop event that is set makes it not known.
UnfinishedCopy with_its_slot(clone::Unfinished unfinished, const std::vector<ServerFacts>& asked,
                             const SetupEnvironment& environment);

}  // namespace standfast::setup

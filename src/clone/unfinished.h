// What a copy or a rejoin that did not end, or has not ended yet, has left at its target: read from its
// journal, for whoever wants to know and not to go on.
//
// Threading: one thread. Ownership: borrows the FileSystem. Changes nothing, and takes no lock.
// Fails: as journal.h and rejoin_journal.h where a journal cannot be read; kIo, kPermission.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::clone {

/// What the same command does next.
enum class NextRun : std::uint8_t {
  kGoesOn,       ///< with what is there
  kBeginsAnew,   ///< what is there goes
  kRenamesBack,  ///< first, what it was renaming to put the copy in place
};

struct Unfinished {
  enum class Kind : std::uint8_t { kCopy, kRejoin };
  Kind kind = Kind::kCopy;
  std::string target;         ///< the directory itself
  bool is_at_work = false;    ///< somebody makes it just now
  bool is_in_pieces = false;  ///< of a rejoin: no server starts from the directory
  bool has_begun = true;      ///< of a rejoin: all that there is otherwise is its slot
  NextRun next = NextRun::kGoesOn;
  std::optional<std::string> begun = {};  ///< "2026-01-31 12:00:00 UTC"
  std::optional<pg::SystemId> system_id = {};
  std::optional<std::string> source = {};  ///< how it was reached, a conninfo without a password
  std::optional<std::string> slot = {};    ///< the standby's
  bool made_slot = false;
  std::vector<std::string> folders = {};    ///< that the copy is made in
  std::optional<std::uint64_t> bytes = {};  ///< in them, as bytes_below()
};

/// A copy into `target`, and a rejoin in it: one, both or none.
base::Result<std::vector<Unfinished>> find_unfinished(env::FileSystem& files, const std::string& target);

}  // namespace standfast::clone

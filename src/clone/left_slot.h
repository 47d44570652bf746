// A slot that a rejoin made for a directory which a copy takes the place of. With the directory moved aside
// nobody would know of it any more, and it would hold back WAL without end.
//
// It goes before the directory does: whoever is killed in between, or fails, leaves a journal that still has
// it, and a rejoin that is run again makes it anew.
//
// Threading: one thread. Fails: never; a slot that could not be dropped is told of, with what to do.
#pragma once

#include <optional>
#include <string>

#include "base/reporter.h"
#include "clone/clone.h"
#include "clone/journal.h"
#include "env/file_system.h"

namespace standfast::clone {

struct LeftSlot {
  JournalSlot slot;                ///< with how the rejoin reached its source
  client::ConnectOptions connect;  ///< the same, or, where that is the copy's source, as the copy does
};

/// No value: no rejoin of that directory is left unfinished, it has made no slot, or the copy is to use that
/// one. `source`: how the copy reached its own, as conninfo_without_secrets().
std::optional<LeftSlot> find_left_slot(env::FileSystem& files, const std::string& data_folder,
                                       const CloneOptions& copy, const std::string& source);
/// Only on that system, and only while nobody uses it.
void drop_left_slot(const LeftSlot& left, base::Reporter& reporter);

}  // namespace standfast::clone

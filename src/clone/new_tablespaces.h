// Tablespaces that came into being at the source while a copy was made. The WAL has all that is in them, but
// replay makes no folder outside the data directory: the one that the source has must be here as well
// (tablespace.c create_tablespace_directories()), and must not be the source's own.
//
// Threading: one thread. Fails: kPrecondition for one of a source on this host, whose folder both would use;
// as the file system does.
#pragma once

#include <span>

#include "agent/messages.h"
#include "base/reporter.h"
#include "base/result.h"
#include "clone/source.h"
#include "env/file_system.h"

namespace standfast::clone {

base::Result<void> look_at_new_tablespaces(std::span<const agent::Tablespace> at_begin,
                                           std::span<const agent::Tablespace> at_end,
                                           const SourceFacts& source, env::FileSystem& files,
                                           base::Reporter& reporter);

}  // namespace standfast::clone

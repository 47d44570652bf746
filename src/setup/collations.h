// By which versions of libc and ICU text is sorted: asked of a running server, and of this host before it has
// one.
//
// Threading: one thread. Fails: as statements do; what cannot be found out is absent.
// Follows: utils/adt/pg_locale.c get_collation_actual_version(), which is what the two must agree with.
#pragma once

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/server/installation.h"
#include "setup/pairing.h"

namespace standfast::setup {

base::Result<CollationFacts> read_collations(client::Connection& server, const env::Wait& wait);

/// Of a server that these programs would be: glibc's version as this process has it, and that of the ICU the
/// postgres program is linked with.
CollationFacts collations_of_host(env::FileSystem& files, const server::Installation& installation,
                                  const env::Wait& wait);

}  // namespace standfast::setup

// A folder of WAL that nobody writes to, made ready to be served: held by its lock, its end proven, so that
// all that is served of it is durable.
//
// Threading: one thread. Ownership: owns the lock. Fails: kInUse while another process uses the folder;
// kPrecondition where there is no WAL that can be served; what proving the end fails with
// (store/tail_proof.h).
#pragma once

#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "env/folder_lock.h"
#include "wal/serve_actions.h"

namespace standfast::witness {

/// For whoever fills it or serves it.
base::Result<env::FolderLock> lock_wal_folder(const std::string& folder);

struct ServedFolder {
  env::FolderLock lock;
  wal::serve::ServerFacts facts;
  wal::serve::StoreView view;
};
base::Result<ServedFolder> open_served_folder(env::FileSystem& files, const std::string& folder);

/// What the segments of a folder say of their server; no value: there are none that can be read.
base::Result<std::optional<wal::serve::ServerFacts>> facts_of_folder(env::FileSystem& files,
                                                                     const std::string& folder);

}  // namespace standfast::witness

// A folder becomes what an agent's list says (the design is in docs/adr, "one algorithm for copy, resume and
// rejoin"): whether it is empty, has what an interrupted copy left, or an old server's files. What is there
// is hashed and believed where the source has the same now; what differs is fetched; what is not listed goes.
//
// pg_control is gone before the first change, and is fetched last, when all else is there and durable; it
// lies beside its name then. backup_label, the manifest and what else is not in the list is written
// afterwards, by the caller, who then puts pg_control in place: until that no server starts from the folder.
//
// Threading: copy_from_agent() in one thread; inside there are as many as streams, and those of a SyncPool,
// all joined when it returns. Whichever fails first ends the others. Ownership: borrows all. Memory: bounded
// by the number of streams, and what the list of files takes.
// Fails: kDamaged, with the pages by name, where the source has damaged pages and that is not allowed;
// kCancelled; kProtocol, kConnect, kTimeout as the streams; kDiskFull, kIo. After any failure the same call
// goes on from what is there.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "agent/messages.h"
#include "base/result.h"
#include "clone/copy_book.h"
#include "clone/copy_layout.h"
#include "clone/copy_stream.h"
#include "clone/copy_work.h"
#include "clone/page_rules.h"
#include "clone/swap.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::clone {

struct AgentCopyOptions {
  CopyPlaces places;
  std::size_t streams = 1;
  std::optional<std::uint64_t> max_bytes_per_second = {};  ///< of all streams together
  std::optional<PageRules> pages = {};                     ///< none: the source has no page checksums
  DamagedPages damaged_pages = DamagedPages::kRefused;
  SyncFiles sync = SyncFiles::kYes;
  std::uint32_t run_bytes = 8192;  ///< of one hash; a multiple of a block
  WorkRules work = {};             ///< a stretch has at most kMaxHashesInAnswer runs
  std::uint64_t direct_from_bytes = std::uint64_t{1} << 20U;
  /// Called in the caller's thread, a few times a second; an error ends the copy.
  std::function<base::Result<void>(const CopyProgress&)> on_progress = {};
};

struct CopyEnvironment {
  env::FileSystem& files;  ///< best one beneath the folders
  const env::StopEvent& stop;
  const OpenCopyStream& open_stream;
};

struct AgentCopy {
  std::vector<CopiedFile> files;  ///< what the manifest has to name, sorted by path
  std::vector<std::string> folders;
  Damage damage;  ///< where it is allowed
  CopyProgress progress;
  /// pg_control as it lies there now, and where it has to go.
  std::string control_file_aside;
  std::string control_file_place;
};

base::Result<AgentCopy> copy_from_agent(std::span<const agent::FileEntry> entries,
                                        const AgentCopyOptions& options, const CopyEnvironment& environment);
/// The last step of all.
base::Result<void> place_control_file(env::FileSystem& files, const AgentCopy& copy, SyncFiles sync);

}  // namespace standfast::clone

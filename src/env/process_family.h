// A process that is no child of ours, and the ones that it has started: killed together, as a power cut
// would.
//
// What is killed is known by its id and the time of its start, so that an id that has gone to another program
// is left alone. By /proc/PID/stat (proc(5)).
//
// Threading: one thread. Fails with: kPermission for a process of somebody else, kTimeout, kCancelled, kIo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::env {

struct ProcessStat {
  char state = '?';  ///< 'Z' has ended, and nobody has taken its status yet
  pid_t parent = 0;
  std::uint64_t start_ticks = 0;
  bool operator==(const ProcessStat&) const = default;
};
/// No value: that is no such line.
std::optional<ProcessStat> parse_process_stat(std::string_view text);
/// No value: there is no such process that can be seen here.
std::optional<ProcessStat> stat_of_process(FileSystem& files, pid_t pid);

/// From now on a daemon that was started from here is a child of this process, not of process 1: one that is
/// killed is gone as soon as it is waited for, also where process 1 waits for nobody, as in many a container.
/// PostgreSQL takes one that nobody has waited for for a living server.
void adopt_orphans();

/// SIGKILL for `pid` and its children, and back when all of them have ended; those that are this process's
/// own have been waited for, too. How many they were, 0 where there is no such process.
base::Result<std::size_t> kill_with_children(FileSystem& files, pid_t pid, const Wait& wait);

}  // namespace standfast::env

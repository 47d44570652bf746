// The end of a server's log, for the error of a start that failed.
//
// Threading: pure functions and reads. Fails: never; what cannot be read is not there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::server {

inline constexpr std::size_t kMaxLogTailBytes = 8192;
inline constexpr std::size_t kMaxLogTailLines = 8;

/// The last lines of what was written after `from_bytes`; of the logging collector's file where the server
/// has gone over to that.
std::string read_log_tail(env::FileSystem& files, const std::string& path, std::uint64_t from_bytes,
                          const std::string& data_directory);
/// The error of a server that did not come up: kInUse for a port or socket that another one holds,
/// kPermission, kDiskFull, else kServerControl; the server's last FATAL line in the message, `tail` in the
/// hint. `complaint` is what the program that was to start it said.
base::Error explain_start_failure(const std::string& data_directory, std::string_view log_file,
                                  std::string_view tail, std::string_view complaint);

}  // namespace standfast::server

#include "env/open_files.h"

#include <cerrno>

#include <fmt/format.h>
#include <sys/resource.h>

namespace standfast::env {

base::Result<void> allow_open_files(std::uint64_t count) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return base::error_from_errno(errno, "could not read the limit of open files");
  }
  if (limit.rlim_cur >= count) return base::ok();
  if (limit.rlim_max < count) {
    return base::Error(base::ErrorCode::kPrecondition,
                       fmt::format("{} files may have to be open at once, and this process may have {}",
                                   count, limit.rlim_max),
                       "Raise the limit (ulimit -n, LimitNOFILE= of its unit), or allow fewer connections.");
  }
  limit.rlim_cur = count;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return base::ok();
  return base::error_from_errno(errno, "could not raise the limit of open files");
}

}  // namespace standfast::env

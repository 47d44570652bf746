#include "setup/setup_lock.h"

#include "base/time.h"
#include "setup/admin_session.h"

namespace standfast::setup {
namespace {

/// "standfast" in ASCII, cut to eight bytes.
constexpr std::string_view kLockSql = "SELECT pg_try_advisory_lock(8319381538418876787)";
constexpr base::Seconds kLockTimeout{10};
constexpr base::Milliseconds kLockPollInterval{100};

}  // namespace

base::Result<void> lock_setup(client::Connection& admin, const env::StopEvent& stop) {
  // A run that was killed holds the lock until its last statement has ended.
  const auto lock_wait = env::Wait::for_at_most(kLockTimeout, &stop);
  const auto statement_wait = env::Wait::for_at_most(kStatementTimeout, &stop);
  while (TRY(admin.query_value(std::string(kLockSql), statement_wait)) != "t") {
    const auto next = base::Deadline::after(kLockPollInterval).earlier(lock_wait.deadline);
    if (env::wait_for(-1, 0, {next, lock_wait.stop}) == env::Ready::kStopped) return env::cancelled_error();
    if (lock_wait.deadline.passed()) {
      return base::Error(base::ErrorCode::kInUse, "another \"standfast primary setup\" runs on this server",
                         "Wait until it is done, then run this again.");
    }
  }
  return base::ok();
}

}  // namespace standfast::setup

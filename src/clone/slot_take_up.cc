#include "clone/slot_take_up.h"

#include <utility>

#include <fmt/format.h>

#include "clone/source.h"

namespace standfast::clone {

using base::Result;

Result<void> when_slot_is_free(const std::function<Result<void>()>& attempt, const env::Wait& release,
                               base::Clock::duration interval) {
  while (true) {
    auto answer = attempt();
    if (answer || answer.error().sqlstate != kSlotInUse || release.deadline.passed()) return answer;
    const base::Deadline next = release.deadline.earlier(base::Deadline::after(interval));
    if (env::wait_for(-1, 0, {next, release.stop}) == env::Ready::kStopped) return env::cancelled_error();
  }
}

Result<void> take_up_slot(client::ReplicationConnection& connection, const CloneOptions& options,
                          const std::string& name, const client::BackupPosition& at,
                          const CloneEnvironment& environment) {
  const auto wait = [&](base::Clock::duration timeout) {
    return env::Wait::for_at_most(timeout, &environment.stop);
  };
  const auto tried = when_slot_is_free(
      [&] { return try_slot(connection, name, at, client::ReserveWal::kNo, wait(kCommandTimeout)); },
      wait(kOwnSlotReleaseTimeout));
  if (tried) return tried;
  if (tried.error().sqlstate == kSlotWrongState) {
    environment.reporter.info(fmt::format("slot \"{}\" has lost its WAL: it is made anew", name));
    TRY(drop_slot(options.connect, name));
  } else if (tried.error().sqlstate != kSlotUndefined) {
    return tried;
  }
  return connection.create_physical_slot({.name = name}, wait(kCommandTimeout));
}

Result<void> drop_own_slot(const client::ConnectOptions& connect, const JournalSlot& slot,
                           const CloneEnvironment& environment) {
  constexpr base::Seconds kInterval(1);  // each attempt is a connection
  const DropRules rules{.when = client::DropSlot::kIfFree, .only_on = slot.system_id};
  bool is_told = false;
  const auto attempt = [&] {
    auto dropped = drop_slot(connect, slot.name, rules);
    if (!dropped && dropped.error().sqlstate == kSlotInUse && !std::exchange(is_told, true)) {
      environment.reporter.info(fmt::format(
          "slot \"{}\" is still in use; it is dropped when the server has let go of it", slot.name));
    }
    return dropped;
  };
  return when_slot_is_free(attempt, env::Wait::for_at_most(kOwnSlotReleaseTimeout, &environment.stop),
                           kInterval);
}

}  // namespace standfast::clone

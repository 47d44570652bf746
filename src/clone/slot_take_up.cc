#include "clone/slot_take_up.h"

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
                           const env::StopEvent& stop) {
  constexpr base::Seconds kInterval(1);  // each attempt is a connection
  const DropRules rules{.when = client::DropSlot::kIfFree, .only_on = slot.system_id};
  return when_slot_is_free([&] { return drop_slot(connect, slot.name, rules); },
                           env::Wait::for_at_most(kOwnSlotReleaseTimeout, &stop), kInterval);
}

}  // namespace standfast::clone

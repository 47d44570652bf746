// An unfinished copy is given up: what it left beside or inside its target goes, the login that was made for
// it, and the slot that it made.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "clone/clone.h"
#include "clone/inner_folder.h"
#include "clone/interrupted.h"
#include "clone/journal.h"
#include "clone/rejoin_aside.h"
#include "clone/slot_take_up.h"
#include "clone/source.h"
#include "clone/staging.h"
#include "clone/target.h"
#include "pg/client/connection.h"
#include "pg/client/secret_store.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

/// What the user says wins; else as the run that made the slot reached its server.
Result<CloneOptions> with_noted_connection(CloneOptions options, const JournalSlot& slot) {
  if (!options.connect.parameters.empty() || !slot.conninfo) return options;
  for (const auto& [keyword, value] : TRY(client::parse_conninfo(*slot.conninfo)))
    options.connect.set(keyword, value);
  return options;
}

void tell_of_drop(const JournalSlot& slot, base::Reporter& reporter) {
  reporter.info(
      fmt::format("would drop replication slot \"{}\" of system {}", slot.name, slot.system_id.to_string()));
}

Result<void> give_slot_up(const CloneOptions& options, const JournalSlot& slot,
                          const CloneEnvironment& environment) {
  const CloneOptions with = TRY(with_noted_connection(options, slot));
  auto dropped = drop_own_slot(with.connect, slot, environment);
  if (dropped) {
    environment.reporter.info(fmt::format("dropped replication slot \"{}\"", slot.name));
    return base::ok();
  }
  if (dropped.error().sqlstate == kSlotUndefined) return base::ok();
  Error error = std::move(dropped).error().with_context(fmt::format(
      "replication slot \"{}\" of system {} could not be dropped", slot.name, slot.system_id.to_string()));
  error.hint = fmt::format("It holds back WAL there. {}, or there: {}.",
                           error.sqlstate == kSlotInUse ? "End what uses it, then run this again"
                                                        : "Say with -h, -p and -U how to reach it",
                           drop_statement(slot.name));
  return error;
}

/// Nothing else logs in with it.
Result<void> forget_login(env::FileSystem& files, const JournalCopy& copy, base::Reporter& reporter) {
  if (copy.login_files.empty()) return base::ok();
  const auto store = TRY(client::SecretStore::locate(files));
  for (const std::string& name : copy.login_files) TRY(store.remove(copy.system_id, name));
  reporter.info(fmt::format("removed the login that was kept for it: {}", fmt::join(copy.login_files, ", ")));
  return base::ok();
}

Error has_begun(const RejoinJournal& journal, const std::string& target) {
  const auto& slot = journal.created_slot;
  return refuse(
      fmt::format("a rejoin has begun to change \"{}\", and cannot be given up{}", target,
                  slot ? fmt::format("; it made replication slot \"{}\", which holds back WAL", *slot) : ""),
      fmt::format("Run it again: it goes on. To copy the source anew instead{}: standfast standby clone "
                  "--replace -D {}.",
                  slot ? ", which drops that slot" : "", target));
}

/// One that was killed before it had changed anything: all there is is its journal, and its slot.
Result<bool> abandon_rejoin(const CloneOptions& options, const CloneEnvironment& environment,
                            const std::string& target, AbandonMode mode) {
  const auto journal = TRY(find_unfinished_rejoin(environment.files, target));
  if (!journal) return false;
  if (TRY(environment.files.inspect(kept_folder_of(*journal)))) return has_begun(*journal, target);
  const std::optional<JournalSlot> slot = slot_made_by(*journal);
  if (mode == AbandonMode::kDryRun) {
    if (slot) tell_of_drop(*slot, environment.reporter);
    environment.reporter.info(
        fmt::format("would give up a rejoin of \"{}\" that has changed nothing", target));
    return true;
  }
  if (slot) TRY(give_slot_up(options, *slot, environment));
  TRY(remove_rejoin_journal(environment.files, target));
  environment.reporter.info(fmt::format("gave up a rejoin of \"{}\" that has changed nothing", target));
  return true;
}

}  // namespace

Result<bool> abandon_copy(const CloneOptions& options, const CloneEnvironment& environment,
                          AbandonMode mode) {
  env::FileSystem& files = environment.files;
  base::Reporter& reporter = environment.reporter;
  if (mode == AbandonMode::kDryRun) {
    const std::string target = TRY(target_of(options.target, environment));
    TRY(refuse_claimed(files, target));
    const auto journal = TRY(read_stale_journal(files, target));
    if (!journal) return abandon_rejoin(options, environment, target, mode);
    for (const std::string& folder : journal->folders)
      reporter.info(fmt::format("would remove \"{}\"", folder));
    if (journal->copy && !journal->copy->login_files.empty())
      reporter.info(fmt::format("would remove the login that is kept for it: {}",
                                fmt::join(journal->copy->login_files, ", ")));
    if (journal->slot) tell_of_drop(*journal->slot, reporter);
    return true;
  }
  const Claim claim = TRY(claim_target(options.target, environment));
  TRY(settle_interrupted(files, claim.target(), reporter));
  TRY(move_old_directory(claim, environment));
  auto journal = TRY(read_stale_journal(files, claim.target()));
  if (!journal) return abandon_rejoin(options, environment, claim.target(), mode);
  TRY(Staging::remove_stale(files, *journal));
  for (const std::string& folder : journal->folders)
    reporter.info(fmt::format("removed the unfinished copy in \"{}\"", folder));
  if (journal->copy) TRY(forget_login(files, *journal->copy, reporter));
  journal->folders.clear();
  journal->copy.reset();
  journal->kept = false;
  TRY(write_journal(files, claim.target(), *journal));
  if (journal->slot) TRY(give_slot_up(options, *journal->slot, environment));
  TRY(remove_journal(files, claim.target(), *journal));
  return true;
}

}  // namespace standfast::clone

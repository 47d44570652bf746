#include "clone/clone.h"

#include <fmt/format.h>

#include "clone/begin_anew.h"
#include "clone/fetch.h"
#include "clone/old_directory.h"

namespace standfast::clone {

using base::Result;

StagedClone::StagedClone(std::unique_ptr<State> state) : state_(std::move(state)) {}
StagedClone::StagedClone(StagedClone&&) noexcept = default;

StagedClone& StagedClone::operator=(StagedClone&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

StagedClone::~StagedClone() {
  if (state_) state_->clean_up();
}

const std::string& StagedClone::staging_path() const {
  return state_->staging->data_folder();
}

const std::string& StagedClone::target() const {
  return state_->options.target;
}

const CloneFacts& StagedClone::facts() const {
  return state_->facts;
}

Result<CloneFacts> StagedClone::put_in_place() {
  State& state = *state_;
  if (state.left_slot) drop_left_slot(*state.left_slot, state.environment.reporter);
  Placed placed = TRY(state.staging->put_in_place());
  state.placed = true;
  state.facts.moved_aside_to = placed.old;
  state.hand_over_slot();
  state.facts.elapsed = state.stopwatch.elapsed();
  state.tell_what_is_kept(placed);
  if (!placed.unfinished) return state.facts;
  base::Error error = std::move(*placed.unfinished)
                          .with_context("the copy is in place in \"" + state.options.target +
                                        "\", but what comes after it failed and it may not survive a power "
                                        "failure");
  error.hint = "Look at the disk before this copy is relied on; the next run tries again.";
  if (placed.old) error.hint += " What was there is in \"" + *placed.old + "\" now.";
  return error;
}

void StagedClone::State::tell_what_is_kept(const Placed& kept) const {
  for (const std::string& place : kept.also_kept)
    environment.reporter.info(fmt::format("what the old directory had elsewhere is kept in \"{}\"", place));
  if (!kept.old || options.move_old_to || !env::is_same_or_inside(*kept.old, options.target)) return;
  environment.reporter.warn(
      fmt::format("the old directory is kept inside the new one, in \"{}\"", *kept.old),
      fmt::format("Base backups of this server would copy it too. Move it away soon: mv {} /ANOTHER/PLACE "
                  "(--move-old-to does that by itself).",
                  *kept.old));
}

// Only now: were it moved before, a standby whose place the copy takes could not go on if that failed.
void StagedClone::State::hand_over_slot() {
  if (hands_over_at) {
    const auto wait = env::Wait::for_at_most(kCommandTimeout, &environment.stop);
    const auto done =
        try_slot(*wal_connection, *options.slot, *hands_over_at, client::ReserveWal::kYes, wait);
    if (!done) {
      environment.reporter.warn(
          "replication slot \"" + *options.slot + "\" could not be moved: " + done.error().message,
          "The slot moves when the standby connects. Start it soon, while the primary still has the WAL.");
    }
  }
  // The temporary slot goes with its connection.
  wal_connection.reset();
}

void StagedClone::State::tell_of_unfinished() const {
  environment.reporter.warn(
      fmt::format("the unfinished copy stays in \"{}\"{}", staging->data_folder(),
                  created_slot ? fmt::format(", and so does replication slot \"{}\"", *created_slot) : ""),
      fmt::format("Run this again: it goes on with what is there. To give it up: standfast standby clone "
                  "--abandon -D {}.",
                  options.target));
  if (!server_was_stopped) return;
  environment.reporter.warn("the server in \"" + options.target + "\" was stopped and is not started again",
                            "Its data directory is as it was: start it if you need it.");
}

void StagedClone::State::clean_up() {
  wal_connection.reset();
  if (placed) return;
  if (is_resumable) {
    tell_of_unfinished();
    return;
  }
  const auto warn = [this](const base::Error& error, const std::string& hint) {
    environment.reporter.warn(error.message, hint);
  };
  if (created_slot) {
    auto dropped = drop_slot(options.connect, *created_slot);
    const bool is_gone = dropped || (dropped.error().sqlstate == kSlotUndefined && !slot_is_unsure);
    if (dropped) environment.reporter.detail("dropped replication slot \"" + *created_slot + "\"");
    if (is_gone) {
      if (staging) static_cast<void>(staging->forget_slot());
    } else {
      warn(std::move(dropped).error().with_context("could not drop replication slot \"" + *created_slot +
                                                   "\""),
           "It holds back WAL on the primary. The next run into this directory drops it; by hand: " +
               drop_statement(*created_slot) + ".");
    }
  }
  if (staging && options.keep_staging) {
    if (auto kept = staging->keep(); !kept)
      warn(kept.error(), "The next run would remove the unfinished copy.");
    environment.reporter.info("the unfinished copy is left in \"" + staging->data_folder() + "\"");
  } else if (staging) {
    if (auto removed = staging->remove(); !removed) warn(removed.error(), "The next run removes it.");
  }
  if (server_was_stopped) {
    environment.reporter.warn("the server in \"" + options.target + "\" was stopped and is not started again",
                              "Its data directory is as it was: start it if you need it.");
  }
}

Result<StagedClone> fetch_clone(const CloneOptions& options, const CloneEnvironment& environment,
                                const Claim& claim) {
  BeginAnew anew(environment.reporter, environment.stop);
  CloneOptions next = options;
  std::unique_ptr<Fetch> left;  // the last that has anything to leave
  while (true) {
    auto fetch = std::make_unique<Fetch>(next, environment);
    if (left) fetch->goes_on_after(*left);
    auto staged = fetch->run(claim);
    if (staged) return staged;
    const Left has_left = fetch->left();
    if (!left || has_left == Left::kPart) left = std::move(fetch);
    if (!anew.after(staged.error(), has_left)) {
      left->clean_up();
      return environment.stop.is_set() ? env::cancelled_error() : std::move(staged).error();
    }
    next.agent.way = CopyWay::kAgent;
  }
}

Result<std::string> target_of(const std::string& path, const CloneEnvironment& environment) {
  std::string target = TRY(resolve_target(environment.files, path));
  if (target != env::absolute_path(path)) {
    environment.reporter.info(
        fmt::format("\"{}\" is a symbolic link: the directory is \"{}\"", env::absolute_path(path), target));
  }
  return target;
}

Result<Claim> claim_target(const std::string& path, const CloneEnvironment& environment) {
  return Claim::take(environment.files, TRY(target_of(path, environment)));
}

Result<std::optional<std::string>> move_old_directory(const Claim& claim,
                                                      const CloneEnvironment& environment) {
  const std::string& target = claim.target();
  auto journal = TRY(read_stale_journal(environment.files, target));
  if (!journal || !journal->old) return std::optional<std::string>();
  const std::string place = journal->old->move_to;
  TRY(move_old({environment.files, environment.stop, environment.reporter}, target, *journal));
  return std::optional(place);
}

std::vector<std::string> describe_places(const ClonePlan& plan) {
  std::vector<std::string> lines;
  const auto add = [&lines]<typename... Args>(fmt::format_string<Args...> text, Args&&... args) {
    lines.push_back(fmt::format(text, std::forward<Args>(args)...));
  };
  if (plan.first) lines.push_back(*plan.first);
  if (plan.agent) add("would copy through the agent of member \"{}\"", *plan.agent);
  if (plan.stops_server) add("would stop the server in \"{}\"", plan.target);
  if (plan.inside_because) add("{}: it stays, and its entries are exchanged", *plan.inside_because);
  add("would copy into \"{}\"", plan.staging);
  if (plan.drops_slot)
    add("would drop replication slot \"{}\" of the rejoin that did not end", *plan.drops_slot);
  if (plan.inside_because) {
    if (plan.moves_aside_to) {
      add("would rename the entries of \"{}\" into \"{}\", global/pg_control first", plan.target,
          *plan.moves_aside_to);
    }
    add("would rename the entries of the copy into \"{}\", global/pg_control last", plan.target);
  } else {
    if (plan.moves_aside_to) add("would rename \"{}\" to \"{}\"", plan.target, *plan.moves_aside_to);
    add("would rename the copy to \"{}\"", plan.target);
  }
  if (plan.moves_aside_to && plan.moves_old_to)
    add("would move \"{}\" on to \"{}\"", *plan.moves_aside_to, *plan.moves_old_to);
  return lines;
}

Result<ClonePlan> plan_clone(const CloneOptions& options, const CloneEnvironment& environment) {
  return Fetch(options, environment).plan();
}

}  // namespace standfast::clone

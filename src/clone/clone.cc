#include "clone/clone.h"

#include "clone/fetch.h"

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

const CloneFacts& StagedClone::facts() const {
  return state_->facts;
}

Result<CloneFacts> StagedClone::put_in_place() {
  State& state = *state_;
  Placed placed = TRY(state.staging->put_in_place());
  state.placed = true;
  state.facts.moved_aside_to = placed.aside;
  state.hand_over_slot();
  state.facts.elapsed = state.stopwatch.elapsed();
  if (!placed.not_durable) return state.facts;
  base::Error error = std::move(*placed.not_durable)
                          .with_context("the copy is in place in \"" + state.options.target +
                                        "\", but may not survive a power failure");
  error.hint = "Look at the disk before this copy is relied on.";
  if (placed.aside) error.hint += " The directory that was there is \"" + *placed.aside + "\" now.";
  return error;
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

void StagedClone::State::clean_up() {
  wal_connection.reset();
  if (placed) return;
  const auto warn = [this](const base::Error& error, const std::string& hint) {
    environment.reporter.warn(error.message, hint);
  };
  if (created_slot) {
    if (auto dropped = drop_slot(options, *created_slot)) {
      environment.reporter.detail("dropped replication slot \"" + *created_slot + "\"");
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

Result<StagedClone> fetch_clone(const CloneOptions& options, const CloneEnvironment& environment) {
  return Fetch(options, environment).run();
}

Result<ClonePlan> plan_clone(const CloneOptions& options, const CloneEnvironment& environment) {
  return Fetch(options, environment).plan();
}

}  // namespace standfast::clone

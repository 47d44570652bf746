// The part of a clone that goes through the source's agent: whether it does, what an earlier run left, and
// the copy itself.
#include <algorithm>

#include <fmt/format.h>

#include "clone/agent_member.h"
#include "clone/fetch.h"
#include "clone/new_tablespaces.h"
#include "clone/slot_take_up.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

std::string abandon_hint(const std::string& target) {
  return fmt::format("To give it up: standfast standby clone --abandon -D {}.", target);
}

}  // namespace

// ---------------------------------------------------------------- which way

Result<void> Fetch::choose_way() {
  const CopyWay way = options_.agent.way;
  if (way == CopyWay::kProtocol) return base::ok();
  if (!streams_wal()) {
    if (way == CopyWay::kAuto) return base::ok();
    return Error(ErrorCode::kUsage, "an agent gives no WAL", "Leave -X out: it is streamed.");
  }
  auto connected =
      connect_to_agent_of(source_, backup_connection_->connection().host(), options_.agent, environment_);
  if (environment_.stop.is_set()) return env::cancelled_error();
  if (!connected) {
    if (way == CopyWay::kAgent) return std::move(connected).error();
    const Error& error = connected.error();
    if (error.code == ErrorCode::kPrecondition) {
      reporter_.detail(error.message);
    } else {
      reporter_.warn("the copy does not go through an agent: " + error.message,
                     "It is one stream, and begins anew when it is interrupted.");
    }
    return base::ok();
  }
  agent_ = *std::move(connected);
  TRY(check_agent_fits(*agent_, source_));
  reporter_.info(fmt::format("through the agent of member \"{}\", {} streams", agent_->member(),
                             agent_->streams(options_.agent.streams)));
  return base::ok();
}

// ---------------------------------------------------------------- what an earlier run left

Result<void> Fetch::take_up(const Journal& journal) {
  const std::string what = fmt::format("an unfinished copy of \"{}\"", target_.path);
  if (!agent_) {
    return Error(ErrorCode::kTargetRefused, what + " is there, which goes on only through an agent",
                 "Let the agent be reached. " + abandon_hint(target_.path));
  }
  const auto wal_directory =
      options_.wal_directory ? std::optional(env::absolute_path(*options_.wal_directory)) : std::nullopt;
  const bool is_same = journal.copy->system_id == source_.identity.system_id &&
                       journal.copy->wal_directory == wal_directory && journal.placing == target_.placing() &&
                       (!journal.slot || journal.slot->name == options_.slot);
  if (!is_same) {
    return Error(ErrorCode::kTargetRefused, what + " is there, of another source or with other options",
                 "Go on with the same source, -S and --waldir. " + abandon_hint(target_.path));
  }
  taken_up_ = journal;
  reporter_.info(fmt::format("going on with the copy that was begun at {}: what is there is compared",
                             journal.copy->begun));
  return base::ok();
}

Result<void> Fetch::take_up_own_slot(const std::string& name) {
  const client::BackupPosition here{source_.identity.wal_position, source_.identity.timeline};
  TRY(take_up_slot(*wal_connection_, options_, name, here, environment_));
  state_->created_slot = name;
  stream_slot_ = name;
  state_->facts.slot_was_created = true;
  return base::ok();
}

// ---------------------------------------------------------------- the copy

Result<void> Fetch::begin_agent_backup() {
  TRY(agent_->begin({.label = options_.label,
                     .checkpoint = options_.checkpoint == Checkpoint::kFast ? agent::Checkpoint::kFast
                                                                            : agent::Checkpoint::kSpread}));
  const agent::BackupBegun& begun = agent_->begun();
  start_.position = {begun.start, begun.timeline};
  start_.tablespaces.clear();
  for (const agent::Tablespace& tablespace : begun.tablespaces) {
    start_.tablespaces.push_back({.oid = tablespace.oid,
                                  .location = tablespace.location,
                                  .size_bytes = agent_->listed_bytes(tablespace.oid)});
  }
  start_.tablespaces.push_back({.oid = {}, .location = "", .size_bytes = agent_->listed_bytes(0)});
  return base::ok();
}

CopyPlaces Fetch::copy_places() const {
  const Staging& staging = *state_->staging;
  return {.data_folder = staging.data_folder(),
          .entry_folders = staging.entry_folders(),
          .tablespaces = tablespaces_,
          .modes = source_.modes};
}

Result<void> Fetch::tell_of_agent_copy(const CopyProgress& progress) {
  if (wal_ && wal_->has_failed()) {
    return slot_watch_ ? slot_watch_->explain(wal_->failure()) : wal_->failure();
  }
  if (slot_watch_) TRY(slot_watch_->look_now_and_then());
  reporter_.progress({.done_bytes = progress.fetched_bytes + progress.equal_bytes,
                      .total_bytes = progress.total_bytes,
                      .activity = "copy"});
  return base::ok();
}

Result<void> Fetch::copy_from_the_agent() {
  TRY(state_->staging->remove_unused());
  AgentCopyOptions options;
  options.places = copy_places();
  options.streams = agent_->streams(options_.agent.streams);
  options.max_bytes_per_second = options_.max_rate_bytes_per_second;
  options.damaged_pages = options_.agent.damaged_pages;
  options.sync = sync_files();
  options.on_progress = [this](const CopyProgress& progress) { return tell_of_agent_copy(progress); };
  if (stream_slot_) slot_watch_.emplace(agent_->watch_slot(*stream_slot_, reporter_));
  const auto check = options_.verify_checksums ? AgentBackup::CheckPages::kYes : AgentBackup::CheckPages::kNo;
  TRY(agent_->copy(*beneath_, options, check, reporter_, environment_.stop));
  TRY(agent_->end(*beneath_, options.places, options.sync));
  TRY(look_at_new_tablespaces(agent_->begun().tablespaces, agent_->ended().tablespaces, source_, files_,
                              reporter_));

  const AgentCopy& copy = agent_->copied();
  CloneFacts& facts = state_->facts;
  facts.stop_lsn = agent_->ended().stop;
  facts.files = copy.files.size();
  for (const CopiedFile& file : copy.files) facts.bytes += file.size_bytes;
  AgentFacts through{.member = agent_->member()};
  through.streams = options.streams;
  through.fetched_bytes = copy.progress.fetched_bytes;
  through.equal_bytes = copy.progress.equal_bytes;
  through.pages_checked = check == AgentBackup::CheckPages::kYes && agent_->welcome().has_page_checksums;
  through.damaged = copy.damage.named;
  through.damaged_count = copy.damage.count;
  facts.agent = std::move(through);
  reporter_.detail(fmt::format("WAL end point: {}", facts.stop_lsn.to_string()));
  return base::ok();
}

Result<void> Fetch::finish_agent_copy() {
  reporter_.detail("writing the manifest");
  const bool written =
      TRY(agent_->finish(*beneath_, copy_places(), sync_files(), std::nullopt, environment_.stop));
  state_->facts.agent->manifest_written = written;
  return base::ok();
}

}  // namespace standfast::clone

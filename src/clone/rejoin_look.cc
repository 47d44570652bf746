// What a rejoin finds out before it changes anything.
#include <algorithm>
#include <sstream>

#include <fmt/format.h>

#include "base/number.h"
#include "clone/agent_member.h"
#include "clone/folder_users.h"
#include "clone/journal.h"
#include "clone/old_wal.h"
#include "clone/rejoin_course.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::uint64_t kMaxSmallFileBytes = 4096;
constexpr int kPortLine = 4;  // of postmaster.pid (utils/pidfile.h)

/// No value: no server has written it.
Result<std::optional<std::string>> port_of_server_in(env::FileSystem& files, const std::string& folder) {
  const std::string path = folder + "/postmaster.pid";
  if (!TRY(files.inspect(path))) return std::optional<std::string>();
  std::istringstream lines(TRY(env::read_whole_file(files, path, kMaxSmallFileBytes)));
  std::string line;
  for (int i = 0; i < kPortLine; ++i) {
    if (!std::getline(lines, line)) return std::optional<std::string>();
  }
  return std::optional(line);
}

OldWalQuestion question_for(const OldDirectory& old, const pg::TimelineHistory& source) {
  return {.folder = old.old_wal, .control = old.control, .source = source};
}

}  // namespace

std::string describe(const RejoinJudgement& judgement) {
  const Judgement& lines = judgement.lines;
  std::string range = fmt::format("from {} on timeline {} to {}", lines.fork.to_string(),
                                  lines.fork_timeline.value(), judgement.old_end.to_string());
  if (judgement.old_timeline != lines.fork_timeline)
    range += fmt::format(" on timeline {}", judgement.old_timeline.value());
  switch (lines.standing) {
    case Standing::kBehind:
      if (judgement.kinship == Kinship::kMayTwin) {
        return fmt::format(
            "its WAL, a primary's, ends at {} on timeline {}, which the source writes as well: whether the "
            "source has all of it cannot be told",
            judgement.old_end.to_string(), judgement.old_timeline.value());
      }
      return fmt::format("its WAL ends at {} on timeline {}; the source has all of it",
                         judgement.old_end.to_string(), judgement.old_timeline.value());
    case Standing::kSourceBehind:
      return fmt::format("its WAL goes {}, and the source has it only up to {} so far", range,
                         lines.fork.to_string());
    case Standing::kDiverged:
      break;
  }
  std::string text = fmt::format("its WAL {} is not in the source, which is on timeline {}; ", range,
                                 judgement.source_timeline.value());
  if (!judgement.lost_transactions)
    return text + "how many transactions were committed in it is not known, as not all of it can be read";
  return text + fmt::format("{} transaction{} committed in it", *judgement.lost_transactions,
                            *judgement.lost_transactions == 1 ? " was" : "s were");
}

RejoinCourse::RejoinCourse(const RejoinOptions& options, const CloneEnvironment& environment)
    : options_(options),
      environment_(environment),
      files_(environment.files),
      reporter_(environment.reporter) {}

Result<void> RejoinCourse::inspect(OnRunningServer on_running_server) {
  TargetRules rules;
  rules.on_data_directory = OnDataDirectory::kReplace;
  rules.on_running_server = on_running_server;
  target_ = TRY(inspect_target(files_, target_.path, rules));
  if (target_.kind != TargetKind::kDataDirectory) {
    return refuse(fmt::format("\"{}\" is no data directory", target_.path),
                  "There is nothing to rejoin with. Copy the source: standfast standby clone.");
  }
  if (TRY(read_stale_journal(files_, target_.path))) {
    return refuse(fmt::format("a clone into \"{}\" did not end", target_.path),
                  "Run it again, or give it up: standfast standby clone --abandon.");
  }
  return base::ok();
}

Result<void> RejoinCourse::connect() {
  connection_ = TRY(connect_to_source(options_.copy, SourceUse::kBackup, environment_.stop));
  source_ = TRY(look_at_source(*connection_, options_.copy, environment_.stop));
  const pg::TimelineId timeline = source_.identity.timeline;
  const std::string history =
      timeline > pg::TimelineId(1) ? TRY(connection_->timeline_history(timeline, wait(kCommandTimeout))) : "";
  source_history_ = pg::TimelineHistory::parse(timeline, history);
  if (!source_history_)
    return Error(ErrorCode::kProtocol,
                 fmt::format("the source's history of timeline {} makes no sense", timeline.value()));
  return base::ok();
}

Result<void> RejoinCourse::look() {
  TRY(inspect(options_.copy.stop_server ? OnRunningServer::kReport : OnRunningServer::kRefuse));
  old_ = TRY(look_at_old_directory(files_, target_.path));
  is_in_pieces_ = old_.is_in_pieces;
  TRY(check_noted_slot());
  TRY(connect());
  TRY(check_it_is_old());
  TRY(end_aside());
  TRY(judge());
  TRY(refuse_the_source_itself());
  TRY(refuse_by_judgement());
  reporter_.info(fmt::format("\"{}\": {}", target_.path, describe(judgement_)));
  if (is_in_pieces_) reporter_.info("going on with a rejoin that did not end");
  return base::ok();
}

/// An earlier run may have moved a part of pg_wal; together its files say how far they go.
Result<void> RejoinCourse::end_aside() {
  if (is_plan_ || !old_.is_in_pieces || old_.journal->wal_is_out) return base::ok();
  TRY(set_aside(files_, target_.path, *old_.journal, source_.modes, source_.version));
  old_ = TRY(look_at_old_directory(files_, target_.path));
  return base::ok();
}

/// One that an earlier run made would hold back WAL for good, were it forgotten for another.
Result<void> RejoinCourse::check_noted_slot() const {
  if (!old_.journal || !old_.journal->created_slot) return base::ok();
  const std::string& made = *old_.journal->created_slot;
  if (options_.copy.slot == made) return base::ok();
  return refuse(fmt::format("an earlier run of this rejoin made replication slot \"{}\" at the source", made),
                fmt::format("Go on with it: -S {}.", made));
}

Result<void> RejoinCourse::check_it_is_old() const {
  const pg::SystemId own = old_.control.system_id;
  const pg::SystemId sources = source_.identity.system_id;
  if (own != sources) {
    return refuse(fmt::format("\"{}\" is of another cluster: its system identifier is {}, the source's {}",
                              target_.path, own.to_string(), sources.to_string()),
                  "Nothing of it could be used. Check host and port, or copy the source: standfast standby "
                  "clone --replace.");
  }
  const std::string text =
      TRY(env::read_whole_file(files_, target_.path + "/PG_VERSION", kMaxSmallFileBytes));
  const auto version = pg::Version::parse(text);
  if (!version || version->major() != source_.version.major()) {
    return Error(
        ErrorCode::kVersion,
        fmt::format("\"{}\" is of PostgreSQL {}, the source of {}", target_.path,
                    text.substr(0, text.find('\n')), source_.version.to_string()),
        "Only a directory of the same major version can follow it. Copy the source: standfast standby "
        "clone --replace.");
  }
  return base::ok();
}

Result<void> RejoinCourse::judge() {
  const OldWalQuestion question = question_for(old_, *source_history_);
  const WalLine line = TRY(find_end_of_wal(files_, question, environment_.stop));
  // Asked for afterwards: what the directory's server sent last is in it.
  const auto now = TRY(connection_->identify_system(wait(kCommandTimeout)));
  if (now.timeline != source_.identity.timeline) {
    return Error(ErrorCode::kPrecondition, "the source was promoted just now", "Run this again.");
  }
  source_.identity = now;
  judgement_ = {};
  judgement_.lines = TRY(judge_lines(line, {*source_history_, now.wal_position}));
  judgement_.old_timeline = line.history.timeline();
  judgement_.old_end = line.end;
  judgement_.source_timeline = now.timeline;
  if (judgement_.lines.standing == Standing::kDiverged) {
    judgement_.lost_transactions =
        TRY(count_commits(files_, question, line, judgement_.lines.fork, environment_.stop));
  }
  if (!is_in_pieces_) judgement_.kinship = TRY(kinship());
  return base::ok();
}

Result<Kinship> RejoinCourse::kinship() const {
  KinshipSigns signs;
  signs.is_on_sources_line = judgement_.old_timeline == judgement_.source_timeline &&
                             judgement_.lines.standing != Standing::kDiverged;
  signs.is_standbys =
      old_.control.is_in_recovery() || TRY(files_.inspect(target_.path + "/standby.signal")).has_value();
  signs.was_never_started = TRY(files_.inspect(target_.path + "/backup_label")).has_value();
  signs.is_running = target_.running_server.has_value();
  signs.source_is_standby = source_.is_standby;
  signs.source_is_on_this_host = source_.is_on_this_host;
  return kinship_of(signs);
}

/// A source that is asked to stop its own server would be copied from itself.
Result<void> RejoinCourse::refuse_the_source_itself() const {
  bool is_source = judgement_.kinship == Kinship::kSource;
  if (target_.running_server && source_.is_on_this_host) {
    const auto port = TRY(port_of_server_in(files_, target_.path));
    is_source = is_source || port == connection_->connection().port();
  }
  if (is_source) {
    return refuse(fmt::format("\"{}\" is the source's own data directory", target_.path),
                  "Give the directory of the server that is to follow it.");
  }
  if (judgement_.kinship != Kinship::kMaySource) return base::ok();
  return refuse(fmt::format("a primary runs in \"{}\", on the source's timeline: it may be the source itself",
                            target_.path),
                "Give the directory of the server that is to follow it. If this is another one, stop it "
                "yourself first.");
}

Result<void> RejoinCourse::refuse_by_judgement() const {
  const std::string what = fmt::format("\"{}\": {}", target_.path, describe(judgement_));
  switch (judgement_.lines.standing) {
    case Standing::kBehind:
      if (judgement_.kinship != Kinship::kMayTwin || options_.on_divergence == OnDivergence::kDiscard)
        return base::ok();
      return refuse(what,
                    "What a server wrote in it by itself would be given up. If it is no more than a copy of "
                    "the source, or that is meant, add --discard-diverged; the old pg_wal is kept even so.");
    case Standing::kSourceBehind:
      return refuse(
          what,
          "The source is behind: it may be the one that is to follow, or has only to catch up. Nothing "
          "is done, whatever the options say.");
    case Standing::kDiverged:
      break;
  }
  if (options_.on_divergence == OnDivergence::kDiscard) return base::ok();
  return refuse(
      what,
      "It would be given up. If that is meant, add --discard-diverged; the old pg_wal is kept even so.");
}

Result<void> RejoinCourse::connect_to_agent() {
  agent_ =
      TRY(connect_to_agent_of(source_, connection_->connection().host(), options_.copy.agent, environment_));
  TRY(check_agent_fits(*agent_, source_));
  reporter_.detail(fmt::format("through the agent of member \"{}\"", agent_->member()));
  return base::ok();
}

// ---------------------------------------------------------------- where all of it is

Result<TablespacePlace> RejoinCourse::place_tablespace(const agent::Tablespace& tablespace,
                                                       const OldLinks& links) {
  const std::string link = fmt::format("{}/pg_tblspc/{}", target_.path, tablespace.oid);
  const std::string what = fmt::format("tablespace {}", tablespace.oid);
  const auto info = TRY(files_.inspect(link));
  std::string wanted = env::absolute_path(tablespace.location);
  for (const TablespaceMapping& mapping : options_.copy.tablespace_mappings) {
    if (mapping.from == env::absolute_path(tablespace.location)) wanted = mapping.to;
  }
  // One that is there stays where it is.
  if (info && info->kind == env::FileKind::kSymlink) wanted = TRY(files_.read_symlink(link));
  if (journal_) {
    const auto known = journal_->tablespaces.find(tablespace.oid);
    if (known != journal_->tablespaces.end()) return TablespacePlace{known->second, wanted};
  }
  const OutsideState state =
      TRY(inspect_outside_folder(files_, {.path = wanted, .target = target_.path, .what = what}, links));
  if (state.kind == OutsideKind::kMissing) return TablespacePlace{wanted, wanted};
  return TablespacePlace{TRY(files_.real_path(wanted)), wanted};
}

Result<CopyPlaces> RejoinCourse::find_places() {
  CopyPlaces places;
  places.data_folder = target_.path;
  places.modes = source_.modes;
  for (const std::string& name : TRY(entries_of(files_, target_.path))) {
    const std::string path = fmt::format("{}/{}", target_.path, name);
    const auto info = TRY(files_.inspect(path));
    if (!info || info->kind != env::FileKind::kSymlink) continue;
    const auto behind = TRY(files_.inspect_following(path));
    if (behind && behind->kind == env::FileKind::kDirectory)
      places.entry_folders[name] = TRY(files_.real_path(path));
  }
  // A directory that was copied by hand has the original's links.
  for (const auto& [name, folder] : places.entry_folders) {
    const auto user = server_that_uses(files_, folder, target_.path);
    if (!user) continue;
    return refuse(fmt::format("\"{}/{}\" leads to \"{}\", which the server of \"{}\" uses, process {}",
                              target_.path, name, folder, user->data_directory, user->process),
                  "Give this directory a folder of its own there.");
  }
  const OldLinks links = TRY(old_links_of(files_, target_));
  for (const auto& [folder, entry] : links.entries) {
    if (entry != "pg_wal") left_tablespaces_[env::base_name_of(entry)] = folder;
  }
  for (const agent::Tablespace& tablespace : agent_->begun().tablespaces) {
    places.tablespaces[tablespace.oid] = TRY(place_tablespace(tablespace, links));
    left_tablespaces_.erase(std::to_string(tablespace.oid));
  }
  return places;
}

}  // namespace standfast::clone

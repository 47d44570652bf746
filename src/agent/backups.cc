#include "agent/backups.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <openssl/rand.h>

#include "base/bytes.h"
#include "base/check.h"
#include "net/openssl.h"

namespace standfast::agent {

using base::Error;
using base::ErrorCode;
using base::Result;

static_assert(std::atomic<base::Clock::time_point>::is_always_lock_free);

namespace {

Result<BackupId> make_id() {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return net::openssl_failed("number a backup");
  }
  base::ByteReader in(std::as_bytes(std::span(bytes)));
  const auto high = in.u64_be();
  const auto low = in.u64_be();
  return BackupId{.high = high.value_or(0), .low = low.value_or(0)};
}

}  // namespace

Error no_such_backup() {
  return {ErrorCode::kPrecondition, "this backup is not going on, or is another member's",
          "Begin the copy again: it goes on with what it has. A backup ends with the connection that began "
          "it, and with a restart of the server."};
}

// ---------------------------------------------------------------- one of them

OwnedBackup::~OwnedBackup() {
  open_.reset();
  bracket_.reset();
  backups_.remove(id_);  // last: as long as the server has a session for it, it counts
}

BackupBegun OwnedBackup::begun() const {
  CHECK(bracket_ && open_);
  const BackupStart& start = bracket_->start();
  return {.id = id_,
          .start = start.start,
          .timeline = start.timeline,
          .tablespaces = open_->tree().tablespaces()};
}

Error OwnedBackup::lose(Error error) {
  lost_ = std::move(error).with_context("the server has ended the backup");
  open_.reset();
  bracket_.reset();
  return *lost_;
}

Result<void> OwnedBackup::check(const env::Wait& wait) {
  if (lost_) return *lost_;
  CHECK(bracket_);
  auto alive = bracket_->check(wait);
  if (alive) return base::ok();
  return lose(std::move(alive).error());
}

Result<SlotState> OwnedBackup::slot(const std::string& name, const env::Wait& wait) {
  if (lost_) return *lost_;
  CHECK(bracket_);
  auto state = bracket_->slot(name, wait);
  if (state || state.error().code == ErrorCode::kSql) return state;
  return lose(std::move(state).error());
}

Result<BackupEnded> OwnedBackup::end(const env::Wait& wait) {
  if (lost_) return *lost_;
  CHECK(bracket_);
  open_.reset();
  auto ended = bracket_->end(wait);
  bracket_.reset();
  lost_ = Error(ErrorCode::kPrecondition, "the backup has ended");
  return ended;
}

// ---------------------------------------------------------------- all of them

Result<std::unique_ptr<OwnedBackup>> Backups::take_place(std::string_view member) {
  const BackupId id = TRY(make_id());
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= options_.max_backups) {
    // As a server that cannot be reached: one of them may be that of a connection which has broken and not
    // been noticed, so a copy tries again, as after a break.
    return Error(ErrorCode::kConnect,
                 fmt::format("{} backups of this server are going on, as many as may", entries_.size()),
                 "Try again when one of them has ended.");
  }
  std::unique_ptr<OwnedBackup> backup(new OwnedBackup(*this, id));
  entries_.push_back({.id = id, .member = std::string(member)});
  return backup;
}

Result<std::unique_ptr<OwnedBackup>> Backups::begin(std::string_view member, const BeginBackup& request,
                                                    const env::Wait& wait) {
  auto backup = TRY(take_place(member));
  backup->bracket_ = TRY(options_.begin_bracket(request, wait));
  // After the begin: what there was before it is listed, and what comes later the WAL makes.
  SourceTreeOptions from = options_.tree;
  from.stats_temp_folder = backup->bracket_->start().stats_temp_folder;
  SourceTree tree = TRY(SourceTree::open(std::move(from)));
  backup->open_ = std::make_shared<OpenBackup>(std::move(tree));
  publish(*backup);
  return backup;
}

void Backups::publish(const OwnedBackup& backup) {
  const std::lock_guard lock(mutex_);
  for (Entry& entry : entries_) {
    if (entry.id == backup.id_) entry.open = backup.open_;
  }
}

void Backups::remove(const BackupId& id) {
  const std::lock_guard lock(mutex_);
  entries_.erase(
      std::remove_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.id == id; }),
      entries_.end());
}

Result<std::weak_ptr<OpenBackup>> Backups::attach(std::string_view member, const BackupId& id) const {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.id == id && entry.member == member && !entry.open.expired()) return entry.open;
  }
  return no_such_backup();
}

std::size_t Backups::count() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace standfast::agent

#include "clone/copy_book.h"

#include <algorithm>
#include <utility>

#include "base/crc32c.h"

namespace standfast::clone {

using base::Result;

CopyBook::CopyBook(env::FileSystem& files, const CopyLayout& layout, const WorkRules& rules, SyncPool* pool)
    : files_(files), layout_(layout), rules_(rules), pool_(pool) {
  for (const PlannedFile& file : layout_.files) total_bytes_ += file.size_bytes;
}

/// With the lock held.
CopyBook::InWork& CopyBook::in_work(std::size_t file) {
  const auto [found, is_new] = in_work_.try_emplace(file);
  if (is_new) {
    found->second.pieces_left = pieces_of(layout_.files[file], rules_);
    found->second.crcs.resize(found->second.pieces_left);
  }
  return found->second;
}

Result<std::unique_ptr<env::File>> CopyBook::open(const Piece& piece) {
  const PlannedFile& planned = layout_.files[piece.file];
  // Under the lock, as the others open what the first one makes.
  const std::lock_guard lock(mutex_);
  const bool is_first = !in_work_.contains(piece.file);
  if (is_first && !planned.existing_bytes) {
    auto file = TRY(files_.create(planned.place, planned.mode, env::OnExisting::kFail));
    in_work(piece.file);
    return file;
  }
  in_work(piece.file);
  return files_.open_existing(planned.place);
}

Result<void> CopyBook::end(const Piece& piece, const PieceOutcome& outcome, std::unique_ptr<env::File> file) {
  InWork ended;
  {
    const std::lock_guard lock(mutex_);
    InWork& work = in_work(piece.file);
    work.is_gone = work.is_gone || outcome.is_gone;
    if (outcome.ended_at)
      work.ended_at = std::min(work.ended_at.value_or(*outcome.ended_at), *outcome.ended_at);
    work.crcs[piece.offset / rules_.stretch_bytes] = outcome.crc32c;
    if (--work.pieces_left > 0) return base::ok();
    ended = std::move(work);
    in_work_.erase(piece.file);
  }
  return end_file(layout_.files[piece.file], ended, std::move(file));
}

Result<void> CopyBook::end_file(const PlannedFile& planned, const InWork& work,
                                std::unique_ptr<env::File> file) {
  done_files_.fetch_add(1, std::memory_order_relaxed);
  if (work.is_gone) {
    file.reset();
    return files_.remove_file(planned.place);
  }
  const std::uint64_t size = work.ended_at.value_or(planned.size_bytes);
  if (work.ended_at || planned.existing_bytes.value_or(0) > size) TRY(file->truncate(size));
  {
    const std::lock_guard lock(mutex_);
    copied_.push_back({.manifest_path = planned.manifest_path,
                       .place = planned.place,
                       .size_bytes = size,
                       .modified_unix_seconds = planned.modified_unix_seconds,
                       .crc32c = crc_of(planned, work)});
  }
  if (pool_ == nullptr) return file->close();
  return pool_->add(std::move(file));
}

std::optional<std::uint32_t> CopyBook::crc_of(const PlannedFile& planned, const InWork& work) const {
  if (work.ended_at) return std::nullopt;
  std::optional<std::uint32_t> all;
  std::uint64_t offset = 0;
  for (const auto& crc : work.crcs) {
    if (!crc) return std::nullopt;
    const std::uint64_t length = std::min(rules_.stretch_bytes, planned.size_bytes - offset);
    all = all ? base::Crc32cJoin(length)(*all, *crc) : *crc;
    offset += length;
  }
  return all;
}

void CopyBook::add_damage(DamagedPage page) {
  const std::lock_guard lock(mutex_);
  ++damage_.count;
  if (damage_.named.size() < Damage::kMaxNamed) damage_.named.push_back(std::move(page));
}

CopyProgress CopyBook::progress() const {
  return {.total_bytes = total_bytes_,
          .equal_bytes = equal_bytes_.load(std::memory_order_relaxed),
          .fetched_bytes = fetched_bytes_.load(std::memory_order_relaxed),
          .total_files = layout_.files.size(),
          .done_files = done_files_.load(std::memory_order_relaxed)};
}

Damage CopyBook::take_damage() {
  const std::lock_guard lock(mutex_);
  return std::exchange(damage_, {});
}

std::vector<CopiedFile> CopyBook::take_files() {
  const std::lock_guard lock(mutex_);
  return std::exchange(copied_, {});
}

}  // namespace standfast::clone

#include "store/segment_writer.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "pg/format/wal_file.h"

namespace standfast::store {

using base::Result;

namespace {
constexpr std::size_t kZerosBytes = 128U << 10U;
constexpr std::array<std::byte, kZerosBytes> kZeros{};
}  // namespace

SegmentWriter::SegmentWriter(env::FileSystem& files, Options options)
    : files_(files), options_(std::move(options)) {}

Result<void> SegmentWriter::write(pg::Lsn at, base::Bytes bytes) {
  if (sync_failure_) return *sync_failure_;
  const pg::Lsn start = at.segment_start(options_.segment_bytes);
  if (!open_) TRY(open(start));
  CHECK(open_->start == start);
  const std::uint64_t offset = at.bytes_since(start);
  CHECK(offset + bytes.size() <= options_.segment_bytes);
  TRY(open_->file->write_at(offset, bytes));
  open_->filled_bytes = std::max(open_->filled_bytes, offset + bytes.size());
  return base::ok();
}

Result<void> SegmentWriter::open(pg::Lsn segment_start) {
  Open next;
  next.start = segment_start;
  next.name = pg::wal_segment_name(options_.timeline, segment_start, options_.segment_bytes);
  next.file =
      TRY(files_.create(options_.folder + "/" + next.name, options_.file_mode, env::OnExisting::kFail));
  open_ = std::move(next);
  folder_is_durable_ = false;
  return base::ok();
}

Result<void> SegmentWriter::flush() {
  if (sync_failure_) return *sync_failure_;
  if (options_.durability == Durability::kNone) return base::ok();
  Result<void> synced = open_ ? open_->file->sync_data() : base::ok();
  if (synced) synced = sync_folder();
  if (!synced) sync_failure_ = synced.error();
  return synced;
}

Result<void> SegmentWriter::sync_folder() {
  if (folder_is_durable_) return base::ok();
  TRY(files_.sync_directory(options_.folder));
  folder_is_durable_ = true;
  return base::ok();
}

Result<void> SegmentWriter::finish_segment() {
  if (!open_) return base::ok();
  TRY(fill_up());
  TRY(flush());
  TRY(open_->file->close());
  const std::string name = open_->name;
  open_.reset();
  return mark_done(name);
}

Result<void> SegmentWriter::fill_up() {
  while (open_->filled_bytes < options_.segment_bytes) {
    const auto count = static_cast<std::size_t>(
        std::min<std::uint64_t>(kZerosBytes, options_.segment_bytes - open_->filled_bytes));
    TRY(open_->file->write_at(open_->filled_bytes, base::Bytes(kZeros).first(count)));
    open_->filled_bytes += count;
  }
  return base::ok();
}

Result<void> SegmentWriter::mark_done(const std::string& name) {
  if (options_.archive_status == ArchiveStatus::kNone) return base::ok();
  const std::string folder = options_.folder + "/archive_status";
  auto mark =
      TRY(files_.create(folder + "/" + name + ".done", options_.file_mode, env::OnExisting::kReplace));
  if (options_.durability == Durability::kSync) {
    TRY(mark->sync());
    TRY(files_.sync_directory(folder));
  }
  return mark->close();
}

Result<void> SegmentWriter::write_history(pg::TimelineId timeline, std::string_view content) {
  const std::string name = pg::timeline_history_name(timeline);
  auto file = TRY(files_.create(options_.folder + "/" + name, options_.file_mode, env::OnExisting::kReplace));
  TRY(file->write_at(0, base::as_bytes(content)));
  if (options_.durability == Durability::kSync) TRY(file->sync());
  TRY(file->close());
  if (options_.durability == Durability::kSync) TRY(files_.sync_directory(options_.folder));
  return mark_done(name);
}

}  // namespace standfast::store

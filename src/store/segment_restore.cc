#include "store/segment_restore.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "pg/format/wal_file.h"
#include "pg/format/wal_record.h"
#include "store/segment_chain.h"
#include "store/wal_folder.h"

namespace standfast::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kBeingWritten = ".standfast-tmp";
constexpr std::size_t kCopyBytes = std::size_t{1} << 20U;
constexpr mode_t kGroupMayRead = 050;

class Restore {
 public:
  Restore(env::FileSystem& files, const RestoreOptions& options, const env::StopEvent& stop)
      : files_(files), options_(options), stop_(stop) {}

  Result<void> run() {
    TRY(check_folder());
    if (const auto history = parse_history_file_name(options_.name)) return restore_history(*history);
    const auto id = pg::parse_wal_segment_name(options_.name, pg::kMinWalSegmentBytes);
    if (!id && !is_kept_beside_segments(options_.name)) {
      return Error(ErrorCode::kUsage,
                   fmt::format("\"{}\" is no file that a recovery asks for", options_.name),
                   "Write restore_command = 'standfast wal get %f %p -D DIR'.");
    }
    if (!id) return absent();
    auto segment = TRY(look_at(*id));
    if (!segment) return absent();
    return restore_segment(*segment);
  }

 private:
  /// A disk that is not mounted, or a server of files that went away, is an absence; a folder that may not be
  /// looked into is somebody's mistake.
  Result<void> check_folder() const {
    const auto folder = files_.inspect_following(options_.folder);
    const bool is_away = folder ? !*folder
                                : folder.error().os_errno == ESTALE || folder.error().os_errno == ENOTCONN ||
                                      folder.error().os_errno == EHOSTDOWN;
    if (is_away) {
      return Error(ErrorCode::kFailed, fmt::format("the folder \"{}\" is not there", options_.folder),
                   "See whether its disk is mounted.");
    }
    if (!folder) return folder.error();
    if ((*folder)->kind == env::FileKind::kDirectory) return base::ok();
    return Error(ErrorCode::kUsage, fmt::format("\"{}\" is not a folder", options_.folder),
                 "Name the one that holds the WAL with -D.");
  }

  /// NAME.partial and NAME.POSITION.backup, which the program that keeps WAL here never has.
  static bool is_kept_beside_segments(std::string_view name) {
    constexpr std::size_t kSegmentNameLength = 24;
    constexpr std::string_view kHexDigits = "0123456789ABCDEF";
    return name.substr(0, kSegmentNameLength).find_first_not_of(kHexDigits) == std::string_view::npos &&
           (name.size() == kSegmentNameLength ||
            (name.size() > kSegmentNameLength && name[kSegmentNameLength] == '.'));
  }

  Error absent() const {
    return Error(ErrorCode::kFailed, fmt::format("\"{}\" is not in \"{}\"", options_.name, options_.folder));
  }
  static Error damaged(const std::string& path, const std::string& why) {
    return Error(ErrorCode::kDamaged, fmt::format("\"{}\" {}", path, why),
                 "Put a good copy in its place; until then recovery cannot go past it.");
  }
  Result<void> check_not_stopped() const {
    return stop_.is_set() ? Result<void>(env::cancelled_error()) : base::ok();
  }

  // ---------------------------------------------------------------- histories

  Result<void> restore_history(pg::TimelineId timeline) {
    const std::string path = options_.folder + "/" + options_.name;
    if (!TRY(files_.inspect_following(path))) return absent();
    const std::string content = TRY(env::read_whole_file(files_, path, env::kMaxTextFileBytes));
    if (!pg::TimelineHistory::parse(timeline, content)) return damaged(path, "makes no sense");
    return env::write_file_durably(files_, options_.target, content, {.mode = TRY(mode_of_target())});
  }

  // ---------------------------------------------------------------- segments

  struct Found {
    OpenSegment open;
    std::uint64_t segment_bytes = 0;
    pg::SystemId system_id;
  };

  /// The segment says itself how long it is.
  Result<std::optional<Found>> look_at(const pg::WalSegmentId& id) {
    auto probe = TRY(open_segment(files_, options_.folder, id.timeline, id.start, pg::kMinWalSegmentBytes));
    if (!probe) return std::optional<Found>();
    std::array<std::byte, pg::kWalLongHeaderBytes> bytes{};
    const std::size_t count = TRY(probe->source->read(bytes));
    const auto header = pg::parse_wal_page_header(base::Bytes(bytes).first(count));
    if (!header || !header->is_long() || !pg::is_valid_wal_segment_size(header->segment_bytes)) {
      // One that has only been made.
      if (probe->entry.form == SegmentForm::kPartial) return std::optional<Found>();
      return damaged(probe->path, "does not begin as a segment does");
    }
    const auto start = pg::parse_wal_segment_name(options_.name, header->segment_bytes);
    if (!start) return damaged(probe->path, "says that it is of segments of another size");
    auto open = TRY(open_segment(files_, options_.folder, id.timeline, start->start, header->segment_bytes));
    if (!open) return std::optional<Found>();
    return std::optional(Found{std::move(*open), header->segment_bytes, header->system_id});
  }

  Result<void> restore_segment(Found& found) {
    const SegmentEntry& entry = found.open.entry;
    const bool is_partial = entry.form == SegmentForm::kPartial;
    // Asked before the file is read: a segment gets a next one only when it is full.
    const bool is_last = is_partial && TRY(is_last_of_timeline(entry, found.segment_bytes));
    auto chain = TRY(SegmentChain::open(files_, {.folder = options_.folder,
                                                 .timeline = entry.timeline,
                                                 .segment_bytes = found.segment_bytes,
                                                 .system_id = found.system_id}));
    wal::RecordScanner scanner = chain.scanner_at(entry.start);
    // What follows a switch in the last one proves nothing; before another one all of it has come.
    if (is_last) scanner.stop_at_segment_switch();
    const std::string new_path = options_.target + std::string(kBeingWritten);
    auto done = copy(found, scanner, new_path);
    if (done) done = judge(found, scanner, is_last);
    if (done) done = put_in_place(found, scanner, new_path);
    if (!done) static_cast<void>(files_.remove_file(new_path));
    return done;
  }

  Result<bool> is_last_of_timeline(const SegmentEntry& entry, std::uint64_t segment_bytes) {
    const WalFolder folder = TRY(list_wal_folder(files_, options_.folder, segment_bytes));
    return std::none_of(folder.segments.begin(), folder.segments.end(), [&](const SegmentEntry& other) {
      return other.timeline == entry.timeline && other.start > entry.start;
    });
  }

  Result<void> copy(Found& found, wal::RecordScanner& scanner, const std::string& new_path) {
    // An interrupted run's, by its name.
    file_ = TRY(files_.create(new_path, TRY(mode_of_target()), env::OnExisting::kReplace));
    std::vector<std::byte> buffer(kCopyBytes);
    while (!scanner.damage()) {
      TRY(check_not_stopped());
      const std::size_t count = TRY(found.open.source->read(buffer));
      if (count == 0) break;
      const base::Bytes bytes = base::Bytes(buffer).first(count);
      TRY(file_->write_at(copied_bytes_, bytes));
      scanner.feed(bytes);
      copied_bytes_ += count;
    }
    return base::ok();
  }

  static bool is_full(const Found& found, const wal::RecordScanner& scanner) {
    return !scanner.damage() && scanner.position() == found.open.entry.start + found.segment_bytes;
  }

  Result<void> judge(const Found& found, const wal::RecordScanner& scanner, bool is_last) const {
    if (is_full(found, scanner)) return base::ok();
    const SegmentEntry& entry = found.open.entry;
    if (entry.form != SegmentForm::kPartial) {
      if (!scanner.damage())
        return damaged(found.open.path, fmt::format("has {} bytes where a segment has {}", copied_bytes_,
                                                    found.segment_bytes));
      return damaged(found.open.path, fmt::format("is damaged at {}: {}", scanner.damage()->at.to_string(),
                                                  scanner.damage()->what));
    }
    if (!is_last) return damaged(found.open.path, "is not whole, and others follow it on its timeline");
    const bool has_records = !scanner.is_in_first_continuation() && scanner.complete_end() > entry.start;
    if (!has_records) return absent();
    return base::ok();
  }

  Result<void> put_in_place(const Found& found, const wal::RecordScanner& scanner,
                            const std::string& new_path) {
    if (!is_full(found, scanner)) {
      TRY(file_->truncate(scanner.complete_end().bytes_since(found.open.entry.start)));
      TRY(file_->truncate(found.segment_bytes));
    }
    TRY(file_->sync());
    TRY(file_->close());
    TRY(check_not_stopped());
    TRY(files_.rename_over(new_path, options_.target));
    return files_.sync_directory(env::parent_of(options_.target));
  }

  /// As its neighbours': a data directory may be open to its group.
  Result<mode_t> mode_of_target() {
    const auto parent = TRY(files_.inspect_following(env::parent_of(options_.target)));
    const bool group_reads = parent && (parent->mode & kGroupMayRead) == kGroupMayRead;
    return mode_t{group_reads ? 0640U : 0600U};
  }

  env::FileSystem& files_;
  const RestoreOptions& options_;
  const env::StopEvent& stop_;
  std::unique_ptr<env::File> file_;
  std::uint64_t copied_bytes_ = 0;
};

}  // namespace

Result<void> restore_wal_file(env::FileSystem& files, const RestoreOptions& options,
                              const env::StopEvent& stop) {
  return Restore(files, options, stop).run();
}

}  // namespace standfast::store

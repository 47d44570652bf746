#include <algorithm>
#include <array>
#include <bit>

#include "agent/messages.h"
#include "agent/messages_codec.h"

namespace standfast::agent {

using base::Result;

// ---------------------------------------------------------------- fields, in the order of the wire

template <typename Io, Is<Welcome> M>
void fields(Io& io, M& welcome) {
  io(welcome.version, welcome.server_version_num, welcome.block_bytes, welcome.segment_blocks,
     welcome.wal_segment_bytes, welcome.has_page_checksums, welcome.is_standby);
}
template <typename Io, Is<SignedCertificate> M>
void fields(Io& io, M& answer) {
  io(answer.certificate_pem, answer.ca_pem);
}
template <typename Io, Is<Tablespace> M>
void fields(Io& io, M& tablespace) {
  io(tablespace.oid, tablespace.location);
}
template <typename Io, Is<BackupBegun> M>
void fields(Io& io, M& begun) {
  io(begun.id, begun.start, begun.timeline, begun.tablespaces);
}
template <typename Io, Is<FileEntry> M>
void fields(Io& io, M& entry) {
  io(entry.number, entry.kind, entry.tablespace_oid, entry.mode, entry.size_bytes,
     entry.modified_unix_seconds, entry.path);
}
template <typename Io, Is<FileEntries> M>
void fields(Io& io, M& list) {
  io(list.is_last, list.entries);
}
template <typename Io, Is<RangeBytes> M>
void fields(Io& io, M& range) {
  io(range.is_gone, range.compression, range.plain_bytes, range.cpu_microseconds, range.waited_microseconds,
     range.bytes);
}
template <typename Io, Is<RangeHashes> M>
void fields(Io& io, M& range) {
  io(range.is_gone, range.covered_bytes, range.hashes);
}
template <typename Io, Is<BackupEnded> M>
void fields(Io& io, M& ended) {
  io(ended.stop, ended.timeline, ended.label_file, ended.tablespace_map, ended.tablespaces);
}
template <typename Io, Is<Refused> M>
void fields(Io& io, M& refused) {
  io(refused.code, refused.message, refused.hint);
}
template <typename Io, Is<RevokedCertificates> M>
void fields(Io& io, M& revoked) {
  io(revoked.list_pem);
}

template <typename Io, Is<SlotState> M>
void fields(Io& io, M& slot) {
  io(slot.standing, slot.held_bytes, slot.bound_bytes);
}

// ---------------------------------------------------------------- rules

namespace {

constexpr std::size_t kMaxTablespacesBytes = 4 + kMaxTablespaces * (4 + 4 + kMaxPathBytes);
constexpr std::uint32_t kMinBlockBytes = 1024;  // PostgreSQL's --with-blocksize
constexpr std::uint32_t kMaxBlockBytes = 32768;
constexpr std::uint32_t kMaxSegmentBlocks = 0x7FFFFFFF;
constexpr std::uint64_t kMinSegmentBytes = std::uint64_t{1} << 20U;  // initdb's --wal-segsize
constexpr std::uint64_t kMaxSegmentBytes = std::uint64_t{1} << 30U;
constexpr std::size_t kEntryBytes = 4 + 1 + 4 + 4 + 8 + 8 + 4;  // without its path

bool is_position(pg::Lsn lsn, pg::TimelineId timeline) {
  return lsn.is_valid() && timeline.value() > 0;
}

std::string_view problem_of_entry(const FileEntry& entry) {
  if (!is_path_beneath(entry.path)) return "a path leads out of its folder, or is none";
  if (entry.mode > kMaxMode) return "a mode has more than permission bits";
  if (!is_range(0, entry.size_bytes)) return "no file is as long as one of the list";
  return {};
}

}  // namespace

static std::string_view problem_of(const Welcome& welcome) {
  if (!std::has_single_bit(welcome.block_bytes) || welcome.block_bytes < kMinBlockBytes ||
      welcome.block_bytes > kMaxBlockBytes) {
    return "PostgreSQL has no blocks of that length";
  }
  if (welcome.segment_blocks < 1 || welcome.segment_blocks > kMaxSegmentBlocks) {
    return "PostgreSQL has no files of so many blocks";
  }
  if (!std::has_single_bit(welcome.wal_segment_bytes) || welcome.wal_segment_bytes < kMinSegmentBytes ||
      welcome.wal_segment_bytes > kMaxSegmentBytes) {
    return "PostgreSQL has no WAL segments of that length";
  }
  return {};
}
static std::string_view problem_of(const SignedCertificate& answer) {
  if (!is_text(answer.certificate_pem, kMaxTextBytes)) return "the certificate is empty or too long";
  if (!is_text(answer.ca_pem, kMaxTextBytes)) return "the CA's certificate is empty or too long";
  return {};
}
static std::string_view problem_of_all(const std::vector<Tablespace>& tablespaces) {
  if (tablespaces.size() > kMaxTablespaces) return "there are too many tablespaces";
  std::uint32_t last_oid = 0;
  for (const Tablespace& tablespace : tablespaces) {
    if (tablespace.oid <= last_oid) return "the tablespaces do not ascend";
    last_oid = tablespace.oid;
    if (!is_text(tablespace.location, kMaxPathBytes) || tablespace.location.front() != '/') {
      return "the location of a tablespace is not an absolute path, or too long";
    }
  }
  return {};
}
static std::string_view problem_of(const BackupBegun& begun) {
  if (!is_position(begun.start, begun.timeline)) return "it begins at no position of a timeline";
  return problem_of_all(begun.tablespaces);
}
static std::string_view problem_of(const FileEntries& list) {
  if (list.entries.size() > kMaxEntriesInAnswer) return "it has too many entries";
  // Each answer but the last brings the list on, so that it ends.
  if (list.entries.empty() && !list.is_last) return "it has no entries and is not the last";
  const FileEntry* before = nullptr;
  for (const FileEntry& entry : list.entries) {
    if (before != nullptr && entry.number <= before->number) return "the numbers of the files do not ascend";
    before = &entry;
    if (const std::string_view problem = problem_of_entry(entry); !problem.empty()) return problem;
  }
  return {};
}
static std::string_view problem_of(const RangeBytes& range) {
  if (range.plain_bytes > kMaxRangeBytes) return "it has too many bytes";
  if (range.is_gone && range.plain_bytes > 0) return "a file that is gone has bytes";
  if (range.compression == Compression::kNone) {
    return range.bytes.size() == range.plain_bytes ? "" : "it has other bytes than it says";
  }
  if (range.bytes.empty() || range.bytes.size() >= range.plain_bytes)
    return "it is packed and no shorter for it";
  return {};
}
static std::string_view problem_of(const RangeHashes& range) {
  const std::uint64_t count = range.hashes.size();
  if (count > kMaxHashesInAnswer || range.covered_bytes > kMaxHashedBytes) return "it covers too much";
  if (range.is_gone && range.covered_bytes > 0) return "a file that is gone has hashes";
  // Between one byte and the longest run for each.
  if (range.covered_bytes < count || range.covered_bytes > count * kMaxRangeBytes) {
    return "its hashes are not those of so many bytes";
  }
  return {};
}
static std::string_view problem_of(const BackupEnded& ended) {
  if (!is_position(ended.stop, ended.timeline)) return "it ends at no position of a timeline";
  if (!is_text(ended.label_file, kMaxTextBytes)) return "the label file is empty or too long";
  if (!ended.tablespace_map.empty() && !is_text(ended.tablespace_map, kMaxTablespaceMapBytes)) {
    return "the map of tablespaces is too long, or has a NUL";
  }
  return problem_of_all(ended.tablespaces);
}
static std::string_view problem_of(const Refused& refused) {
  if (!is_line(refused.message, kMaxTextBytes))
    return "its message is empty, too long, or not a line of UTF-8";
  if (!refused.hint.empty() && !is_line(refused.hint, kMaxTextBytes)) {
    return "its hint is too long, or not a line of UTF-8";
  }
  return {};
}
static std::string_view problem_of(const RevokedCertificates& revoked) {
  if (revoked.list_pem.empty() || is_text(revoked.list_pem, kMaxRevokedListBytes)) return {};
  return "the list is too long, or has a NUL";
}

static std::string_view problem_of(const SlotState&) {
  return {};
}

// ---------------------------------------------------------------- whole messages

std::span<const Kind> answer_kinds() {
  static constexpr std::array kKinds = {
      Kind{"welcome", 4 + 4 + 4 + 4 + 8 + 1 + 1, 4 + 4 + 4 + 4 + 8 + 1 + 1},
      Kind{"certificate", 2 * (4 + 1), 2 * (4 + kMaxTextBytes)},
      Kind{"start of a backup", 16 + 8 + 4 + 4, 16 + 8 + 4 + kMaxTablespacesBytes},
      Kind{"part in a backup", 0, 0},
      Kind{"list of files", 1 + 4, 1 + 4 + kMaxEntriesInAnswer * (kEntryBytes + kMaxPathBytes)},
      Kind{"answer with bytes", kRangeFrontBytes - kMessageHeaderBytes,
           kRangeFrontBytes - kMessageHeaderBytes + kMaxRangeBytes},
      Kind{"answer with hashes", 1 + 8 + 4, 1 + 8 + 4 + 16 * kMaxHashesInAnswer},
      Kind{"stop of a backup", 8 + 4 + 4 + 1 + 4 + 4,
           8 + 4 + 4 + kMaxTextBytes + 4 + kMaxTablespaceMapBytes + kMaxTablespacesBytes},
      Kind{"refusal", 1 + 4 + 1 + 4, 1 + 2 * (4 + kMaxTextBytes)},
      Kind{"list of revoked certificates", 4, 4 + kMaxRevokedListBytes},
      Kind{"state of a slot", 1 + 8 + 8, 1 + 8 + 8},
  };
  static_assert(kKinds.size() == std::variant_size_v<Answer>);
  return kKinds;
}

Result<void> check(const Answer& answer) {
  return check_message(answer, answer_kinds());
}
std::string encode(const Answer& answer) {
  return encode_message(answer, kFirstAnswer);
}
Result<Answer> parse_answer(base::Bytes message) {
  return parse_message<Answer>(message, Speaker::kAgent, kFirstAnswer, answer_kinds());
}

std::array<std::byte, kRangeFrontBytes> encode_front(const RangeBytes& answer) {
  CHECK(problem_of(answer).empty());
  const auto kind = static_cast<std::uint8_t>(kFirstAnswer + Answer(answer).index());
  std::string front = encode_header(kind, kRangeFrontBytes - kMessageHeaderBytes + answer.bytes.size());
  RangeBytes without_bytes = answer;
  without_bytes.bytes = {};
  FieldWriter writer(front);
  fields(writer, without_bytes);
  std::array<std::byte, kRangeFrontBytes> out{};
  CHECK(front.size() == out.size());
  std::copy_n(base::as_bytes(front).begin(), out.size(), out.begin());
  return out;
}

Result<void> check_fits(const ReadRange& asked, const RangeBytes& answer) {
  if (answer.plain_bytes > asked.length_bytes)
    return not_understood("answer with bytes", "it has more than was asked for");
  if (answer.compression != Compression::kNone && answer.compression != asked.compression) {
    return not_understood("answer with bytes", "it is packed another way than was asked for");
  }
  return base::ok();
}

Result<void> check_fits(const HashRange& asked, const RangeHashes& answer) {
  if (answer.covered_bytes > asked.length_bytes) {
    return not_understood("answer with hashes", "it covers more than was asked for");
  }
  if (answer.hashes.size() != runs_of(answer.covered_bytes, asked.run_bytes)) {
    return not_understood("answer with hashes", "its hashes are not those of the runs that were asked for");
  }
  return base::ok();
}

}  // namespace standfast::agent

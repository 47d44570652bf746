#include "wal/wal_builder.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"
#include "base/crc32c.h"

namespace standfast::wal::testing {
namespace {

// These numbers are not taken from the code that reads WAL, so that the two check each other.
constexpr std::size_t kPageBytes = 8192;
constexpr std::size_t kShortHeaderBytes = 24;
constexpr std::size_t kLongHeaderBytes = 40;
constexpr std::size_t kRecordHeaderBytes = 24;
constexpr std::size_t kBytesBeforeChecksum = 20;
constexpr std::size_t kAlignment = 8;

constexpr std::uint16_t kContinuesRecord = 0x1;
constexpr std::uint16_t kLongHeader = 0x2;
constexpr std::uint16_t kBackupBlocksRemovable = 0x4;  // on each page while no base backup runs
constexpr std::uint16_t kAbandonsRecord = 0x8;

constexpr std::uint8_t kSwitchInfo = 0x40;
constexpr std::uint8_t kOverwriteContrecordInfo = 0xD0;
constexpr char kShortDataId = '\xFF';
constexpr char kLongDataId = '\xFE';

std::uint16_t page_magic(unsigned major) {
  constexpr std::array<std::uint16_t, 7> kOf12To18 = {0xD101, 0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};
  CHECK(major >= 12 && major <= 18);
  return kOf12To18[major - 12];
}

template <typename Integer>
void append_le(std::string& out, Integer value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    out += static_cast<char>(value & 0xFFU);
    if constexpr (sizeof value > 1) value = static_cast<Integer>(value >> 8U);
  }
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// The longest data for which the record, aligned, has this length.
std::size_t data_bytes_for(std::size_t record_bytes) {
  const std::size_t rest = record_bytes - kRecordHeaderBytes;
  if (rest == 0) return 0;
  return rest <= 2 + 255 ? rest - 2 : rest - 5;
}

std::size_t pick(std::mt19937_64& random, std::size_t bound) {
  return static_cast<std::size_t>(random() % bound);
}

}  // namespace

WalBuilder::WalBuilder(const Options& options) : options_(options), previous_(options.previous) {
  CHECK(std::has_single_bit(options.segment_bytes) && options.segment_bytes >= kPageBytes);
  CHECK(options.start.is_valid() && options.start.value() % options.segment_bytes == 0);
}

/// An end at a page's start is before that page's header, a start behind it.
pg::Lsn WalBuilder::next_record_start() const {
  if (end().value() % kPageBytes != 0) return end();
  return end() + (end().value() % options_.segment_bytes == 0 ? kLongHeaderBytes : kShortHeaderBytes);
}

std::string WalBuilder::encode(const Record& record) const {
  std::string payload;
  if (record.data.size() > 255) {
    payload += kLongDataId;
    append_le(payload, static_cast<std::uint32_t>(record.data.size()));
  } else if (!record.data.empty()) {
    payload += kShortDataId;
    payload += static_cast<char>(record.data.size());
  }
  payload += record.data;

  std::string encoded;
  encoded.reserve(kRecordHeaderBytes + payload.size());
  append_le(encoded, static_cast<std::uint32_t>(kRecordHeaderBytes + payload.size()));
  append_le(encoded, record.transaction);
  append_le(encoded, previous_.value());
  append_le(encoded, record.info);
  append_le(encoded, record.resource_manager);
  append_le(encoded, std::uint16_t{0});
  CHECK(encoded.size() == kBytesBeforeChecksum);
  base::Crc32c crc;
  crc.update(base::as_bytes(payload));
  crc.update(base::as_bytes(encoded));
  append_le(encoded, crc.value());
  return encoded + payload;
}

void WalBuilder::begin_page(std::size_t remaining_bytes, bool abandons_record) {
  const pg::Lsn at = end();
  const bool is_first_of_segment = at.value() % options_.segment_bytes == 0;
  std::uint16_t flags = kBackupBlocksRemovable;
  if (remaining_bytes > 0) flags |= kContinuesRecord;
  if (is_first_of_segment) flags |= kLongHeader;
  if (abandons_record) flags |= kAbandonsRecord;
  append_le(bytes_, page_magic(options_.major));
  append_le(bytes_, flags);
  append_le(bytes_, options_.timeline.value());
  append_le(bytes_, at.value());
  append_le(bytes_, static_cast<std::uint32_t>(remaining_bytes));
  append_le(bytes_, std::uint32_t{0});
  if (!is_first_of_segment) return;
  append_le(bytes_, options_.system_id.value());
  append_le(bytes_, static_cast<std::uint32_t>(options_.segment_bytes));
  append_le(bytes_, static_cast<std::uint32_t>(kPageBytes));
}

void WalBuilder::append_until(const std::string& record, pg::Lsn limit) {
  for (std::size_t done = 0; done < record.size();) {
    if (end() >= limit) return;
    const bool abandons_record = done == 0 && !abandoned_.empty() && abandoned_.back().lost_from == end();
    if (end().value() % kPageBytes == 0) begin_page(done == 0 ? 0 : record.size() - done, abandons_record);
    const std::size_t room = kPageBytes - static_cast<std::size_t>(end().value() % kPageBytes);
    const std::size_t count = std::min(room, record.size() - done);
    bytes_.append(record, done, count);
    done += count;
  }
  bytes_.resize(aligned(bytes_.size()), '\0');
}

const Placed& WalBuilder::append(const Record& record) {
  const std::string encoded = encode(record);
  const pg::Lsn start = next_record_start();
  append_until(encoded, pg::Lsn(UINT64_MAX));
  previous_ = start;
  records_.push_back({start, end(), static_cast<std::uint32_t>(encoded.size())});
  return records_.back();
}

void WalBuilder::switch_segment() {
  if (end().value() % options_.segment_bytes == 0) return;
  append({.data = "", .info = kSwitchInfo});
  const std::size_t used = bytes_.size() % options_.segment_bytes;
  if (used != 0) bytes_.resize(bytes_.size() + static_cast<std::size_t>(options_.segment_bytes - used), '\0');
  records_.back().end = end();
}

Abandoned WalBuilder::abandon(const Record& record, std::size_t pages) {
  CHECK(pages > 0);
  const std::string encoded = encode(record);
  const pg::Lsn start = next_record_start();
  const pg::Lsn lost_from((start.value() / kPageBytes + pages) * kPageBytes);
  append_until(encoded, lost_from);
  CHECK(end() == lost_from);
  abandoned_.push_back({start, lost_from});
  std::string lost;
  append_le(lost, start.value());
  append_le(lost, std::uint64_t{0});  // when
  append({.data = lost, .info = kOverwriteContrecordInfo});
  return abandoned_.back();
}

WalBuilder WalBuilder::fork(pg::Lsn at, pg::TimelineId timeline) const {
  WalBuilder forked = *this;
  while (!forked.records_.empty() && forked.records_.back().end > at) forked.records_.pop_back();
  CHECK(!forked.records_.empty() && forked.records_.back().end == at);
  forked.previous_ = forked.records_.back().start;
  std::erase_if(forked.abandoned_, [&](const Abandoned& lost) { return lost.lost_from >= at; });
  forked.bytes_.resize(static_cast<std::size_t>(at.bytes_since(start())));
  forked.options_.timeline = timeline;
  return forked;
}

Record WalBuilder::random_record(std::mt19937_64& random, std::size_t data_bytes) const {
  Record record;
  record.transaction = static_cast<std::uint32_t>(random());
  record.data.resize(data_bytes);
  switch (pick(random, 4)) {
    case 0:  // zeros, as at the end of WAL
      break;
    case 1:  // what begins as the page of another position does
      for (std::size_t i = 0; i < data_bytes; ++i)
        record.data[i] = bytes_.empty() ? 'x' : bytes_[i % bytes_.size()];
      break;
    default:
      for (char& byte : record.data) byte = static_cast<char>(random());
  }
  return record;
}

void WalBuilder::append_to_page_end(std::mt19937_64& random) {
  const std::size_t room = kPageBytes - static_cast<std::size_t>(next_record_start().value() % kPageBytes);
  const std::size_t left = kAlignment * pick(random, 3);
  if (room < left + kRecordHeaderBytes) return;
  append(random_record(random, data_bytes_for(room - left)));
}

void WalBuilder::abandon_random(std::mt19937_64& random) {
  const std::size_t room = kPageBytes - static_cast<std::size_t>(next_record_start().value() % kPageBytes);
  const std::size_t pages = 1 + pick(random, 3);
  const Record record = random_record(random, room + (pages - 1) * kPageBytes + pick(random, 3 * kPageBytes));
  abandon(record, pages);
}

void WalBuilder::append_random(std::mt19937_64& random, const Weights& weights) {
  const std::array<unsigned, 6> of = {weights.small,    weights.pages,          weights.large,
                                      weights.page_end, weights.segment_switch, weights.abandoned};
  unsigned sum = 0;
  for (const unsigned weight : of) sum += weight;
  std::size_t drawn = pick(random, sum);
  std::size_t kind = 0;
  while (drawn >= of[kind]) drawn -= of[kind++];
  switch (kind) {
    case 0:
      append(random_record(random, pick(random, 400)));
      break;
    case 1:
      append(random_record(random, pick(random, 3 * kPageBytes)));
      break;
    case 2:
      append(random_record(random, pick(random, weights.large_bytes + 1)));
      break;
    case 3:
      append_to_page_end(random);
      break;
    case 4:
      switch_segment();
      break;
    default:
      abandon_random(random);
  }
}

std::vector<pg::Lsn> WalBuilder::record_ends() const {
  std::vector<pg::Lsn> ends;
  for (const Placed& record : records_) ends.push_back(record.end);
  return ends;
}

std::string WalBuilder::segment(pg::Lsn position) const {
  CHECK(position >= start() && position < end());
  const pg::Lsn segment_start = position.segment_start(options_.segment_bytes);
  std::string file = bytes_.substr(static_cast<std::size_t>(segment_start.bytes_since(start())),
                                   static_cast<std::size_t>(options_.segment_bytes));
  file.resize(static_cast<std::size_t>(options_.segment_bytes), '\0');
  return file;
}

}  // namespace standfast::wal::testing

// Messages of a WAL stream, and the names and sizes that come with it: what is understood says the same as
// its bytes.
#include <string>

#include "fuzz_input.h"
#include "pg/format/replication_message.h"
#include "pg/format/wal_file.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;

void check_message(std::string_view text) {
  const auto message = pg::parse_replication_message(base::as_bytes(text));
  if (!message.has_value()) {
    CHECK(message.error().code == base::ErrorCode::kProtocol);
    return;
  }
  std::string again;
  if (const auto* wal = std::get_if<pg::WalData>(&*message)) {
    base::append_u8(again, 'w');
    base::append_u64_be(again, wal->start.value());
    base::append_u64_be(again, wal->server_end.value());
    base::append_u64_be(again, static_cast<std::uint64_t>(wal->sent_at_pg_microseconds));
    again += base::as_text(wal->data);
    CHECK(again == text);
  } else {
    const auto& keepalive = std::get<pg::Keepalive>(*message);
    base::append_u8(again, 'k');
    base::append_u64_be(again, keepalive.server_end.value());
    base::append_u64_be(again, static_cast<std::uint64_t>(keepalive.sent_at_pg_microseconds));
    CHECK(text.starts_with(again));
  }
}

void check_name(std::string_view text) {
  for (std::uint64_t segment_bytes = pg::kMinWalSegmentBytes; segment_bytes <= pg::kMaxWalSegmentBytes;
       segment_bytes <<= 1U) {
    const auto id = pg::parse_wal_segment_name(text, segment_bytes);
    if (id) CHECK(pg::wal_segment_name(id->timeline, id->start, segment_bytes) == text);
  }
  static_cast<void>(pg::parse_shown_bytes(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  check_message(text);
  check_name(text);
  return 0;
}

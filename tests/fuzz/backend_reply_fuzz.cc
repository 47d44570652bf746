// What a server says to its client: whatever the bytes, messages are cut within bounds, and what is
// understood says the same as its bytes.
#include <string>

#include "fuzz_input.h"
#include "pg/format/backend_reply.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;

void check_body(base::Bytes body) {
  if (const auto report = pg::parse_report(body)) {
    const std::string again = pg::encode_report(*report);
    const auto same = pg::parse_report(base::as_bytes(again).subspan(pg::kBackendHeaderBytes));
    CHECK(same && same->severity == report->severity && same->sqlstate == report->sqlstate &&
          same->message == report->message && same->detail == report->detail && same->hint == report->hint);
  }
  if (const auto names = pg::parse_row_description(body)) CHECK(names->size() <= body.size());
  if (const auto values = pg::parse_data_row(body)) {
    std::vector<pg::RowValue> row;
    for (const auto& value : *values) row.push_back(value ? pg::RowValue(*value) : std::nullopt);
    const std::string again = pg::encode_data_row(row);
    CHECK(base::as_text(body).starts_with(std::string_view(again).substr(pg::kBackendHeaderBytes)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::Bytes rest = base::as_bytes(standfast::fuzz::as_text(data, size));
  check_body(rest);
  while (true) {
    const auto message = pg::backend_message_bytes(rest);
    if (!message) {
      CHECK(message.error().code == base::ErrorCode::kProtocol);
      return 0;
    }
    if (!*message || **message > rest.size()) return 0;
    CHECK(**message >= pg::kBackendHeaderBytes && **message <= pg::kMaxBackendMessageBytes);
    check_body(rest.first(**message).subspan(pg::kBackendHeaderBytes));
    rest = rest.subspan(**message);
  }
}

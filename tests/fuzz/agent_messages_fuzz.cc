// What members say to each other, and ranges of files that are packed: the first byte chooses. Whatever is
// understood passes its check and is encoded to the same bytes; no length but the one that the header says is
// taken; what is unpacked has the length that was said, and nothing is written behind it.
#include <algorithm>
#include <string>
#include <vector>

#include "agent/messages.h"
#include "agent/range_packing.h"
#include "fuzz_input.h"

namespace {

namespace agent = standfast::agent;
namespace base = standfast::base;

template <typename Message>
void check_parsed(const base::Result<Message>& message, base::Bytes bytes, agent::Speaker speaker) {
  const auto whole = agent::message_bytes(bytes, speaker);
  if (!message) {
    CHECK(message.error().code == base::ErrorCode::kProtocol);
    return;
  }
  CHECK(whole && *whole == bytes.size() && bytes.size() <= agent::max_message_bytes(speaker));
  CHECK(agent::check(*message));
  CHECK(agent::encode(*message) == base::as_text(bytes));
}

void check_range(const agent::Answer& answer) {
  const auto* range = std::get_if<agent::RangeBytes>(&answer);
  if (range == nullptr) return;
  const auto front = agent::encode_front(*range);
  CHECK(std::string(base::as_text(front)).append(base::as_text(range->bytes)) == agent::encode(answer));
  static agent::RangeUnpacker unpacker;
  std::vector<std::byte> into(range->plain_bytes + std::size_t{1}, std::byte{0x5A});
  const auto plain = unpacker.unpack(*range, into);
  CHECK(into.back() == std::byte{0x5A});
  CHECK(plain ? plain->size() == range->plain_bytes : plain.error().code == base::ErrorCode::kProtocol);
}

void check_packing(base::Bytes plain, agent::Compression compression) {
  static agent::RangePacker packer;
  static agent::RangeUnpacker unpacker;
  const agent::RangeBytes range = packer.pack(plain, compression);
  CHECK(agent::check(range));
  std::vector<std::byte> into(plain.size());
  const auto again = unpacker.unpack(range, into);
  CHECK(again && base::as_text(*again) == base::as_text(plain));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const base::Bytes bytes = base::as_bytes(standfast::fuzz::as_text(data + 1, size - 1));
  switch (data[0] % 4U) {
    case 0:
      check_parsed(agent::parse_request(bytes), bytes, agent::Speaker::kMember);
      break;
    case 1: {
      const auto answer = agent::parse_answer(bytes);
      check_parsed(answer, bytes, agent::Speaker::kAgent);
      if (answer) check_range(*answer);
      break;
    }
    case 2:
      check_packing(bytes.first(std::min(bytes.size(), agent::kMaxRangeBytes)), agent::Compression::kLz4);
      break;
    default:
      check_packing(bytes.first(std::min(bytes.size(), agent::kMaxRangeBytes)), agent::Compression::kZstd);
  }
  return 0;
}

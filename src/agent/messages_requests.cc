#include <algorithm>
#include <array>

#include "agent/messages.h"
#include "agent/messages_codec.h"
#include "pg/format/sql_text.h"

namespace standfast::agent {

using base::Result;

// ---------------------------------------------------------------- fields, in the order of the wire

template <typename Io, Is<Hello> M>
void fields(Io& io, M& hello) {
  io(hello.version, hello.system_id);
}
template <typename Io, Is<SignRequest> M>
void fields(Io& io, M& request) {
  io(request.secret, request.request_pem);
}
template <typename Io, Is<RenewRequest> M>
void fields(Io& io, M& request) {
  io(request.request_pem);
}
template <typename Io, Is<BeginBackup> M>
void fields(Io& io, M& begin) {
  io(begin.checkpoint, begin.label);
}
template <typename Io, Is<AttachBackup> M>
void fields(Io& io, M& attach) {
  io(attach.id);
}
template <typename Io, Is<ReadRange> M>
void fields(Io& io, M& range) {
  io(range.file, range.offset, range.length_bytes, range.compression);
}
template <typename Io, Is<HashRange> M>
void fields(Io& io, M& range) {
  io(range.file, range.offset, range.length_bytes, range.run_bytes);
}

template <typename Io, Is<LookAtSlot> M>
void fields(Io& io, M& look) {
  io(look.name);
}

// ---------------------------------------------------------------- rules

static std::string_view problem_of(const Hello&) {
  return {};  // whether version and cluster are the right ones is answered, not refused here
}
static std::string_view problem_of(const SignRequest& request) {
  if (!is_text(request.secret.reveal(), kMaxSecretBytes)) return "its secret is empty or too long";
  if (!is_text(request.request_pem, kMaxTextBytes)) return "its certificate request is empty or too long";
  return {};
}
static std::string_view problem_of(const RenewRequest& request) {
  if (!is_text(request.request_pem, kMaxTextBytes)) return "its certificate request is empty or too long";
  return {};
}
static std::string_view problem_of(const BeginBackup& begin) {
  // Whatever else it has would become lines of the label file.
  if (!is_line(begin.label, kMaxLabelBytes)) return "its label is empty, too long, or not one line of UTF-8";
  return {};
}
static std::string_view problem_of(const AttachBackup&) {
  return {};
}
static std::string_view problem_of(const ReadRange& range) {
  if (range.length_bytes < 1 || range.length_bytes > kMaxRangeBytes) return "its length is out of bounds";
  if (!is_range(range.offset, range.length_bytes)) return "no file reaches as far as its range";
  return {};
}
static std::string_view problem_of(const HashRange& range) {
  if (range.run_bytes < kMinRunBytes || range.run_bytes > kMaxRangeBytes) {
    return "the length of its runs is out of bounds";
  }
  if (range.length_bytes < 1 || range.length_bytes > kMaxHashedBytes) return "its length is out of bounds";
  if (runs_of(range.length_bytes, range.run_bytes) > kMaxHashesInAnswer) return "it has too many runs";
  if (!is_range(range.offset, range.length_bytes)) return "no file reaches as far as its range";
  return {};
}

static std::string_view problem_of(const LookAtSlot& look) {
  if (look.name.size() > kMaxSlotNameBytes || !pg::valid_slot_name(look.name)) return "it names no slot";
  return {};
}

// ---------------------------------------------------------------- whole messages

std::span<const Kind> request_kinds() {
  static constexpr std::array kKinds = {
      Kind{"hello", 12, 12},
      Kind{"request for a first certificate", 4 + 1 + 4 + 1, 4 + kMaxSecretBytes + 4 + kMaxTextBytes},
      Kind{"request for a new certificate", 4 + 1, 4 + kMaxTextBytes},
      Kind{"begin of a backup", 1 + 4 + 1, 1 + 4 + kMaxLabelBytes},
      Kind{"part in a backup", 16, 16},
      Kind{"request for the list of files", 0, 0},
      Kind{"request for bytes", 4 + 8 + 4 + 1, 4 + 8 + 4 + 1},
      Kind{"request for hashes", 4 + 8 + 8 + 4, 4 + 8 + 8 + 4},
      Kind{"end of a backup", 0, 0},
      Kind{"request for the list of revoked certificates", 0, 0},
      Kind{"look at a slot", 4 + 1, 4 + kMaxSlotNameBytes},
  };
  static_assert(kKinds.size() == std::variant_size_v<Request>);
  return kKinds;
}

Result<void> check(const Request& request) {
  return check_message(request, request_kinds());
}
std::string encode(const Request& request) {
  return encode_message(request, kFirstRequest);
}
Result<Request> parse_request(base::Bytes message) {
  return parse_message<Request>(message, Speaker::kMember, kFirstRequest, request_kinds());
}

}  // namespace standfast::agent

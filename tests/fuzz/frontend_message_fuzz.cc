// A client's bytes: how they are cut makes no difference, nothing beyond a bound is held, and what is
// understood of a standby's messages says the same as their bytes. The first byte chooses the phase and the
// cut.
#include <string>

#include <fmt/format.h>

#include "fuzz_input.h"
#include "pg/format/frontend_message.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;

void check_startup(base::Bytes body) {
  const auto packet = pg::parse_startup_packet(body);
  if (!packet) {
    CHECK(packet.error().sqlstate.size() == 5);
    return;
  }
  const auto* startup = std::get_if<pg::StartupMessage>(&*packet);
  if (startup == nullptr) return;
  for (const auto& [name, value] : startup->parameters)
    CHECK(startup->find(name).has_value() && !name.empty());
}

void check_standby_message(base::Bytes body) {
  const auto message = pg::parse_standby_message(body);
  if (!message) return;
  const auto* status = std::get_if<pg::StandbyStatus>(&*message);
  const std::string again = status != nullptr
                                ? pg::encode_standby_status(*status)
                                : pg::encode_hot_standby_feedback(std::get<pg::HotStandbyFeedback>(*message));
  // The last byte of a status is any but zero for "yes", and more may follow.
  const std::size_t same_bytes = again.size() - (status != nullptr ? 1 : 0);
  CHECK(base::as_text(body).substr(0, same_bytes) == again.substr(0, same_bytes));
}

std::string read_in_pieces(std::string_view bytes, std::size_t piece_bytes, pg::FrontendPhase phase) {
  pg::FrontendFramer framer;
  framer.expect(phase);
  std::string log;
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
    base::Bytes input = base::as_bytes(bytes.substr(at, piece_bytes));
    for (;;) {
      const auto message = framer.take(input);
      CHECK(framer.held_bytes() <= pg::max_frontend_body_bytes(phase) + 5);
      if (!message) return log + message.error().message;
      if (!*message) break;
      const base::Bytes body = (*message)->body;
      log += fmt::format("{} {} {}\n", (*message)->kind, body.size(), base::as_text(body));
      if (phase == pg::FrontendPhase::kStartup) check_startup(body);
      static_cast<void>(pg::parse_query(body));
      static_cast<void>(pg::parse_sasl_initial_response(body));
      check_standby_message(body);
    }
    CHECK(input.empty());
  }
  return log + (framer.is_between_messages() ? "whole" : "in the middle");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes = standfast::fuzz::as_text(data + 1, size - 1);
  const auto phase = static_cast<pg::FrontendPhase>(data[0] & 3U);
  const std::string whole = read_in_pieces(bytes, bytes.size() + 1, phase);
  CHECK(read_in_pieces(bytes, 1U + (data[0] >> 2U), phase) == whole);
  CHECK(read_in_pieces(bytes, 1, phase) == whole);
  return 0;
}

// What a client says in a SCRAM login, and a file of users. Whatever comes, nobody who does not know the
// password gets in, the challenge goes on with the client's nonce, and no error quotes the file.
#include "fuzz_input.h"
#include "witness/scram_server.h"

namespace {

namespace base = standfast::base;
using standfast::witness::ScramExchange;
using standfast::witness::ScramSecret;
using standfast::witness::ScramUsers;

constexpr std::string_view kUsers =
    "user:SCRAM-SHA-256$1:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

void log_in(std::uint8_t choice, std::string_view client_first, std::string_view client_final) {
  static const ScramUsers users = *ScramUsers::parse(kUsers, "users");
  static const ScramSecret secret{base::Secret("secret")};
  ScramExchange exchange(users, secret,
                         {.user = (choice & 1U) != 0 ? "user" : "nobody",
                          .mechanism = (choice & 2U) != 0 ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256",
                          .end_point_hash = (choice & 4U) != 0 ? std::string(32, 'h') : "",
                          .nonce = "server"});
  const auto challenge = exchange.challenge(client_first);
  if (challenge) {
    const std::size_t at = challenge->find("server,s=");
    CHECK(challenge->starts_with("r=") && at != std::string::npos && at > 2);
    CHECK(client_first.find(challenge->substr(2, at - 2)) != std::string_view::npos);
  }
  CHECK(!exchange.verdict(client_final));
}

void read_users(std::string_view text) {
  const auto users = ScramUsers::parse(text, "file");
  if (!users) {
    CHECK(users.error().message.size() < 80);
    return;
  }
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = standfast::fuzz::take_until(rest, '\n');
    const std::size_t at = line.rfind(":SCRAM-SHA-256$");
    if (line.empty() || line.front() == '#' || line == "\r") continue;
    CHECK(at != std::string_view::npos && users->find(line.substr(0, at)) != nullptr);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view rest = standfast::fuzz::as_text(data + 1, size - 1);
  if ((data[0] & 8U) != 0) {
    read_users(rest);
    return 0;
  }
  const std::string_view client_first = standfast::fuzz::take_until(rest, '\n');
  log_in(data[0], client_first, rest);
  return 0;
}

#include "witness/scram_users.h"

#include <fmt/format.h>

#include "witness/private_file.h"

namespace standfast::witness {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 20U;

std::string_view without_carriage_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

Result<ScramUsers> ScramUsers::parse(std::string_view text, const std::string& name) {
  ScramUsers users;
  // A role's name may hold a colon.
  const std::string separator = ":" + std::string(client::kScramVerifierPrefix);
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = without_carriage_return(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t at = line.rfind(separator);
    const auto verifier = at == std::string_view::npos || at == 0
                              ? std::nullopt
                              : client::parse_scram_verifier(line.substr(at + 1));
    if (!verifier) {
      return Error(ErrorCode::kProtocol,
                   fmt::format("line {} of {} is not a role, a colon and a SCRAM verifier", number, name),
                   "Take it from the primary: SELECT rolname || ':' || rolpassword FROM pg_authid WHERE "
                   "rolname = 'NAME'. A password that is stored as md5 has to be set anew.");
    }
    if (!users.verifiers_.emplace(std::string(line.substr(0, at)), *verifier).second) {
      return Error(ErrorCode::kProtocol,
                   fmt::format("line {} of {} is the second one of its role", number, name),
                   "Leave one of them.");
    }
  }
  return users;
}

Result<ScramUsers> ScramUsers::read(env::FileSystem& files, const std::string& path) {
  TRY(check_private_file(files, path));
  return parse(TRY(env::read_whole_file(files, TRY(files.real_path(path)), kMaxFileBytes)),
               "\"" + path + "\"");
}

const client::ScramVerifier* ScramUsers::find(std::string_view role) const {
  const auto found = verifiers_.find(role);
  return found == verifiers_.end() ? nullptr : &found->second;
}

std::uint32_t ScramUsers::usual_iterations() const {
  constexpr std::uint32_t kPostgresDefault = 4096;
  return verifiers_.empty() ? kPostgresDefault : verifiers_.begin()->second.iterations;
}

}  // namespace standfast::witness

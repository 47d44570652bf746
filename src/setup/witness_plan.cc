#include "setup/witness_plan.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/client/scram_verifier.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using witness::WitnessConfig;

/// The verifier of a role's line; no value: the line is another role's, or none.
std::optional<std::string_view> verifier_in(std::string_view line, std::string_view role) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const bool is_of_role = line.starts_with(role) && line.substr(role.size()).starts_with(':') &&
                          line.substr(role.size() + 1).starts_with(client::kScramVerifierPrefix);
  return is_of_role ? std::optional(line.substr(role.size() + 1)) : std::nullopt;
}

/// With each line, its end left out.
template <typename Visit>
void for_each_line(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

Result<void> refuse_other_config(const WitnessConfig& wanted, const WitnessPaths& paths,
                                 const WitnessSeen& seen) {
  if (!seen.config) return base::ok();
  const auto keys = witness::differing_keys(wanted, *seen.config);
  if (keys.empty()) return base::ok();
  return Error(ErrorCode::kPrecondition,
               fmt::format("\"{}\" says something else of {} than the token and the options",
                           paths.config_file, fmt::join(keys, ", ")),
               "Edit it, move it away, or name another file with -c. Nothing was changed.");
}

Result<void> check_flags(const WitnessBasis& basis, const WitnessConfig& flags) {
  if (flags.conninfo) {
    return Error(ErrorCode::kUsage, "a token says where the primary is, and so does -d", "Leave -d out.");
  }
  if (!flags.name || *flags.name == basis.name) return base::ok();
  return Error(ErrorCode::kUsage,
               fmt::format("the token is that of the witness \"{}\", not of \"{}\"", basis.name, *flags.name),
               "Leave --name out.");
}

void put_in_words(WitnessPlan& plan, const WitnessBasis& basis, const WitnessPaths& paths) {
  const auto add = [&plan](bool is_planned, std::string line) {
    if (is_planned) plan.changes.push_back(std::move(line));
  };
  add(plan.make_folder, fmt::format("folder \"{}\": made, for the WAL", *plan.config.folder));
  add(plan.keep_login,
      fmt::format("passfile and certificate to log in with at the primary, as {}", basis.role));
  add(plan.write_users,
      fmt::format("\"{}\": {} may log in here with the same password", paths.users, basis.role));
  add(plan.make_certificate,
      fmt::format("\"{}\": a self-signed certificate to serve with", paths.certificate));
  add(plan.write_config,
      fmt::format("\"{}\": the configuration for each start from now on", paths.config_file));
}

}  // namespace

Result<WitnessConfig> wanted_config(const WitnessBasis& basis, const WitnessConfig& flags,
                                    const WitnessPaths& paths, const WitnessSeen& seen) {
  TRY(check_flags(basis, flags));
  WitnessConfig config = witness::merge(seen.config.value_or(WitnessConfig()), flags);
  config.name = basis.name;
  config.conninfo = basis.conninfo.to_string();
  if (!config.users) config.users = paths.users;
  if (!config.tls_certificate && !config.tls_key) {
    config.tls_certificate = paths.certificate;
    config.tls_key = paths.key;
  }
  return config;
}

bool lets_in(std::string_view users_text, std::string_view role, const base::Secret& password) {
  bool is_let_in = false;
  for_each_line(users_text, [&](std::string_view line) {
    const auto text = verifier_in(line, role);
    const auto verifier = text ? client::parse_scram_verifier(*text) : std::nullopt;
    if (verifier) is_let_in = client::is_password_of(*verifier, password.reveal());
  });
  return is_let_in;
}

std::string with_login(std::string_view users_text, std::string_view role, std::string_view verifier) {
  std::string text;
  const std::string own = fmt::format("{}:{}\n", role, verifier);
  bool is_in = false;
  for_each_line(users_text, [&](std::string_view line) {
    if (!verifier_in(line, role)) {
      text += fmt::format("{}\n", line);
    } else if (!std::exchange(is_in, true)) {
      text += own;
    }
  });
  return is_in ? text : text + own;
}

Result<WitnessPlan> plan_witness(const WitnessBasis& basis, const WitnessConfig& flags,
                                 const WitnessPaths& paths, const WitnessSeen& seen) {
  WitnessPlan plan{.config = TRY(wanted_config(basis, flags, paths, seen))};
  TRY(refuse_other_config(plan.config, paths, seen));
  plan.make_folder = !seen.has_folder;
  plan.keep_login = !seen.has_login;
  plan.write_users =
      plan.config.users == paths.users && !lets_in(seen.users_text.value_or(""), basis.role, basis.password);
  plan.make_certificate = plan.config.tls_certificate == paths.certificate &&
                          plan.config.tls_key == paths.key && !(seen.has_certificate && seen.has_key);
  plan.write_config = !seen.config;
  put_in_words(plan, basis, paths);
  return plan;
}

}  // namespace standfast::setup

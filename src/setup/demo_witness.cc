#include "setup/demo_witness.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "pg/client/secret_store.h"
#include "pg/format/conninfo.h"
#include "pg/format/passfile.h"
#include "setup/names.h"
#include "setup/server_facts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kStreamTimeout{30};
constexpr base::Seconds kStopTimeout{30};
constexpr base::Milliseconds kPoll{50};
constexpr std::uint64_t kMaxLogBytes = std::uint64_t{1} << 20U;

/// What JSON escapes TOML reads.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::optional<pid_t> DemoWitness::process() const {
  return program_ ? std::optional(program_->pid()) : std::nullopt;
}

Result<void> DemoWitness::follow(const DemoServer& primary, const pg::Token& token) {
  TRY(stop());
  TRY(write_files(primary, token));
  const std::string configuration_file = folder() + "/witness.toml";
  program_ = TRY(env::BackgroundProgram::start(
      {.argv = {env::this_program(stage_.environment.files), "witness", "-c", configuration_file}},
      log_file()));
  stage_.reporter().info(fmt::format("standfast witness -c {}: process {}, which writes what it says to {}",
                                     configuration_file, program_->pid(), log_file()));
  return wait_until_it_streams(primary);
}

Result<void> DemoWitness::stop() {
  if (!program_) return base::ok();
  auto stopped = program_->stop(env::Wait::for_at_most(kStopTimeout));
  program_.reset();
  if (!stopped) return std::move(stopped).error().with_context("the witness");
  return base::ok();
}

void DemoWitness::leave() {
  if (program_) program_->leave();
}

Result<void> DemoWitness::write_files(const DemoServer& primary, const pg::Token& token) const {
  env::FileSystem& files = stage_.environment.files;
  if (!TRY(files.inspect(folder()))) TRY(files.make_directory(folder(), 0700));
  if (!TRY(files.inspect(folder() + "/wal"))) TRY(files.make_directory(folder() + "/wal", 0700));
  const auto login = TRY(pg::render_passfile_line({token.host, std::to_string(token.port), std::nullopt,
                                                   token.replication_user, token.replication_password}));
  TRY(env::write_file_durably(files, folder() + "/passfile", login.reveal() + "\n", {}));
  // Whoever may replicate from the primary may replicate from its witness, with the same password.
  auto connection = TRY(stage_.connect(primary));
  const std::optional<std::string> role[] = {token.replication_user};
  const std::string user = TRY(connection.query_value(
      "SELECT rolname || ':' || rolpassword FROM pg_authid WHERE rolname = $1", role, stage_.wait()));
  TRY(env::write_file_durably(files, folder() + "/users", user + "\n", {}));
  const auto store = TRY(client::SecretStore::locate(files));
  return env::write_file_durably(files, folder() + "/witness.toml",
                                 configuration(token, store.path_of(token.system_id, kPrimaryCertificate)),
                                 {});
}

std::string DemoWitness::configuration(const pg::Token& token, const std::string& certificate) const {
  pg::Conninfo conninfo;
  conninfo.set("host", token.host);
  conninfo.set("port", std::to_string(token.port));
  conninfo.set("user", token.replication_user);
  conninfo.set("passfile", folder() + "/passfile");
  if (token.certificate_sha256) {
    conninfo.set("sslmode", "verify-ca");
    conninfo.set("sslrootcert", certificate);
  }
  return fmt::format(
      "[primary]\nconninfo = {}\nname = {}\n\n[store]\nfolder = {}\n\n[serve]\nlisten = [{}]\nusers = {}\n",
      quoted(conninfo.to_string()), quoted(kName), quoted(folder() + "/wal"),
      quoted(fmt::format("{}:{}", kDemoHost, port_)), quoted(folder() + "/users"));
}

Result<void> DemoWitness::wait_until_it_streams(const DemoServer& primary) const {
  auto connection = TRY(stage_.connect(primary));
  const env::Wait patience = stage_.environment.wait_at_most(kStreamTimeout);
  while (true) {
    const ServerFacts facts = TRY(read_server_facts(connection, stage_.wait()));
    const auto own = std::find_if(facts.senders.begin(), facts.senders.end(), [](const WalSender& sender) {
      return sender.application_name == kName && sender.replays_nothing();
    });
    if (own != facts.senders.end()) {
      stage_.reporter().info(fmt::format("it streams from the primary, and has WAL up to {} on its disk",
                                         own->flush->to_string()));
      return base::ok();
    }
    if (const auto exit_code = program_->exit_code()) return ended(*exit_code);
    if (patience.deadline.passed()) {
      return Error(ErrorCode::kTimeout, "the witness does not stream from the primary", ended(0).hint);
    }
    if (env::wait_for(-1, 0, stage_.environment.wait_at_most(kPoll)) == env::Ready::kStopped)
      return env::cancelled_error();
  }
}

Error DemoWitness::ended(int exit_code) const {
  const auto text = env::read_whole_file(stage_.environment.files, log_file(), kMaxLogBytes);
  std::string said = text ? *text : "";
  while (said.ends_with('\n')) said.pop_back();
  return {ErrorCode::kFailed, fmt::format("the witness ended with {}", exit_code),
          said.empty() ? "It said nothing." : "It said: " + said.substr(said.rfind('\n') + 1)};
}

}  // namespace standfast::setup

#include "setup/witness_setup.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/random.h>
#include <unistd.h>

#include "env/process.h"
#include "pg/client/certificate_chain.h"
#include "pg/client/replication_connection.h"
#include "pg/client/scram_verifier.h"
#include "pg/client/secret_store.h"
#include "pg/format/hba_file.h"
#include "pg/server/server_certificate_maker.h"
#include "setup/names.h"
#include "setup/standby_login.h"
#include "setup/witness_plan.h"
#include "store/wal_folder.h"
#include "witness/witness_options.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using witness::WitnessConfig;

constexpr base::Seconds kAskTimeout{30};
constexpr mode_t kConfigMode = 0644;  ///< no secret is in it

std::string user_name() {
  const auto user = env::find_user(env::effective_user());
  return user && *user ? (*user)->name : std::to_string(env::effective_user());
}

/// What the certificate is for, as far as those are addresses that somebody can call.
server::CertificateOptions certificate_for(const WitnessConfig& config) {
  server::CertificateOptions options;
  options.common_name = *config.name;
  for (const std::string& text : config.listen) {
    const auto listen = net::parse_listen_address(text, witness::kDefaultWitnessPort);
    if (!listen || listen->host == "0.0.0.0" || listen->host == "::") continue;
    auto& names = pg::parse_standby_address(listen->host) ? options.addresses : options.dns_names;
    names.push_back(listen->host);
  }
  return options;
}

class WitnessSetup {
 public:
  WitnessSetup(const WitnessSetupOptions& options, const SetupEnvironment& environment,
               client::SecretStore store)
      : options_(options),
        environment_(environment),
        files_(environment.files),
        token_(options.token),
        store_(std::move(store)) {
    paths_.users = path_of(witness_users_name(token_.slot));
    paths_.certificate = path_of(witness_certificate_name(token_.slot));
    paths_.key = path_of(witness_key_name(token_.slot));
    paths_.config_file =
        options_.config_file.value_or(path_of(token_.slot + std::string(kWitnessConfigSuffix)));
  }

  Result<WitnessSetupOutcome> run() {
    env::forget_postgres_environment();  // the token says all that there is to say
    const bool had_store = TRY(files_.inspect(store_.root())).has_value();
    auto outcome = run_steps();
    forget_trial(token_, store_);
    // Empty again, if nothing came of it; else it stays.
    if (!had_store) static_cast<void>(files_.remove_directory(store_.root()));
    return outcome;
  }

 private:
  std::string path_of(const std::string& name) const { return store_.path_of(token_.system_id, name); }

  Result<WitnessSetupOutcome> run_steps() {
    environment_.reporter.step("", fmt::format("the witness \"{}\" of the primary {} port {}", token_.slot,
                                               token_.host, token_.port));
    TRY(look());
    const auto wanted = TRY(wanted_config(basis(), options_.flags, paths_, seen_));
    TRY(witness::options_of(wanted));
    TRY(look_at_folder(*wanted.folder));
    if (!seen_.config) TRY(check_config_place());
    if (!seen_.has_login) TRY(try_login());
    // How strictly the certificate is verified is known when it has been seen.
    const WitnessPlan plan = TRY(plan_witness(basis(), options_.flags, paths_, seen_));
    if (options_.mode == RunMode::kApply) TRY(apply(plan));
    return WitnessSetupOutcome{
        .config = plan.config, .config_file = paths_.config_file, .changes = plan.changes};
  }

  Result<void> look() {
    TRY(store_.check_writable(token_.system_id));
    login_ = TRY(find_kept_login(token_, store_));
    seen_.has_login = login_.has_value();
    seen_.has_certificate = TRY(files_.inspect(paths_.certificate)).has_value();
    seen_.has_key = TRY(files_.inspect(paths_.key)).has_value();
    if (const auto users = TRY(store_.read(token_.system_id, witness_users_name(token_.slot))))
      seen_.users_text = users->reveal();
    if (!TRY(files_.inspect_following(paths_.config_file))) return base::ok();
    const std::string text = TRY(
        env::read_whole_file(files_, TRY(files_.real_path(paths_.config_file)), witness::kMaxConfigBytes));
    seen_.config = TRY(witness::parse_witness_config(text, paths_.config_file));
    return base::ok();
  }

  Result<void> look_at_folder(const std::string& folder) {
    TRY(store_.refuse_inside(folder));
    const auto info = TRY(files_.inspect_following(folder));
    seen_.has_folder = info.has_value();
    if (!info) return base::ok();
    if (info->kind != env::FileKind::kDirectory) {
      return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" is not a directory", folder),
                   "Name another one with -D.");
    }
    if (TRY(files_.inspect(folder + "/PG_VERSION"))) {
      return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" is a data directory of PostgreSQL", folder),
                   "Give the WAL a folder of its own with -D.");
    }
    const auto held = TRY(store::describe_wal_folder(files_, folder));
    if (!held || held->system_id == token_.system_id) return base::ok();
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" holds WAL of system {}, and the token is of system {}", folder,
                             held->system_id.to_string(), token_.system_id.to_string()),
                 "Take another folder. Nothing was changed.");
  }

  Result<void> check_config_place() const {
    if (!options_.config_file) return base::ok();  // the store's, which is
    const std::string folder = env::parent_of(env::absolute_path(paths_.config_file));
    if (access(folder.c_str(), W_OK | X_OK) == 0) return base::ok();
    return Error(ErrorCode::kPermission,
                 fmt::format("the configuration cannot be written: user \"{}\" may not write into \"{}\"",
                             user_name(), folder),
                 "Leave -c out, and it is kept beside the passwords. Nothing was changed.");
  }

  WitnessBasis basis() const {
    StandbyLogin kept;  // as it will be
    kept.passfile = path_of(standby_passfile_name(token_.slot));
    if (token_.certificate_sha256) {
      kept.certificate_file = path_of(standby_certificate_name(token_.slot));
      if (login_) kept.certificate_pem = login_->certificate_pem;
    }
    WitnessBasis basis{.name = token_.slot,
                       .role = token_.replication_user,
                       .password = token_.replication_password,
                       .conninfo = {}};
    for (const auto& [keyword, value] : kept.replication(token_, client::own_libpq_version()).parameters)
      basis.conninfo.set(keyword, value);
    return basis;
  }

  Result<void> try_login() {
    login_ = TRY(try_standby_login(token_, store_, environment_));
    const env::Wait wait = environment_.wait_at_most(kAskTimeout);
    auto connection = TRY(
        client::ReplicationConnection::open(login_->replication(token_, client::own_libpq_version()), wait));
    const auto identity = TRY(connection.identify_system(wait));
    if (identity.system_id == token_.system_id) return base::ok();
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("the server at {} port {} is system {}, and the token is of system {}", token_.host,
                    token_.port, identity.system_id.to_string(), token_.system_id.to_string()),
        "Take the token of the server that runs there now. Nothing was changed.");
  }

  Result<void> apply(const WitnessPlan& plan) {
    if (plan.make_folder) TRY(make_folder(*plan.config.folder));
    if (plan.keep_login) TRY(keep_standby_login(*login_, token_, store_));
    if (plan.write_users) TRY(write_users());
    if (plan.make_certificate) TRY(make_certificate(plan.config));
    if (plan.write_config) {
      const std::string text = witness::render_witness_config(plan.config);
      TRY(env::make_directories(files_, env::parent_of(env::absolute_path(paths_.config_file)), 0700));
      TRY(env::write_file_durably(files_, paths_.config_file, text,
                                  {.mode = options_.config_file ? kConfigMode : 0600}));
    }
    for (const std::string& line : plan.changes) environment_.reporter.info(line);
    if (plan.changes.empty()) environment_.reporter.info("all is there already; nothing was changed");
    return base::ok();
  }

  Result<void> make_folder(const std::string& folder) {
    auto made = env::make_directories(files_, folder, 0700);
    if (!made && made.error().code == ErrorCode::kPermission) {
      Error error = std::move(made).error();
      error.hint = fmt::format("As root: install -d -m 0700 -o {} {}", user_name(), folder);
      return error;
    }
    return made;
  }

  Result<void> write_users() {
    std::string salt(client::kScramSaltBytes, '\0');
    if (getrandom(salt.data(), salt.size(), 0) != static_cast<ssize_t>(salt.size()))
      return base::error_from_errno(errno, "could not get random bytes");
    const auto verifier =
        client::make_scram_verifier(token_.replication_password.reveal(), salt, client::kScramIterations);
    if (!verifier) return Error(ErrorCode::kFailed, "OpenSSL could not make a SCRAM verifier");
    const std::string text =
        with_login(seen_.users_text.value_or(""), token_.replication_user, client::to_string(*verifier));
    TRY(store_.write(token_.system_id, witness_users_name(token_.slot), base::Secret(text)));
    return base::ok();
  }

  /// The key first: a certificate never lies there with another one's key.
  Result<void> make_certificate(const WitnessConfig& config) {
    const auto made = TRY(server::make_self_signed_certificate(certificate_for(config)));
    TRY(store_.remove(token_.system_id, witness_certificate_name(token_.slot)));
    TRY(store_.write(token_.system_id, witness_key_name(token_.slot), made.key_pem));
    TRY(store_.write(token_.system_id, witness_certificate_name(token_.slot),
                     base::Secret(made.certificate_pem)));
    return base::ok();
  }

  const WitnessSetupOptions& options_;
  const SetupEnvironment& environment_;
  env::FileSystem& files_;
  const pg::Token& token_;
  client::SecretStore store_;
  WitnessPaths paths_;
  WitnessSeen seen_;
  std::optional<StandbyLogin> login_;
};

}  // namespace

Result<void> refuse_token_of_standby(const pg::Token& token) {
  if (token.kind == pg::TokenKind::kWitness) return base::ok();
  return Error(
      ErrorCode::kToken, fmt::format("this is the token of the standby \"{}\", not of a witness", token.slot),
      "Take it to the standby: standfast join. A witness's token comes from \"standfast primary setup "
      "--witness ADDR\".");
}

Result<WitnessSetupOutcome> set_up_witness(const WitnessSetupOptions& options,
                                           const SetupEnvironment& environment) {
  TRY(refuse_token_of_standby(options.token));
  return WitnessSetup(options, environment, TRY(client::SecretStore::locate(environment.files))).run();
}

Result<std::optional<std::string>> find_witness_configuration(env::FileSystem& files) {
  const auto store = TRY(client::SecretStore::locate(files));
  std::vector<std::string> found;
  if (!TRY(files.inspect_following(store.root()))) return std::optional<std::string>();
  for (const std::string& cluster : TRY(files.list(store.root()))) {
    const std::string folder = store.root() + "/" + cluster;
    const auto info = TRY(files.inspect(folder));
    if (!info || info->kind != env::FileKind::kDirectory) continue;
    for (const std::string& name : TRY(files.list(folder))) {
      if (name.ends_with(kWitnessConfigSuffix)) found.push_back(folder + "/" + name);
    }
  }
  if (found.size() < 2) return found.empty() ? std::optional<std::string>() : std::optional(found.front());
  return Error(ErrorCode::kUsage, "several witnesses are set up here",
               fmt::format("Name one with -c: {}.", fmt::join(found, ", ")));
}

}  // namespace standfast::setup

#include "setup/join_settle.h"

#include <charconv>

#include <fmt/format.h>

#include "env/network.h"
#include "env/process.h"
#include "pg/format/conf_file.h"
#include "pg/server/cluster.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kPostgresTimeout{30};

/// The configuration that a server on the copy will read, and the edits of its postgresql.auto.conf.
class Settling {
 public:
  Settling(const SettleOptions& options, const server::Installation& installation,
           const PrimaryFacts& primary, const SetupEnvironment& environment)
      : options_(options), installation_(installation), primary_(primary), environment_(environment) {}

  Result<Settled> run() {
    TRY(find_configuration());
    TRY(read());
    settled_.taken_out = take_out_what_belongs_to_the_primary(conf_);
    TRY(write());
    TRY(give_own_values());
    TRY(raise_to_the_primary());
    TRY(write());
    TRY(check_port());
    return std::move(settled_);
  }

 private:
  std::string auto_conf_path() const { return options_.staging + "/postgresql.auto.conf"; }

  /// A copy brings postgresql.conf along only if the primary keeps it in its data directory.
  Result<void> find_configuration() {
    configuration_directory_ = options_.staging;
    const auto debian =
        TRY(server::find_debian_cluster(environment_.files, options_.target, primary_.version.major()));
    if (debian) {
      configuration_directory_ = debian->configuration_directory;
      return base::ok();
    }
    if (TRY(environment_.files.inspect_following(options_.staging + "/postgresql.conf"))) return base::ok();
    return write_basic_configuration();
  }

  Result<void> write_basic_configuration() {
    std::string conf =
        "# Written by standfast join: the primary keeps its configuration outside its data directory.\n"
        "# Settings below are those a standby needs; add your own.\n";
    for (const auto& [name, value] : primary_.settings) conf += fmt::format("{} = {}\n", name, value);
    if (!primary_.preload_libraries.empty()) {
      std::string list;
      for (const std::string& library : primary_.preload_libraries)
        list += (list.empty() ? "" : ", ") + library;
      conf += "shared_preload_libraries = " + pg::quote_conf_value(list) + "\n";
    }
    if (!primary_.port_is_by_alter_system) conf += fmt::format("port = {}\n", primary_.configured_port);
    const std::string hba =
        "# Written by standfast join: the primary keeps its own outside its data directory.\n"
        "local all all peer\n"
        "host all all 127.0.0.1/32 scram-sha-256\n"
        "host all all ::1/128 scram-sha-256\n";
    TRY(env::write_file_durably(environment_.files, options_.staging + "/postgresql.conf", conf, {}));
    for (const auto& [name, text] :
         {std::pair<std::string, std::string>("pg_hba.conf", hba), {"pg_ident.conf", ""}}) {
      const std::string path = options_.staging + "/" + name;
      if (TRY(environment_.files.inspect_following(path))) continue;
      TRY(env::write_file_durably(environment_.files, path, text, {}));
    }
    environment_.reporter.warn("the copy has no postgresql.conf, because the primary keeps its own elsewhere",
                               "A basic one was written; bring over by hand what you set in the primary's.");
    return base::ok();
  }

  Result<void> read() {
    std::string text;
    if (TRY(environment_.files.inspect(auto_conf_path()))) {
      text = TRY(env::read_whole_file(environment_.files, auto_conf_path(), pg::kMaxConfFileBytes));
    }
    conf_ = TRY(pg::ConfFile::parse(text));
    return base::ok();
  }

  /// As open as it came: a cluster may let its group read.
  Result<void> write() {
    const auto info = TRY(environment_.files.inspect(auto_conf_path()));
    return env::write_file_durably(environment_.files, auto_conf_path(), conf_.to_text(),
                                   {.mode = info ? info->mode : 0600});
  }

  Result<std::string> value_of(const std::string& name) {
    return configured_value(installation_, {configuration_directory_, options_.staging}, name,
                            environment_.wait_at_most(kPostgresTimeout));
  }

  void give(const std::string& name, const std::string& value, const std::string& reason) {
    conf_.set(name, value);
    settled_.given.push_back(fmt::format("{} = {}: {}", name, pg::quote_conf_value(value), reason));
  }

  Result<void> give_own_values() {
    if (options_.port) give("port", std::to_string(*options_.port), "asked for with --port");
    if (options_.socket_directory) {
      give("unix_socket_directories", *options_.socket_directory, "asked for with --socket-directory");
    }
    if (TRY(value_of("hot_standby")) != "on")
      give("hot_standby", "on", "without it the standby takes no queries");
    if (options_.listen_addresses) {
      give("listen_addresses", *options_.listen_addresses, "asked for with --listen");
      return base::ok();
    }
    for (const std::string& address : split_listen_addresses(TRY(value_of("listen_addresses")))) {
      const bool is_address = address.find_first_not_of("0123456789abcdefABCDEF.:") == std::string::npos &&
                              address.find_first_of(".:") != std::string::npos;
      if (!is_address || address == "0.0.0.0" || address == "::" || env::is_local_address(address)) continue;
      const std::string own = TRY(env::source_address_towards(options_.primary_host, options_.primary_port));
      give("listen_addresses", "localhost," + own, fmt::format("{} is not an address of this host", address));
      break;
    }
    return base::ok();
  }

  Result<void> raise_to_the_primary() {
    SettingValues here;
    for (const std::string_view name : kNotBelowPrimary) {
      const std::string text = TRY(value_of(std::string(name)));
      std::int64_t value = 0;
      if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc())
        here[std::string(name)] = value;
    }
    for (const TooLow& low : settings_below_primary(here, primary_.settings)) {
      give(low.name, std::to_string(low.primary),
           fmt::format("it was {} here, and a standby must not be below its primary", low.standby));
    }
    return base::ok();
  }

  Result<void> check_port() {
    const std::string text = conf_.get("port") ? *conf_.get("port") : TRY(value_of("port"));
    std::uint16_t port = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), port).ec != std::errc()) return base::ok();
    if (!env::is_port_free(port)) {
      return Error(ErrorCode::kInUse, fmt::format("port {} is taken on this host", port),
                   "Stop the server that listens there, or give the standby another port with --port.");
    }
    const std::string directories = conf_.get("unix_socket_directories")
                                        ? *conf_.get("unix_socket_directories")
                                        : TRY(value_of("unix_socket_directories"));
    for (const std::string& directory : split_listen_addresses(directories))
      TRY(check_socket(directory, port));
    return base::ok();
  }

  Result<void> check_socket(const std::string& directory, std::uint16_t port) {
    if (directory.starts_with('@')) return base::ok();  // the abstract namespace has no file to look at
    if (!TRY(environment_.files.inspect_following(directory))) {
      return Error(ErrorCode::kPrecondition,
                   fmt::format("the socket directory \"{}\" does not exist on this host", directory),
                   "Make it, owned by the server's user, or name another with --socket-directory.");
    }
    const std::string lock = fmt::format("{}/.s.PGSQL.{}.lock", directory, port);
    const auto text = env::read_whole_file(environment_.files, lock, env::kMaxTextFileBytes);
    if (!text) return base::ok();
    pid_t pid = 0;
    std::from_chars(text->data(), text->data() + text->size(), pid);
    if (pid <= 0 || !env::process_exists(pid)) return base::ok();
    return Error(
        ErrorCode::kInUse,
        fmt::format("another server has its socket for port {} in \"{}\" (process {})", port, directory, pid),
        "Give the standby another port with --port, or another socket directory with --socket-directory.");
  }

  const SettleOptions& options_;
  const server::Installation& installation_;
  const PrimaryFacts& primary_;
  const SetupEnvironment& environment_;
  std::string configuration_directory_;
  pg::ConfFile conf_;
  Settled settled_;
};

}  // namespace

Result<std::string> configured_value(const server::Installation& installation, const ConfiguredPlace& place,
                                     const std::string& name, const env::Wait& wait) {
  env::Command command;
  command.argv = {installation.program("postgres"), "-D", place.configuration_directory, "-C", name};
  // Debian's postgresql.conf names the target, whose postgresql.auto.conf is not the copy's.
  if (place.data_directory != place.configuration_directory) {
    command.argv.insert(command.argv.end(), {"-c", "data_directory=" + place.data_directory});
  }
  const auto result = TRY(env::run_command(command, wait));
  if (result.exit_code != 0) {
    const std::string first_line = result.errors.substr(0, result.errors.find('\n'));
    return Error(
        ErrorCode::kProtocol,
        "postgres cannot read the configuration in \"" + place.configuration_directory + "\": " + first_line,
        "Mend the file it names; a server would not start on it either.");
  }
  return result.output.substr(0, result.output.find('\n'));
}

Result<Settled> settle_configuration(const SettleOptions& options, const server::Installation& installation,
                                     const PrimaryFacts& primary, const SetupEnvironment& environment) {
  return Settling(options, installation, primary, environment).run();
}

}  // namespace standfast::setup

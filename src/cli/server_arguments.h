// The options by which a command is told which servers to ask: -D, -d (again and again), -h, -p, -U, -w, -W.
//
// Threading: one thread. Ownership: lives as long as the command. Fails with kUsage, and for -D as
// server/cluster.h does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "cli/command.h"
#include "pg/client/connection.h"

namespace CLI {
class App;
}

namespace standfast::cli {

class ServerArguments {
 public:
  void declare(CLI::App& app);
  /// Asks for the password of -W, and takes PGDATA for -D where nothing else says which server, or else the
  /// only server that runs on this host.
  base::Result<void> prepare(CommandContext& context);
  /// Also where -D is missing: root then becomes "postgres" before it connects anywhere.
  std::optional<OwnerRule> owner_rule() const;
  /// The server of -D first, then those of -d in their order; at least one. kStandbyUnreachable or
  /// kPrecondition when the server of -D does not run.
  base::Result<std::vector<client::ConnectOptions>> servers(CommandContext& context) const;
  /// Of -d alone, for where the server of -D does not run and is not what counts.
  base::Result<std::vector<client::ConnectOptions>> named_servers() const;
  /// "" where none is meant.
  const std::string& data_directory() const { return data_directory_; }
  /// " -D /srv/data" or " -h 10.20.20.1 -p 5433": what a command needs to reach the first of these servers
  /// again. Nothing secret, in quotes where a shell wants them.
  std::string to_reach_again() const;

 private:
  void take_the_only_cluster(CommandContext& context);
  base::Result<client::ConnectOptions> from_data_directory(CommandContext& context) const;
  base::Result<client::ConnectOptions> from_conninfo(const std::string& text) const;
  client::ConnectOptions from_host() const;
  void add_login(client::ConnectOptions& options) const;

  std::string data_directory_;
  std::vector<std::string> conninfos_;
  std::string host_, port_, user_;
  bool ask_password_ = false;
  bool never_ask_ = false;
  std::optional<base::Secret> password_;
};

}  // namespace standfast::cli

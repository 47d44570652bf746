// The options by which a replication client is told its one server, as PostgreSQL's own tools take them: -d,
// -h, -p, -U, -w, -W. What is not said comes from libpq's environment, services and .pgpass.
//
// Threading: one thread. Ownership: lives as long as the command. Fails with kUsage; kCancelled at the
// prompt.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "pg/client/connection.h"

namespace CLI {
class App;
}

namespace standfast::cli {

class LoginArguments {
 public:
  void declare(CLI::App& app, const std::string& group, const std::string& names_of_conninfo = "-d,--dbname");
  /// Asks for the password of -W.
  base::Result<void> prepare(CommandContext& context, client::ConnectOptions& options) const;
  /// Once; and once more with a password that somebody was asked for, where the server wanted one.
  base::Result<void> attempt(CommandContext& context, client::ConnectOptions& options,
                             const std::function<base::Result<void>()>& once) const;

 private:
  /// Whether the server wanted a password that nobody has been asked for yet, and somebody can be.
  bool may_ask_after(const base::Error& error, const client::ConnectOptions& options) const;

  std::string conninfo_, host_, port_, user_;
  bool ask_password_ = false;
  bool never_ask_ = false;
};

}  // namespace standfast::cli

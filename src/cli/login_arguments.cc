#include "cli/login_arguments.h"

#include <CLI/CLI.hpp>

#include "env/terminal.h"

namespace standfast::cli {

using base::Error;
using base::ErrorCode;
using base::Result;

void LoginArguments::declare(CLI::App& app, const std::string& group, const std::string& names_of_conninfo) {
  app.add_option(names_of_conninfo, conninfo_, "connection string or URI of the primary")
      ->type_name("CONNINFO")
      ->group(group);
  app.add_option("-h,--host", host_, "host or socket directory of the primary")
      ->type_name("HOST")
      ->group(group);
  app.add_option("-p,--port", port_, "port of the primary")->type_name("PORT")->group(group);
  app.add_option("-U,--username", user_, "role with REPLICATION")->type_name("ROLE")->group(group);
  app.add_flag("-w,--no-password", never_ask_, "never ask for a password")->group(group);
  app.add_flag("-W,--password", ask_password_, "ask for the password first")->group(group);
}

Result<void> LoginArguments::prepare(CommandContext& context, client::ConnectOptions& options) const {
  if (!conninfo_.empty()) {
    TRY(client::parse_conninfo(conninfo_));
    options.set("dbname", conninfo_);
    options.expand_dbname = true;
  }
  if (!host_.empty()) options.set("host", host_);
  if (!port_.empty()) options.set("port", port_);
  if (!user_.empty()) options.set("user", user_);
  if (ask_password_ && never_ask_) {
    return Error(ErrorCode::kUsage, "-w and -W contradict each other", "Leave one of them out.");
  }
  if (ask_password_) options.password = TRY(env::ask_secret("Password: ", context.stop));
  return base::ok();
}

Result<void> LoginArguments::attempt(CommandContext& context, client::ConnectOptions& options,
                                     const std::function<Result<void>()>& once) const {
  auto done = once();
  if (done || !may_ask_after(done.error(), options)) return done;
  options.password = TRY(env::ask_secret("Password: ", context.stop));
  return once();
}

bool LoginArguments::may_ask_after(const Error& error, const client::ConnectOptions& options) const {
  const bool wants_password = error.code == ErrorCode::kAuthentication &&
                              error.message.find("no password supplied") != std::string::npos;
  return wants_password && !never_ask_ && !options.password && env::can_ask();
}

}  // namespace standfast::cli

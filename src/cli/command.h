// A subcommand, and what it is given to work with. One file a subcommand: cli/<name>_command.cc with a
// factory that commands.h declares and the table in command_table.cc lists.
//
// The life of a command (command_line.h runs it): declare() its options, they are parsed; prepare(), as
// whoever started the program, for files and prompts that are his; owner_rule() says as whom the work is
// done; run(), perhaps in a child process that has become that user. Members set by declare() and prepare()
// are there in run() in both cases.
//
// Threading: one thread. Ownership: a CommandContext borrows everything and outlives run().
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/reporter.h"
#include "base/result.h"
#include "cli/as_owner.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace CLI {
class App;
}

namespace standfast::cli {

enum class OutputFormat { kText, kJson };

/// Where a command puts its result, as against what a Reporter is told on the way there.
class Output {
 public:
  virtual ~Output() = default;
  virtual OutputFormat format() const = 0;
  /// To standard output as it is, when the output is text; nothing otherwise. A token may pass here, and
  /// nowhere else, after stdout_is_terminal().
  virtual void text(std::string_view text) = 0;
  /// The json object of the command, printed once at its end, together with its warnings and its error if
  /// there is one. Nothing when the output is text. Never with a secret.
  virtual void json(nlohmann::ordered_json object) = 0;
  /// One object now, on a line of its own: for a command that goes on and on (--watch).
  virtual void json_line(const nlohmann::ordered_json& object) = 0;
  virtual bool stdout_is_terminal() const = 0;
  /// Whether escapes may be written there: a terminal, and no NO_COLOR.
  virtual bool may_redraw() const = 0;
  /// Of standard output; 80 if it is no terminal.
  virtual int width_columns() const = 0;
};

struct CommandContext {
  env::FileSystem& files;
  const env::StopEvent& stop;
  base::Reporter& reporter;
  Output& output;
  /// There when root started the program and run() is in the child: it asks for what only root may do.
  server::RootHelper* root = nullptr;
  std::string program;  ///< as it was started, for commands that are printed: "standfast"
};

class Command {
 public:
  virtual ~Command() = default;
  /// Adds its options. -?, --help, -v/--verbose and --output are there already. "-h" is the host.
  virtual void declare(CLI::App& app) = 0;
  /// As the user who started the program, before any change of user. context.root is null.
  virtual base::Result<void> prepare(CommandContext& context) {
    static_cast<void>(context);
    return base::ok();
  }
  /// No value: run() is done as whoever started the program.
  virtual std::optional<OwnerRule> owner_rule() const { return std::nullopt; }
  /// The exit code, 0 or one of the error table's that is a verdict rather than an error.
  virtual base::Result<int> run(CommandContext& context) = 0;
  /// With what an error of prepare() or run() ends the program: for a command whose caller gives exit codes a
  /// meaning of its own.
  virtual int exit_code_of(const base::Error& error) const { return base::exit_code_of(error.code); }
};

}  // namespace standfast::cli

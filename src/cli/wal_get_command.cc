// `standfast wal get %f %p`: a folder of WAL as a server's restore_command.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "store/segment_restore.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// What PostgreSQL makes of the codes (access/transam/xlogarchive.c): up to 125, there is no such file, so
// recovery looks elsewhere or ends, and what ends it early is lost at a promotion; above, recovery stops with
// an error. 126 and 127 it reads as a shell's, and those from 128 on as signals, of which there are 64. So
// everything but an absence that was seen, and a TERM signal, has the one code: a mistake in restore_command,
// a folder that may not be read, memory that ran out.
constexpr int kNotThere = 1;
constexpr int kStopRecovery = 200;
constexpr int kTerminated = 128 + 15;

class WalGetCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("-D,--directory", options_.folder, "folder that the WAL is kept in")->type_name("DIR");
    app.add_option("file", options_.name, "the file that is wanted: restore_command's %f")->type_name("FILE");
    app.add_option("target", options_.target, "where it is to go: restore_command's %p")->type_name("TARGET");
  }

  Result<void> prepare(CommandContext& /*context*/) override {
    if (options_.folder.empty()) {
      return Error(ErrorCode::kUsage, "no folder was given", "Name the one that holds the WAL with -D.");
    }
    if (options_.name.empty() || options_.target.empty()) {
      return Error(ErrorCode::kUsage, "a file and its target are needed",
                   "Write restore_command = 'standfast wal get %f %p -D DIR'.");
    }
    return base::ok();
  }

  Result<int> run(CommandContext& context) override {
    auto done = store::restore_wal_file(context.files, options_, context.stop);
    is_absent_ = !done && done.error().code == ErrorCode::kFailed;
    TRY(std::move(done));
    context.output.json({{"file", options_.name}, {"target", options_.target}});
    return 0;
  }

  int exit_code_of(const Error& error) const override {
    if (is_absent_) return kNotThere;
    return error.code == ErrorCode::kCancelled ? kTerminated : kStopRecovery;
  }

 private:
  store::RestoreOptions options_;
  bool is_absent_ = false;
};

}  // namespace

std::unique_ptr<Command> make_wal_get_command() {
  return std::make_unique<WalGetCommand>();
}

}  // namespace standfast::cli

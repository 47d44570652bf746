// `standfast completion bash|zsh`: the shell's completion script on standard output.
#include <CLI/CLI.hpp>

#include "cli/command_table.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/manual.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

class CompletionCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("shell", shell_, "the shell that is to read the script")
        ->type_name("bash|zsh")
        ->required();
  }

  Result<int> run(CommandContext& context) override {
    if (shell_ != "bash" && shell_ != "zsh") {
      return Error(ErrorCode::kUsage, "there is completion for bash and for zsh, and for no other shell",
                   "Give bash or zsh.");
    }
    const auto manuals = describe_commands(command_table());
    const std::string script = shell_ == "zsh" ? zsh_completion(manuals) : bash_completion(manuals);
    context.output.text(script);
    context.output.json({{"shell", shell_}, {"script", script}});
    return 0;
  }

 private:
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> make_completion_command() {
  return std::make_unique<CompletionCommand>();
}

}  // namespace standfast::cli

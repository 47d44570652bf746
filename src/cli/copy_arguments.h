// The options that `standby clone` and `standby rejoin` share: which directory, and --stop for what runs
// there; -T, -c, -r, -k; whose agent; the standby's slot and name.
//
// Threading: one thread. Ownership: lives as long as the command. Fails with kUsage.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/agent_arguments.h"
#include "cli/command.h"
#include "cli/login_arguments.h"
#include "clone/clone.h"

namespace CLI {
class App;
}

namespace standfast::cli {

class CopyArguments {
 public:
  /// What each of the commands says of them.
  struct Words {
    const char* directory;
    const char* no_directory;  ///< what to do where it is not given
    const char* mapping;
    const char* no_verify;
    const char* no_slot;
    const char* names_of_conninfo = "-d,--dbname";
  };
  explicit CopyArguments(const Words& words) : words_(words) {}

  void declare_source(CLI::App& app, const std::string& group, AgentArguments::Ways ways);
  void declare_directory(CLI::App& app, const std::string& group);
  void declare_transfer(CLI::App& app, const std::string& group);
  void declare_standby(CLI::App& app, const std::string& group);

  /// PGDATA counts where -D does not say. What is read are all but the login.
  base::Result<void> read(clone::CloneOptions& options) const;
  /// Asks for the password of -W.
  base::Result<void> prepare_login(CommandContext& context, clone::CloneOptions& options) const;
  /// With --stop set; asks for a password, and attempts it again, where the server wants one.
  base::Result<void> run(CommandContext& context, clone::CloneOptions& options,
                         const std::function<base::Result<void>()>& attempt) const;

 private:
  base::Result<void> read_slot(clone::CloneOptions& options) const;

  Words words_;
  LoginArguments login_;
  AgentArguments agent_;
  std::string directory_, bin_directory_;
  std::string checkpoint_ = "spread";
  std::string rate_;
  std::vector<std::string> mappings_;
  std::optional<std::string> slot_, name_;
  bool stop_ = false;
  bool no_verify_ = false;
  bool create_slot_ = false;
  bool no_slot_ = false;
};

}  // namespace standfast::cli

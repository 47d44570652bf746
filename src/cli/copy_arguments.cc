#include "cli/copy_arguments.h"

#include <cstdlib>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/stop_server.h"
#include "clone/rate.h"

namespace standfast::cli {

using base::Error;
using base::ErrorCode;
using base::Result;

void CopyArguments::declare_source(CLI::App& app, const std::string& group, AgentArguments::Ways ways) {
  login_.declare(app, group, words_.names_of_conninfo);
  agent_.declare(app, group, AgentArguments::Place::kAsked, ways);
}

void CopyArguments::declare_directory(CLI::App& app, const std::string& group) {
  app.add_option("-D,--pgdata", directory_, words_.directory)->type_name("DIR")->group(group);
  app.add_flag("--stop", stop_, "stop the server that runs there first")->group(group);
  app.add_option("--pg-bin", bin_directory_, "folder of PostgreSQL's programs, for --stop")
      ->type_name("DIR")
      ->group(group);
}

void CopyArguments::declare_transfer(CLI::App& app, const std::string& group) {
  app.add_option("-T,--tablespace-mapping", mappings_, words_.mapping)
      ->type_name("OLDDIR=NEWDIR")
      ->take_all()
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("-c,--checkpoint", checkpoint_, "fast, or spread (the default)")
      ->type_name("fast|spread")
      ->group(group);
  app.add_option("-r,--max-rate", rate_, "transfer at most RATE (kB/s, or with suffix k or M)")
      ->type_name("RATE")
      ->group(group);
  app.add_flag("-k,--no-verify-checksums", no_verify_, words_.no_verify)->group(group);
}

void CopyArguments::declare_standby(CLI::App& app, const std::string& group) {
  app.add_option("-S,--slot", slot_, "replication slot of the standby")->type_name("SLOT")->group(group);
  app.add_flag("-C,--create-slot", create_slot_, "create that slot")->group(group);
  app.add_flag("--no-slot", no_slot_, words_.no_slot)->group(group);
  app.add_option("--name", name_, "application_name of the standby, if not the slot's")
      ->type_name("NAME")
      ->group(group);
}

Result<void> CopyArguments::read(clone::CloneOptions& options) const {
  const char* from_environment = std::getenv("PGDATA");
  options.target = directory_.empty() && from_environment != nullptr ? from_environment : directory_;
  if (options.target.empty())
    return Error(ErrorCode::kUsage, "no data directory was given", words_.no_directory);
  options.target = env::absolute_path(options.target);
  options.tablespace_mappings.clear();
  for (const std::string& text : mappings_)
    options.tablespace_mappings.push_back(TRY(clone::parse_tablespace_mapping(text)));
  if (!rate_.empty()) options.max_rate_bytes_per_second = TRY(clone::parse_max_rate(rate_));
  const std::string checkpoint = CLI::detail::to_lower(checkpoint_);
  if (checkpoint != "fast" && checkpoint != "spread")
    return Error(ErrorCode::kUsage, fmt::format("checkpoint \"{}\" is neither fast nor spread", checkpoint_),
                 "Give -c fast or -c spread.");
  options.checkpoint = checkpoint == "fast" ? clone::Checkpoint::kFast : clone::Checkpoint::kSpread;
  options.agent = TRY(agent_.read());
  options.verify_checksums = !no_verify_;
  options.application_name = name_;
  return read_slot(options);
}

Result<void> CopyArguments::read_slot(clone::CloneOptions& options) const {
  if (create_slot_ && no_slot_)
    return Error(ErrorCode::kUsage, "-C and --no-slot contradict each other", "Leave one of them out.");
  if (create_slot_ && !slot_)
    return Error(ErrorCode::kUsage, "a slot to create needs a name", "Add -S NAME.");
  if (no_slot_ && slot_)
    return Error(ErrorCode::kUsage, "--no-slot cannot be used with a slot name", "Leave one of them out.");
  options.slot = slot_;
  if (create_slot_) options.slot_use = clone::SlotUse::kCreate;
  if (no_slot_) options.slot_use = clone::SlotUse::kNone;
  return base::ok();
}

Result<void> CopyArguments::prepare_login(CommandContext& context, clone::CloneOptions& options) const {
  return login_.prepare(context, options.connect);
}

Result<void> CopyArguments::run(CommandContext& context, clone::CloneOptions& options,
                                const std::function<Result<void>()>& attempt) const {
  if (stop_) {
    options.stop_server = [this, &context, target = options.target] {
      return stop_server_in(context, target, bin_directory_);
    };
  }
  return login_.attempt(context, options.connect, attempt);
}

}  // namespace standfast::cli

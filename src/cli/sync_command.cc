// `standfast sync show|enable|disable`: who must have a commit before a client is told of it.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands.h"
#include "cli/server_arguments.h"
#include "setup/sync.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kTimeout(30);

setup::SetupEnvironment environment_of(CommandContext& context) {
  return {.files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root};
}

std::string position_text(const std::optional<pg::Lsn>& lsn) {
  return lsn ? lsn->to_string() : "-";
}

std::string setting_text(std::string_view names) {
  return names.empty() ? "(empty: no commit waits for anybody)" : std::string(names);
}

void warn_of_remote_apply(const setup::SyncFacts& facts, base::Reporter& reporter) {
  const auto without_replay = setup::listed_without_replay(facts);
  if (facts.remote_apply.empty() || without_replay.empty()) return;
  reporter.warn(
      fmt::format(
          "synchronous_commit = remote_apply is set for {}: such commits wait for a standby that replays, "
          "and {} never does",
          fmt::join(facts.remote_apply, ", "), fmt::join(without_replay, ", ")),
      "Set it to on there if the witness alone is to be enough.");
}

void warn_of_weaker(const setup::SyncFacts& facts, base::Reporter& reporter) {
  if (facts.names.empty() || facts.weaker.empty()) return;
  reporter.warn(
      fmt::format("synchronous_commit is {}: such commits do not wait until they are on another disk",
                  fmt::join(facts.weaker, ", ")),
      "Set it to on there if they are to be safe as well.");
}

nlohmann::ordered_json facts_as_json(const setup::SyncFacts& facts) {
  nlohmann::ordered_json json = {
      {"synchronous_standby_names", facts.names}, {"source", facts.source},
      {"source_file", facts.source_file},         {"synchronous_commit", facts.synchronous_commit},
      {"remote_apply", facts.remote_apply},       {"weaker", facts.weaker}};
  json["senders"] = nlohmann::ordered_json::array();
  const auto list = pg::SyncStandbyNames::parse(facts.names);
  for (const setup::WalSender& sender : facts.senders) {
    json["senders"].push_back(
        {{"name", sender.application_name},
         {"state", sender.state},
         {"flush", sender.flush ? nlohmann::ordered_json(sender.flush->to_string()) : nullptr},
         {"sync_state", sender.sync_state},
         {"listed", list && list->names_it(sender.application_name)}});
  }
  return json;
}

class SyncShowCommand final : public Command {
 public:
  void declare(CLI::App& app) override { servers_.declare(app); }
  Result<void> prepare(CommandContext& context) override { return servers_.prepare(context); }
  std::optional<OwnerRule> owner_rule() const override { return servers_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    const auto wait = env::Wait::for_at_most(kTimeout, &context.stop);
    auto connection = TRY(client::Connection::open(TRY(servers_.servers(context)).front(), wait));
    const auto facts = TRY(setup::read_sync_facts(connection, wait));
    std::string text = fmt::format("synchronous_standby_names  {}\n", setting_text(facts.names));
    if (!facts.synchronous_commit.empty()) {
      text += fmt::format("synchronous_commit         {}\n", facts.synchronous_commit);
    }
    for (const setup::WalSender& sender : facts.senders) {
      text += fmt::format("  {:<24} {:<10} flush {:<14} {}\n", sender.application_name,
                          sender.state.empty() ? "hidden" : sender.state, position_text(sender.flush),
                          sender.sync_state);
    }
    const auto list = pg::SyncStandbyNames::parse(facts.names);
    for (const std::string& name : list ? list->names : std::vector<std::string>()) {
      const bool streams =
          name == "*" || std::any_of(facts.senders.begin(), facts.senders.end(), [&](const auto& sender) {
            return pg::SyncStandbyNames{.names = {name}}.names_it(sender.application_name);
          });
      if (!streams) {
        context.reporter.warn(
            fmt::format("\"{}\" is in the list and does not stream", name),
            facts.is_in_recovery
                ? "This is a standby: the list counts once it is a primary; then \"standfast "
                  "sync disable\" takes it out."
                : fmt::format("Start it, or take it out: {} sync disable {}{}", context.program, name,
                              servers_.to_reach_again()));
      }
    }
    warn_of_remote_apply(facts, context.reporter);
    warn_of_weaker(facts, context.reporter);
    context.output.text(text);
    context.output.json(facts_as_json(facts));
    return 0;
  }

 private:
  ServerArguments servers_;
};

enum class Direction : std::uint8_t { kEnable, kDisable };

class SyncChangeCommand final : public Command {
 public:
  explicit SyncChangeCommand(Direction direction) : direction_(direction) {}

  void declare(CLI::App& app) override {
    servers_.declare(app);
    const bool enables = direction_ == Direction::kEnable;
    app.add_option(
           "NAME", change_.names,
           enables ? "application_name that must have each commit" : "the ones to take out; none: all")
        ->type_name("NAME");
    if (enables) {
      app.add_option("--any", any_, "commits wait for any so many of the list (1)")->type_name("NUMBER");
      app.add_option("--first", first_, "commits wait for the first so many of the list")
          ->type_name("NUMBER");
      app.add_flag("--only", change_.only_these, "the list that is there is given up, not added to");
    }
    app.add_flag("--dry-run", dry_run_, "say what would be set, and change nothing");
  }

  Result<void> prepare(CommandContext& context) override {
    if (direction_ == Direction::kEnable && change_.names.empty()) {
      return Error(ErrorCode::kUsage, "nobody was named",
                   "Name the standby or witness: standfast sync enable witness1");
    }
    if (any_ < 0 || first_ < 0 || (any_ > 0 && first_ > 0)) {
      return Error(ErrorCode::kUsage, "--any and --first take a number from 1 on, and only one of them",
                   "Leave both out for ANY 1.");
    }
    if (any_ > 0 || first_ > 0) {
      change_.method = any_ > 0 ? pg::SyncMethod::kAny : pg::SyncMethod::kFirst;
      change_.count = static_cast<std::uint32_t>(std::max(any_, first_));
    }
    return servers_.prepare(context);
  }

  std::optional<OwnerRule> owner_rule() const override { return servers_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    const auto server = TRY(servers_.servers(context)).front();
    const auto mode = dry_run_ ? setup::RunMode::kDryRun : setup::RunMode::kApply;
    const auto change = direction_ == Direction::kEnable ? &setup::enable_sync : &setup::disable_sync;
    const auto outcome = TRY(change(server, change_, mode, environment_of(context)));
    const std::string way_out = context.program + " sync disable" + servers_.to_reach_again();
    context.output.text(text_of(outcome, way_out));
    setup::SyncFacts after = outcome.before;
    after.names = outcome.names;
    warn_of_remote_apply(after, context.reporter);
    warn_of_weaker(after, context.reporter);
    warn_of_unknown(outcome, context);
    context.output.json({{"before", outcome.before.names},
                         {"synchronous_standby_names", outcome.names},
                         {"changed", outcome.changed && !outcome.planned_only},
                         {"planned_only", outcome.planned_only},
                         {"unknown_witnesses", outcome.unknown_witnesses},
                         {"way_out", outcome.names.empty() ? nlohmann::ordered_json(nullptr)
                                                           : nlohmann::ordered_json(way_out)}});
    return 0;
  }

 private:
  void warn_of_unknown(const setup::SyncOutcome& outcome, CommandContext& context) const {
    for (const std::string& name : outcome.unknown_witnesses) {
      context.reporter.warn(
          fmt::format("\"{}\" keeps WAL and is not in standfast.witness: a promotion would not ask it", name),
          fmt::format("Say where it serves: {} primary setup --witness ADDR:PORT={} -D DIR", context.program,
                      name));
    }
  }

  static std::string text_of(const setup::SyncOutcome& outcome, const std::string& way_out) {
    std::string text = fmt::format("synchronous_standby_names  {}\n", setting_text(outcome.names));
    if (!outcome.changed) {
      text += "nothing was changed: it is so already\n";
    } else {
      text += fmt::format("it was                     {}\n", setting_text(outcome.before.names));
    }
    if (outcome.planned_only) text += "nothing was changed (--dry-run)\n";
    if (outcome.names.empty()) return text;
    if (outcome.was_plain_list) text += "the list without FIRST or ANY that was there meant FIRST 1\n";
    text += fmt::format(
        "\nif commits must not wait any longer:\n\n    {}\n\nor without Standfast: ALTER SYSTEM SET "
        "synchronous_standby_names = ''; SELECT pg_reload_conf();\n",
        way_out);
    return text;
  }

  const Direction direction_;
  ServerArguments servers_;
  setup::SyncChange change_;
  int any_ = 0;
  int first_ = 0;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_sync_show_command() {
  return std::make_unique<SyncShowCommand>();
}
std::unique_ptr<Command> make_sync_enable_command() {
  return std::make_unique<SyncChangeCommand>(Direction::kEnable);
}
std::unique_ptr<Command> make_sync_disable_command() {
  return std::make_unique<SyncChangeCommand>(Direction::kDisable);
}

}  // namespace standfast::cli

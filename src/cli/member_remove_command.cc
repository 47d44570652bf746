// `standfast member remove`: a member's certificates are taken back.
#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/membership_files.h"
#include "cli/commands.h"
#include "cli/member_arguments.h"

namespace standfast::cli {
namespace {

using agent::MemberState;
using base::Error;
using base::ErrorCode;
using base::Result;

class MemberRemoveCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("NAME", name_, "the member, as member list shows it")->required();
    arguments_.declare(app);
    app.add_flag("--dry-run", dry_run_, "say what would be done, and do nothing");
  }
  Result<void> prepare(CommandContext& context) override { return arguments_.prepare(context); }
  std::optional<OwnerRule> owner_rule() const override { return arguments_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    auto opened = TRY(arguments_.open(context));
    const MemberState before = TRY(find(opened.members));
    const bool is_out = before.standing == MemberState::Standing::kRevoked && !before.invited_until;
    if (!is_out) warn_of_own(context, opened);
    if (!is_out && !dry_run_) TRY(opened.members.revoke(name_, seconds_now()));
    if (is_out) {
      context.reporter.info(fmt::format("\"{}\" is removed already", name_));
    } else if (dry_run_) {
      context.reporter.info(
          fmt::format("would take back what \"{}\" has: nothing was changed (--dry-run)", name_));
    } else {
      context.reporter.info(fmt::format("\"{}\" is removed: other hosts learn of it within minutes", name_));
    }
    context.output.json({{"name", name_},
                         {"was", word_of(before.standing)},
                         {"changed", !is_out && !dry_run_},
                         {"dry_run", dry_run_}});
    return 0;
  }

 private:
  Result<MemberState> find(const agent::Members& members) const {
    const auto all = TRY(members.list(seconds_now()));
    const auto found = std::find_if(all.begin(), all.end(),
                                    [this](const MemberState& member) { return member.name == name_; });
    if (found != all.end()) return *found;
    return Error(ErrorCode::kUsage, fmt::format("there is no member \"{}\"", name_),
                 "\"standfast member list\" shows them.");
  }

  void warn_of_own(CommandContext& context, const MemberArguments::Opened& opened) const {
    const auto own = agent::MembershipFiles(opened.store, opened.system_id).read();
    if (own && *own && (*own)->facts.member.name == name_) {
      context.reporter.warn(
          fmt::format("\"{}\" is this host itself: no other host trusts its agent then", name_),
          "\"standfast primary setup --agent\" makes it a member again.");
    }
  }

  MemberArguments arguments_;
  std::string name_;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_member_remove_command() {
  return std::make_unique<MemberRemoveCommand>();
}

}  // namespace standfast::cli

// `standfast member list`: who is a member of the cluster.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/member_arguments.h"
#include "cli/table.h"

namespace standfast::cli {
namespace {

using agent::MemberState;
using base::Result;
using nlohmann::ordered_json;

std::string as_text(const std::vector<MemberState>& members) {
  if (members.empty()) return "the cluster has no members yet\n";
  Table table({{"name", Align::kLeft},
               {"is", Align::kLeft},
               {"certificate of", Align::kLeft},
               {"until", Align::kLeft},
               {"may join until", Align::kLeft}});
  for (const MemberState& member : members) {
    const auto& newest = member.newest;
    table.add_row({member.name, std::string(word_of(member.standing)), newest ? utc_time(newest->issued) : "",
                   newest ? utc_time(newest->expires) : "",
                   member.invited_until ? utc_time(*member.invited_until) : ""});
  }
  return table.to_string();
}

ordered_json as_json(const MemberState& member) {
  const auto& newest = member.newest;
  ordered_json json = {{"name", member.name}, {"standing", word_of(member.standing)}};
  json["serial"] = newest ? ordered_json(newest->serial) : nullptr;
  json["issued"] = newest ? ordered_json(utc_time(newest->issued)) : nullptr;
  json["expires"] = newest ? ordered_json(utc_time(newest->expires)) : nullptr;
  json["removed"] = newest && newest->revoked ? ordered_json(utc_time(*newest->revoked)) : nullptr;
  json["invited_until"] = member.invited_until ? ordered_json(utc_time(*member.invited_until)) : nullptr;
  return json;
}

class MemberListCommand final : public Command {
 public:
  void declare(CLI::App& app) override { arguments_.declare(app); }
  Result<void> prepare(CommandContext& context) override { return arguments_.prepare(context); }
  std::optional<OwnerRule> owner_rule() const override { return arguments_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    const auto opened = TRY(arguments_.open(context));
    const std::vector<MemberState> members = TRY(opened.members.list(seconds_now()));
    context.output.text(as_text(members));
    ordered_json json = {{"system_identifier", opened.system_id.to_string()},
                         {"members", ordered_json::array()}};
    for (const MemberState& member : members) json["members"].push_back(as_json(member));
    context.output.json(std::move(json));
    return 0;
  }

 private:
  MemberArguments arguments_;
};

}  // namespace

std::unique_ptr<Command> make_member_list_command() {
  return std::make_unique<MemberListCommand>();
}

}  // namespace standfast::cli

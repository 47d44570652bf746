// `standfast wal verify`: whether all WAL in a folder is whole.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/time.h"
#include "cli/commands.h"
#include "store/wal_check.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using nlohmann::ordered_json;

std::string_view word_of(store::FindingKind kind) {
  switch (kind) {
    case store::FindingKind::kDamage:
      return "damage";
    case store::FindingKind::kGap:
      return "gap";
    case store::FindingKind::kNotWhole:
      return "not_whole";
    case store::FindingKind::kBadJoint:
      return "bad_joint";
  }
  return "";
}

std::string as_text(const store::CheckedTimeline& timeline) {
  std::string text = fmt::format("timeline {}: {} segments from {}, ", timeline.timeline.value(),
                                 timeline.segments, timeline.start.to_string());
  text += timeline.valid_end.is_valid() ? fmt::format("valid up to {}\n", timeline.valid_end.to_string())
                                        : std::string("of which no record is proven\n");
  if (timeline.proven_from > timeline.start) {
    text += fmt::format("  up to {} it belongs to a record that begins before it and cannot be proven\n",
                        timeline.proven_from.to_string());
  }
  return text;
}

std::string as_text(const store::WalFinding& finding) {
  const std::string where = finding.file.empty() ? "" : fmt::format(" in \"{}\"", finding.file);
  return fmt::format("{} at {} of timeline {}{}: {}\n",
                     finding.kind == store::FindingKind::kGap ? "a gap" : "damage", finding.at.to_string(),
                     finding.timeline.value(), where, finding.what);
}

ordered_json as_json(const store::WalCheck& check) {
  ordered_json json = {{"whole", check.findings.empty()}};
  json["timelines"] = ordered_json::array();
  for (const store::CheckedTimeline& timeline : check.timelines) {
    json["timelines"].push_back(
        {{"timeline", timeline.timeline.value()},
         {"start", timeline.start.to_string()},
         {"proven_from", timeline.proven_from.to_string()},
         {"valid_end",
          timeline.valid_end.is_valid() ? ordered_json(timeline.valid_end.to_string()) : nullptr},
         {"segments", timeline.segments},
         {"bytes", timeline.bytes}});
  }
  json["findings"] = ordered_json::array();
  for (const store::WalFinding& finding : check.findings) {
    json["findings"].push_back(
        {{"kind", word_of(finding.kind)},
         {"timeline", finding.timeline.value()},
         {"at", finding.at.to_string()},
         {"file", finding.file.empty() ? ordered_json(nullptr) : ordered_json(finding.file)},
         {"what", finding.what}});
  }
  return json;
}

class WalVerifyCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("-D,--directory", options_.folder, "folder that the WAL is kept in")->type_name("DIR");
    app.add_option("--timeline", timeline_, "only this one; all when left out")->type_name("NUMBER");
  }

  Result<void> prepare(CommandContext& /*context*/) override {
    if (options_.folder.empty()) return Error(ErrorCode::kUsage, "no folder was given", "Name it with -D.");
    if (timeline_.empty()) return base::ok();
    options_.timeline = pg::TimelineId::parse(timeline_);
    if (options_.timeline) return base::ok();
    return Error(ErrorCode::kUsage, "--timeline takes a number from 1 on", "Write it in decimal digits.");
  }

  Result<int> run(CommandContext& context) override {
    const store::WalCheck check =
        TRY(store::check_wal(context.files, options_, context.reporter, context.stop));
    for (const store::CheckedTimeline& timeline : check.timelines) context.output.text(as_text(timeline));
    for (const store::WalFinding& finding : check.findings) context.output.text(as_text(finding));
    context.output.text(check.findings.empty() ? "all of it is whole\n" : "it is NOT whole\n");
    context.output.json(as_json(check));
    return check.findings.empty() ? 0 : base::exit_code_of(ErrorCode::kDamaged);
  }

 private:
  store::WalCheckOptions options_;
  std::string timeline_;
};

}  // namespace

std::unique_ptr<Command> make_wal_verify_command() {
  return std::make_unique<WalVerifyCommand>();
}

}  // namespace standfast::cli

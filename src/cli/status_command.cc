// `standfast status`: who replicates and how far behind, from either side, with an exit code.
#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/server_arguments.h"
#include "cli/status_view.h"
#include "setup/status.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr double kDefaultWatchSeconds = 2;
constexpr double kShortestWatchSeconds = 0.1;
constexpr double kLongestWatchSeconds = 86400;

/// Not a number for what is none; the default for an option without its value.
double seconds_of(const std::string& text) {
  if (text.empty()) return kDefaultWatchSeconds;
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  return is_number ? seconds : std::numeric_limits<double>::quiet_NaN();
}

class StatusCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    servers_.declare(app);
    app.add_flag("--detail", detail_,
                 "also pg_replication_slots, pg_stat_wal_receiver and pg_stat_replication, every column");
    const CLI::Option* watch =
        app.add_option("--watch", watch_text_, "show it again each so many seconds (2), until Ctrl-C")
            ->type_name("SECONDS")
            ->expected(0, 1);
    const CLI::Option* max_lag =
        app.add_option("--max-lag", max_lag_, "call a standby that is further behind lagging: 16MB, or 30s")
            ->type_name("LIMIT");
    // The options live no longer than the parsing; and an empty value is a value.
    app.parse_complete_callback([this, watch, max_lag] {
      watch_ = watch->count() > 0;
      has_max_lag_ = max_lag->count() > 0;
    });
  }

  Result<void> prepare(CommandContext& context) override {
    if (watch_) watch_seconds_ = seconds_of(watch_text_);
    if (watch_ && !(watch_seconds_ >= kShortestWatchSeconds && watch_seconds_ <= kLongestWatchSeconds)) {
      return Error(ErrorCode::kUsage, "--watch takes a number of seconds from 0.1 to 86400",
                   "Try --watch 2.");
    }
    if (has_max_lag_) options_.max_lag = TRY(setup::parse_max_lag(max_lag_));
    if (detail_) options_.detail = setup::Detail::kViews;
    return servers_.prepare(context);
  }

  /// A copy that did not end is beside a directory that need not be there.
  std::optional<OwnerRule> owner_rule() const override {
    auto rule = servers_.owner_rule();
    if (rule) rule->existence = DataDirectory::kMayBeMissing;
    return rule;
  }

  Result<int> run(CommandContext& context) override {
    if (watch_) return watch(context);
    const setup::StatusReport report = TRY(collect(context));
    context.output.text(text_of(report, context.output));
    context.output.json(status_as_json(report));
    return report.exit_code();
  }

 private:
  Result<setup::StatusReport> collect(CommandContext& context) {
    const setup::SetupEnvironment environment{
        .files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root};
    TRY(look_up_servers(context, environment));
    return setup::collect_status(options_, environment);
  }

  /// Anew each time: a server that was restarted has another port, perhaps, and one that is down now may be
  /// up the next time. Where a copy did not end there need not be one.
  Result<void> look_up_servers(CommandContext& context, const setup::SetupEnvironment& environment) {
    const std::string& directory = servers_.data_directory();
    options_.unfinished = {};
    options_.not_running = {};
    if (!directory.empty()) options_.unfinished = setup::look_for_unfinished(directory, environment);
    auto servers = servers_.servers(context);
    if (servers) {
      options_.servers = *std::move(servers);
      return base::ok();
    }
    const auto& unfinished = options_.unfinished;
    if (unfinished.empty()) return std::move(servers).error();
    options_.servers = TRY(servers_.named_servers());
    const bool is_in_pieces =
        std::any_of(unfinished.begin(), unfinished.end(), [](const auto& copy) { return copy.is_in_pieces; });
    if (!is_in_pieces && TRY(context.files.inspect(directory + "/PG_VERSION"))) {
      options_.not_running = setup::Unreachable{.what = fmt::format("the server of \"{}\"", directory),
                                                .error = std::move(servers).error()};
    }
    return base::ok();
  }

  static std::string text_of(const setup::StatusReport& report, const Output& output) {
    const std::optional<int> width =
        output.stdout_is_terminal() ? std::optional(output.width_columns()) : std::nullopt;
    std::string text = render_members(report, width);
    if (!report.unfinished.empty()) text += render_unfinished(report.unfinished);
    if (!report.views.empty()) text += "\n" + render_views(report.views);
    return text + "\n" + render_findings(report);
  }

  /// Ctrl-C is how this ends, so it ends with the last verdict.
  Result<int> watch(CommandContext& context) {
    int code = 0;
    while (!context.stop.is_set()) {
      code = look_once(context).value_or(code);
      const auto interval = std::chrono::duration<double>(watch_seconds_);
      env::wait_for(
          -1, 0,
          env::Wait::for_at_most(std::chrono::duration_cast<base::Clock::duration>(interval), &context.stop));
    }
    return code;
  }

  /// No value when it was interrupted.
  std::optional<int> look_once(CommandContext& context) {
    const Result<setup::StatusReport> report = collect(context);
    if (!report) {
      if (context.stop.is_set()) return std::nullopt;
      const Error& error = report.error();
      context.output.text(screen_start(context.output) + error.message + "\n" +
                          (error.hint.empty() ? "" : "hint: " + error.hint + "\n"));
      context.output.json_line({{"verdict", base::name_of(error.code)},
                                {"exit_code", base::exit_code_of(error.code)},
                                {"error", {{"message", error.message}, {"hint", error.hint}}}});
      return base::exit_code_of(error.code);
    }
    context.output.text(screen_start(context.output) + text_of(*report, context.output));
    context.output.json_line(status_as_json(*report));
    return report->exit_code();
  }

  /// Where the screen may be redrawn, from its top; else a blank line between two looks.
  std::string screen_start(const Output& output) {
    const bool is_first = std::exchange(first_look_, false);
    if (output.may_redraw()) return "\x1b[H\x1b[2J";
    return is_first ? "" : "\n";
  }

  ServerArguments servers_;
  setup::StatusOptions options_;
  std::string max_lag_;
  std::string watch_text_;
  double watch_seconds_ = kDefaultWatchSeconds;
  bool has_max_lag_ = false;
  bool detail_ = false;
  bool watch_ = false;
  bool first_look_ = true;
};

}  // namespace

std::unique_ptr<Command> make_status_command() {
  return std::make_unique<StatusCommand>();
}

}  // namespace standfast::cli

#include "cli/command_line.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "cli/manual.h"
#include "cli/reporters.h"
#include "cli/table.h"
#include "env/terminal.h"
#include "pg/format/token.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// ---------------------------------------------------------------- standard output and error

/// False when the reader has gone away.
bool write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool may_colour(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  if (no_color != nullptr && *no_color != '\0') return false;
  if (term == nullptr || std::string_view(term) == "dumb") return false;
  return env::is_terminal(fd);
}

std::string as_json_line(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Screen make_screen(const ParsedOptions& options, env::StopEvent& stop) {
  const bool json = options.output == OutputFormat::kJson;
  Screen screen;
  // Whoever reads our output and goes away ends the work too: "status --watch | head".
  screen.out = [json, &stop](std::string_view text) {
    if (!write_whole(json ? STDERR_FILENO : STDOUT_FILENO, text)) stop.set();
  };
  screen.err = [](std::string_view text) { write_whole(STDERR_FILENO, text); };
  screen.err_is_terminal = env::is_terminal(STDERR_FILENO);
  screen.out_in_colour = may_colour(json ? STDERR_FILENO : STDOUT_FILENO);
  screen.err_in_colour = may_colour(STDERR_FILENO);
  screen.err_width_columns = [] { return env::terminal_width_columns(STDERR_FILENO); };
  screen.verbose = options.verbose;
  return screen;
}

class StandardOutput final : public Output {
 public:
  StandardOutput(OutputFormat format, TerminalReporter& reporter, env::StopEvent& stop)
      : format_(format), reporter_(reporter), stop_(stop) {}

  OutputFormat format() const override { return format_; }
  void text(std::string_view text) override {
    if (format_ != OutputFormat::kText) return;
    reporter_.clear_progress();
    if (!write_whole(STDOUT_FILENO, text)) stop_.set();
  }
  void json(nlohmann::ordered_json object) override { object_ = std::move(object); }
  void json_line(const nlohmann::ordered_json& object) override {
    if (format_ != OutputFormat::kJson) return;
    has_lines_ = true;
    if (!write_whole(STDOUT_FILENO, as_json_line(object))) stop_.set();
  }
  bool stdout_is_terminal() const override { return env::is_terminal(STDOUT_FILENO); }
  bool may_redraw() const override { return may_colour(STDOUT_FILENO); }
  int width_columns() const override { return env::terminal_width_columns(STDOUT_FILENO); }

  /// The end of the command: the one json object, if that is the format.
  void finish(const JsonReporter& steps, const std::optional<Error>& error, int exit_code) {
    if (format_ != OutputFormat::kJson || (has_lines_ && !error)) return;
    if (!has_lines_) steps.add_to(object_);
    if (error) {
      object_["error"] = error_as_json(*error)["error"];
      object_["error"]["exit_code"] = exit_code;
    }
    write_whole(STDOUT_FILENO, as_json_line(object_));
  }

 private:
  OutputFormat format_;
  TerminalReporter& reporter_;
  env::StopEvent& stop_;
  nlohmann::ordered_json object_ = nlohmann::ordered_json::object();
  bool has_lines_ = false;
};

// ---------------------------------------------------------------- running a command

/// Signal handlers point at it to the end of the process, so it is never destroyed.
env::StopEvent& make_stop_event() {
  auto* stop = new env::StopEvent();
  env::stop_on_signals(*stop);
  return *stop;
}

/// What it takes to run a command.
class Session {
 public:
  explicit Session(const ParsedOptions& options)
      : stop_(make_stop_event()),
        terminal_(make_screen(options, stop_)),
        json_(options.verbose ? &terminal_ : nullptr),
        output_(options.output, terminal_, stop_),
        context_{.files = env::posix_file_system(),
                 .stop = stop_,
                 .reporter = options.output == OutputFormat::kJson ? static_cast<base::Reporter&>(json_)
                                                                   : static_cast<base::Reporter&>(terminal_),
                 .output = output_,
                 .root = nullptr,
                 .program = std::string(kProgram)} {}

  CommandContext& context() { return context_; }
  int fail(const Command& command, const Error& error) {
    const int exit_code = command.exit_code_of(error);
    terminal_.clear_progress();
    write_whole(STDERR_FILENO, render_error(error));
    output_.finish(json_, error, exit_code);
    return exit_code;
  }
  int run(Command& command, server::RootHelper* root) {
    context_.root = root;
    const Result<int> result = run_caught(command);
    terminal_.clear_progress();
    if (!result) return fail(command, result.error());
    output_.finish(json_, std::nullopt, *result);
    return *result;
  }

 private:
  /// Nothing throws on purpose; what a library throws all the same must not end without a line that says so.
  Result<int> run_caught(Command& command) {
    try {
      return command.run(context_);
    } catch (const std::exception& exception) {
      return Error(ErrorCode::kFailed, fmt::format("internal error: {}", exception.what()),
                   "Please report this, with the command that led to it.");
    }
  }

  env::StopEvent& stop_;
  TerminalReporter terminal_;
  JsonReporter json_;
  StandardOutput output_;
  CommandContext context_;
};

int run_command(Command& command, const ParsedOptions& options) {
  Session session(options);
  const Result<void> prepared = command.prepare(session.context());
  if (!prepared) return session.fail(command, prepared.error());
  const std::optional<OwnerRule> rule = command.owner_rule();
  if (!rule) return session.run(command, nullptr);
  // In a child the session is a copy: what prepare() said is part of its json, and signals set its own stop
  // event.
  const Result<int> code = run_as_owner(session.context().files, *rule,
                                        [&](server::RootHelper* root) { return session.run(command, root); });
  return code ? *code : session.fail(command, code.error());
}

// ---------------------------------------------------------------- parsing

bool starts_with_path(std::span<const std::string> arguments, std::string_view path, std::size_t* words) {
  *words = 0;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(' '), path.size());
    if (*words >= arguments.size() || arguments[*words] != path.substr(0, end)) return false;
    ++*words;
    path.remove_prefix(std::min(path.size(), end + 1));
  }
  return true;
}

Error usage_error(const CommandEntry& entry, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  const bool is_a_word = message.size() > 1 && std::islower(static_cast<unsigned char>(message[1])) != 0;
  if (is_a_word) message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  return Error(ErrorCode::kUsage, std::move(message),
               fmt::format("Try \"{} {} --help\".", kProgram, entry.path));
}

/// Only the name of an option is said again: its value, or a stray word, may be a password.
Error unexpected_argument(const CommandEntry& entry, const std::string& argument) {
  if (argument.starts_with("--")) {
    return usage_error(entry,
                       fmt::format("unrecognized option \"{}\"", argument.substr(0, argument.find('='))));
  }
  if (argument.size() >= 2 && argument[0] == '-') {
    return usage_error(entry, fmt::format("unrecognized option \"{}\"", argument.substr(0, 2)));
  }
  return usage_error(entry, "too many command-line arguments");
}

bool wants_help(std::string_view word) {
  return word == "-?" || word == "--help";
}

int print_and_succeed(std::string_view text) {
  write_whole(STDOUT_FILENO, text);
  return 0;
}

/// As the command would end that was meant, if its first word tells; of several the most severe one. A caller
/// that gives exit codes a meaning of its own gets no other one for a slip in the second word.
int exit_code_of(std::span<const CommandEntry> commands, std::span<const std::string> arguments,
                 const Error& error) {
  int code = base::exit_code_of(error.code);
  for (const CommandEntry& entry : commands) {
    std::size_t words = 0;
    const std::string_view first_word = std::string_view(entry.path).substr(0, entry.path.find(' '));
    if (starts_with_path(arguments, first_word, &words))
      code = std::max(code, entry.make()->exit_code_of(error));
  }
  return code;
}

/// An error before any command's options are known; whether json is wanted can only be guessed from the
/// words.
int fail_early(std::span<const std::string> arguments, const Error& error, int exit_code) {
  bool json = std::find(arguments.begin(), arguments.end(), "--output=json") != arguments.end();
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    json = json || (arguments[i] == "--output" && arguments[i + 1] == "json");
  }
  write_whole(STDERR_FILENO, render_error(error));
  if (json) {
    nlohmann::ordered_json object = error_as_json(error);
    object["error"]["exit_code"] = exit_code;
    write_whole(STDOUT_FILENO, as_json_line(object));
  }
  return exit_code;
}

}  // namespace

Result<CommandMatch> find_command(std::span<const CommandEntry> commands,
                                  std::span<const std::string> arguments) {
  CommandMatch best;
  std::string below;  // the commands that go on from the first word, when that is only half a name
  for (const CommandEntry& entry : commands) {
    std::size_t words = 0;
    if (starts_with_path(arguments, entry.path, &words) && words > best.words) best = {&entry, words};
    if (!arguments.empty() && entry.path.starts_with(arguments[0] + " ")) {
      below += fmt::format("{}\"{} {}\"", below.empty() ? "" : ", ", kProgram, entry.path);
    }
  }
  if (best.entry != nullptr) return best;
  if (!below.empty()) {
    return Error(ErrorCode::kUsage, fmt::format("\"{}\" needs a second word", printable(arguments[0])),
                 fmt::format("It is one of {}.", below));
  }
  const std::string hint = fmt::format("Run \"{} help\" for the list of commands.", kProgram);
  if (arguments.empty()) return Error(ErrorCode::kUsage, "no command is given", hint);
  constexpr std::size_t kLongestShown = 40;
  return Error(ErrorCode::kUsage,
               fmt::format("unknown command \"{}\"", printable(arguments[0]).substr(0, kLongestShown)), hint);
}

void declare_options(CLI::App& app, Command& command, ParsedOptions& parsed, std::string& output) {
  app.set_help_flag();
  // As with PostgreSQL's tools the last one of a repeated option counts; an option that collects its values
  // says so itself.
  app.option_defaults()->take_last();
  app.allow_extras();
  command.declare(app);
  const std::string group = "General options";
  app.add_option("--output", output, "text, or json for one object on standard output")
      ->type_name("text|json")
      ->group(group);
  app.add_flag("-v,--verbose", parsed.verbose, "say more")->group(group);
  app.set_help_flag("-?,--help", "show this help")->group(group);
}

Result<ParsedOptions> parse_options(const CommandEntry& entry, Command& command,
                                    std::vector<std::string> arguments) {
  ParsedOptions parsed;
  std::string output = "text";
  CLI::App app;
  declare_options(app, command, parsed, output);

  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    parsed.help = help_text(describe_command(entry));
    return parsed;
  } catch (const CLI::ParseError& error) {
    return usage_error(entry, error.what());
  }
  const std::vector<std::string> extras = app.remaining();
  if (!extras.empty()) return unexpected_argument(entry, extras.front());
  if (output != "text" && output != "json") {
    return usage_error(entry, "--output must be \"text\" or \"json\"");
  }
  if (output == "json") parsed.output = OutputFormat::kJson;
  return parsed;
}

// ---------------------------------------------------------------- secrets

bool holds_password(std::string_view argument) {
  for (const std::string_view scheme : {"postgres://", "postgresql://"}) {
    const std::size_t at = argument.find(scheme);
    if (at == std::string_view::npos) continue;
    std::string_view authority = argument.substr(at + scheme.size());
    authority = authority.substr(0, authority.find_first_of("/?"));
    const std::size_t end_of_user = authority.rfind('@');
    if (end_of_user == std::string_view::npos) continue;
    const std::string_view user = authority.substr(0, end_of_user);
    const std::size_t colon = user.find(':');
    if (colon != std::string_view::npos && colon + 1 < user.size()) return true;
  }
  constexpr std::string_view kKeyword = "password";
  for (std::size_t at = argument.find(kKeyword); at != std::string_view::npos;
       at = argument.find(kKeyword, at + 1)) {
    std::string_view before = argument.substr(0, at);
    if (before.ends_with("ssl")) before.remove_suffix(3);
    const bool begins_a_word = before.empty() ||
                               std::string_view(" \t\n?&='").find(before.back()) != std::string_view::npos ||
                               (before.size() == 2 && before[0] == '-');  // -dpassword=...
    const std::size_t after = argument.find_first_not_of(" \t\n", at + kKeyword.size());
    if (begins_a_word && after != std::string_view::npos && argument[after] == '=') return true;
  }
  return false;
}

Result<void> refuse_secrets(std::span<const std::string> arguments) {
  for (const std::string& argument : arguments) {
    if (argument.find("standfast1.") != std::string::npos || pg::looks_like_token(argument)) {
      return Error(ErrorCode::kUsage, "a token is a password and does not belong on the command line",
                   "Every user of this host could read it there: give it when asked, by --token-file, or on "
                   "standard input, and have \"standfast primary setup --rotate-password\" make a new one.");
    }
    if (holds_password(argument)) {
      return Error(
          ErrorCode::kUsage, "a password does not belong on the command line",
          "Every user of this host could read it there: use -W to be asked, .pgpass, or passfile=FILE in "
          "the connection string.");
    }
  }
  return base::ok();
}

// ---------------------------------------------------------------- texts

std::string render_error(const Error& error) {
  std::string text = fmt::format("{}: {}\n", kProgram, printable(error.message));
  // A hint may end with lines of a server's log; they stay lines.
  std::string_view rest = error.hint;
  for (std::string_view lead = "hint: "; !rest.empty(); lead = "      ") {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    text += fmt::format("{}{}\n", lead, printable(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return text;
}

nlohmann::ordered_json error_as_json(const Error& error) {
  nlohmann::ordered_json object = {{"code", base::name_of(error.code)},
                                   {"exit_code", base::exit_code_of(error.code)},
                                   {"message", error.message}};
  if (!error.hint.empty()) object["hint"] = error.hint;
  if (!error.sqlstate.empty()) object["sqlstate"] = error.sqlstate;
  return {{"error", std::move(object)}};
}

int run_command_line(std::span<const CommandEntry> commands, int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) arguments.emplace_back(argv[i]);
  const Result<void> clean = refuse_secrets(arguments);
  if (!clean) return fail_early(arguments, clean.error(), exit_code_of(commands, arguments, clean.error()));
  if (arguments.empty() || wants_help(arguments[0])) return print_and_succeed(short_help(commands));
  if (arguments[0] == "--version" || arguments[0] == "-V") {
    return print_and_succeed(fmt::format("{} {}\n", kProgram, STANDFAST_VERSION));
  }
  const Result<CommandMatch> match = find_command(commands, arguments);
  if (!match) return fail_early(arguments, match.error(), exit_code_of(commands, arguments, match.error()));
  const std::unique_ptr<Command> command = match->entry->make();
  const Result<ParsedOptions> parsed =
      parse_options(*match->entry, *command,
                    std::vector<std::string>(arguments.begin() + static_cast<std::ptrdiff_t>(match->words),
                                             arguments.end()));
  if (!parsed) return fail_early(arguments, parsed.error(), command->exit_code_of(parsed.error()));
  if (parsed->help) return print_and_succeed(*parsed->help);
  return run_command(*command, *parsed);
}

}  // namespace standfast::cli

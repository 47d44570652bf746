// `standfast help`: what the commands take, for people (text), for programs (json) and for packages (--man,
// --share).
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/command_table.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/man_page.h"
#include "cli/manual.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr mode_t kSharedFolderMode = 0755;
constexpr mode_t kSharedFileMode = 0644;

ManEdition edition() {
  return {.version = STANDFAST_VERSION, .date = STANDFAST_RELEASE_DATE};
}

nlohmann::ordered_json as_json(const OptionManual& option) {
  nlohmann::ordered_json json = {{"names", option.names}, {"description", option.description}};
  if (!option.value.empty()) json["value"] = option.value;
  if (!option.choices.empty()) json["choices"] = option.choices;
  return json;
}

nlohmann::ordered_json as_json(const CommandManual& manual) {
  nlohmann::ordered_json json = {{"command", manual.path},
                                 {"summary", manual.summary},
                                 {"description", manual.description},
                                 {"example", manual.example},
                                 {"usage", manual.usage()}};
  json["options"] = nlohmann::ordered_json::array();
  for (const OptionGroup& group : manual.groups) {
    for (const OptionManual& option : group.options) {
      json["options"].push_back(as_json(option));
      json["options"].back()["group"] = group.title;
    }
  }
  json["exit_codes"] = {0};
  for (const ErrorCode code : manual.exit_codes) json["exit_codes"].push_back(base::exit_code_of(code));
  return json;
}

class HelpCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("topic", topic_, "a command, in its one or two words, or exit-codes")
        ->type_name("TOPIC")
        ->take_all()
        ->expected(1, 2);
    app.add_flag("--man", man_, "print the manual page of the command, or of the whole program");
    app.add_option("--share", share_directory_,
                   "write all manual pages and completion scripts below DIR, as packages install them")
        ->type_name("DIR");
  }

  Result<int> run(CommandContext& context) override {
    if (!share_directory_.empty()) return write_shared_files(context);
    const bool is_of_exit_codes = topic_.size() == 1 && topic_.front() == kExitCodesTopic;
    if (is_of_exit_codes && !man_) {
      context.output.text(exit_codes_text());
      return 0;
    }
    if (topic_.empty() || is_of_exit_codes) return show_program(context);
    const CommandMatch match = TRY(find_command(command_table(), topic_));
    if (match.words != topic_.size()) {
      return Error(ErrorCode::kUsage,
                   fmt::format("there is no command \"{} {}\"", match.entry->path, topic_.back()),
                   fmt::format("Run \"{} help\" for the list of commands.", kProgram));
    }
    const CommandManual manual = describe_command(*match.entry);
    context.output.text(man_ ? man_page(manual, edition()) : help_text(manual));
    context.output.json(as_json(manual));
    return 0;
  }

 private:
  Result<int> show_program(CommandContext& context) const {
    const auto manuals = describe_commands(command_table());
    context.output.text(man_ ? man_page_of_program(manuals, edition()) : short_help(command_table()));
    nlohmann::ordered_json json = {{"commands", nlohmann::ordered_json::array()}};
    for (const CommandManual& manual : manuals) json["commands"].push_back(as_json(manual));
    context.output.json(std::move(json));
    return 0;
  }

  Result<int> write_shared_files(CommandContext& context) const {
    const auto manuals = describe_commands(command_table());
    std::vector<std::pair<std::string, std::string>> files = {
        {"man/man1/" + man_page_name("") + ".1", man_page_of_program(manuals, edition())},
        {"bash-completion/completions/standfast", bash_completion(manuals)},
        {"zsh/site-functions/_standfast", zsh_completion(manuals)}};
    for (const CommandManual& manual : manuals) {
      files.emplace_back("man/man1/" + man_page_name(manual.path) + ".1", man_page(manual, edition()));
    }
    const std::string folder = env::absolute_path(share_directory_);
    auto written = nlohmann::ordered_json::array();
    for (const auto& [name, text] : files) {
      const std::string path = folder + "/" + name;
      TRY(env::make_directories(context.files, env::parent_of(path), kSharedFolderMode));
      TRY(env::write_file_durably(context.files, path, text, {.mode = kSharedFileMode}));
      written.push_back(path);
    }
    context.output.json({{"files", std::move(written)}});
    return 0;
  }

  std::vector<std::string> topic_;
  std::string share_directory_;
  bool man_ = false;
};

}  // namespace

std::unique_ptr<Command> make_help_command() {
  return std::make_unique<HelpCommand>();
}

}  // namespace standfast::cli

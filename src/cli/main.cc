#include <span>

#include "cli/command_table.h"
#include "setup/icu_version.h"

int main(int argc, char** argv) {
  const std::span<const char* const> arguments(argv, static_cast<std::size_t>(argc));
  if (const auto code = standfast::setup::answer_icu_question(arguments)) return *code;
  return standfast::cli::run_command_line(standfast::cli::command_table(), argc, argv);
}

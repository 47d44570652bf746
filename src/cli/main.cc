#include "cli/command_table.h"

int main(int argc, char** argv) {
  return standfast::cli::run_command_line(standfast::cli::command_table(), argc, argv);
}

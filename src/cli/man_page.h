// Manual pages in man(7)'s macros, made of the same manuals as --help: standfast(1) and a page for each
// command, standfast-primary-setup(1).
//
// Threading: pure functions. Invariant: no text of a manual is taken for a request or an escape of roff,
// whatever it holds; hyphens are ASCII's, so that what is shown can be pasted into a shell.
// Follows: groff_man(7), man(7) of mandoc.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/manual.h"

namespace standfast::cli {

/// What stands in the head and foot of a page.
struct ManEdition {
  std::string version;  ///< "0.1.0"
  std::string date;     ///< "2026-11-22"
};

std::string man_page(const CommandManual& manual, const ManEdition& edition);
std::string man_page_of_program(std::span<const CommandManual> manuals, const ManEdition& edition);
/// "standfast-primary-setup"; of "" it is the program's own.
std::string man_page_name(std::string_view path);

// The parts, for tests.

/// Text for a line or a quoted argument; it begins no request only behind something else.
std::string roff_escaped(std::string_view text);
/// Text in lines that fit an editor, each safe at its beginning, each ended.
std::string roff_paragraph(std::string_view text);

}  // namespace standfast::cli

// Which version of its collator the ICU has that a postgres program is linked with.
//
// The library is only known by its name and has to be loaded to be asked. Code that is loaded may do all that
// its process may, so the one that loads it is this program once more: without an environment, without a
// terminal, with no file open but its pipes, and with the rights of the owner of the data directory, as whom
// the library is run by the server too. What it says is only ever compared and shown.
//
// Threading: one thread. Fails: never; what cannot be found out is absent.
// Follows: utils/adt/pg_locale.c get_collation_actual_version().
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/server/installation.h"

namespace standfast::setup {

std::optional<std::string> icu_collator_version(env::FileSystem& files,
                                                const server::Installation& installation,
                                                const env::Wait& wait);

/// The other half. What main() is given, before anything else looks at it: none when this is no such
/// question; else the exit code, with the answer on standard output.
std::optional<int> answer_icu_question(std::span<const char* const> arguments);

// The parts, for tests.

/// The number in "libicui18n.so.72", which stands in the program as the name of a library it needs; "" if
/// none.
std::string icu_number(std::string_view program);
/// The answer, if it is one: numbers and dots.
std::optional<std::string> parse_icu_answer(std::string_view output);

}  // namespace standfast::setup

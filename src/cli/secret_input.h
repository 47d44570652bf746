// Secrets that a user hands in: from a file, from standard input, or typed without echo. Never from argv.
//
// Read in Command::prepare(), as whoever started the program: the file may be one that only root can read.
// Fails with kUsage, kIo, kPermission, kCancelled. No error holds any of the content.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "cli/command.h"

namespace standfast::cli {

inline constexpr std::size_t kMaxSecretInputBytes = 64U << 10U;

/// The whole file without its last line end; "-" is standard input. Warns of a file that others can read.
base::Result<base::Secret> read_secret_file(const std::string& path, CommandContext& context);

struct SecretQuestion {
  std::optional<std::string> file = {};  ///< what the option named
  std::string prompt;                    ///< "token: "
  std::string what;                      ///< "token", for errors
  std::string option;                    ///< "--token-file", for hints
};
/// The file if one is named; else standard input if it is no terminal and holds something; else a question.
base::Result<base::Secret> take_secret(const SecretQuestion& question, CommandContext& context);

}  // namespace standfast::cli

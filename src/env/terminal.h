// The terminal, if there is one. Prompts use /dev/tty, as libpq's and psql's do, so that standard input and
// output can be redirected.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "env/stop_event.h"

namespace standfast::env {

bool is_terminal(int fd);
int terminal_width_columns(int fd, int fallback = 80);
/// Whether a person can be asked: /dev/tty opens.
bool can_ask();
/// Asks on /dev/tty without echo; the echo comes back on every way out, Ctrl-C included. Input longer than
/// the kernel's line (4095 bytes) is read whole (non-canonical mode). kUsage if there is no terminal,
/// kCancelled on Ctrl-C.
base::Result<base::Secret> ask_secret(std::string_view prompt, const StopEvent& stop);
/// Asks for yes or no on /dev/tty; only "y" or "yes" is a yes.
base::Result<bool> ask_yes_no(std::string_view prompt, const StopEvent& stop);
/// All of standard input up to `max_bytes`, without its last line end, for secrets that are piped in.
base::Result<base::Secret> read_secret_from_standard_input(std::size_t max_bytes);

}  // namespace standfast::env

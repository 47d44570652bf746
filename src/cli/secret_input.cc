#include "cli/secret_input.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/terminal.h"

namespace standfast::cli {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<base::Secret> read_secret_file(const std::string& path, CommandContext& context) {
  if (path == "-") return env::read_secret_from_standard_input(kMaxSecretInputBytes);
  // Links are followed here: /dev/stdin and a shell's <(command) are links, and the user named the file
  // himself.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    Error error = base::error_from_errno(errno, "could not open \"" + path + "\"");
    if (error.hint.empty()) error.hint = "Name a file that the user who starts this program can read.";
    return error;
  }
  struct stat status {};
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0077U) != 0) {
    context.reporter.warn("\"" + path + "\" can be read by other users",
                          "Make it private with chmod 600, and remove it once used.");
  }
  std::string text;
  char buffer[4096];
  ssize_t count = 0;
  while (text.size() <= kMaxSecretInputBytes &&
         ((count = read(fd, buffer, sizeof buffer)) > 0 || (count < 0 && errno == EINTR))) {
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
  }
  const int read_errno = count < 0 ? errno : 0;
  close(fd);
  base::Secret whole(std::move(text));
  if (read_errno != 0) return base::error_from_errno(read_errno, "could not read \"" + path + "\"");
  if (whole.reveal().size() > kMaxSecretInputBytes)
    return Error(ErrorCode::kUsage, "\"" + path + "\" is too large to hold a secret");
  std::string_view content = whole.reveal();
  if (content.ends_with('\n')) content.remove_suffix(1);
  if (content.ends_with('\r')) content.remove_suffix(1);
  return base::Secret(std::string(content));
}

Result<base::Secret> take_secret(const SecretQuestion& question, CommandContext& context) {
  if (question.file) return read_secret_file(*question.file, context);
  if (!env::is_terminal(STDIN_FILENO)) {
    auto piped = TRY(env::read_secret_from_standard_input(kMaxSecretInputBytes));
    if (!piped.empty()) return piped;
  }
  if (!env::can_ask()) {
    return Error(ErrorCode::kUsage, "no " + question.what + " was given, and there is no terminal to ask on",
                 "Name a file with " + question.option + ", or pipe it in on standard input.");
  }
  return env::ask_secret(question.prompt, context.stop);
}

}  // namespace standfast::cli

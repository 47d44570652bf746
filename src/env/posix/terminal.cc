#include "env/terminal.h"

#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace standfast::env {
namespace {

using base::error_from_errno;
using base::ErrorCode;
using base::Result;
using base::Secret;

constexpr std::size_t kMaxTypedBytes = 64U << 10U;
/// Nobody waits longer for an answer than this, so a forgotten prompt does not hold a lock for a night.
constexpr auto kAnswerTimeout = std::chrono::hours(1);

/// /dev/tty, with its settings as they were when it goes.
class Terminal {
 public:
  static Result<Terminal> open() {
    const int fd = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
      return base::Error(ErrorCode::kUsage, "there is no terminal to ask on",
                         "Give the answer on the command line or in a file; --help names the options.");
    }
    return Terminal(fd);
  }
  ~Terminal() {
    if (fd_ < 0) return;
    if (is_changed_) tcsetattr(fd_, TCSANOW, &before_);
    close(fd_);
  }
  Terminal(Terminal&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), before_(other.before_), is_changed_(other.is_changed_) {}
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  Terminal& operator=(Terminal&&) = delete;

  int fd() const { return fd_; }
  const termios& before() const { return before_; }

  /// No echo, no line editing by the kernel (whose line ends at 4095 bytes), and no signals by keys: Ctrl-C
  /// comes as a byte, so there is no way out that leaves the echo off. What was typed before is dropped.
  Result<void> hide_input() {
    if (tcgetattr(fd_, &before_) != 0)
      return error_from_errno(errno, "could not read the terminal's settings");
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    hidden.c_iflag |= ICRNL;
    hidden.c_iflag &= ~static_cast<tcflag_t>(IGNCR | INLCR | IXON);
    hidden.c_cc[VMIN] = 1;
    hidden.c_cc[VTIME] = 0;
    is_changed_ = true;
    if (tcsetattr(fd_, TCSAFLUSH, &hidden) != 0) {
      return error_from_errno(errno, "could not turn the terminal's echo off");
    }
    return base::ok();
  }

  Result<void> print(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t count = write(fd_, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return error_from_errno(errno, "could not write to the terminal");
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return base::ok();
  }

  /// At least one byte; end of file gives none.
  Result<std::size_t> read_some(std::span<char> into, const Wait& wait) const {
    while (true) {
      switch (wait_for(fd_, POLLIN, wait)) {
        case Ready::kStopped:
          return cancelled_error();
        case Ready::kTimeout:
          return base::Error(ErrorCode::kTimeout, "nobody answered on the terminal");
        case Ready::kYes:
          break;
      }
      const ssize_t count = read(fd_, into.data(), into.size());
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      // EIO: the terminal has been hung up.
      if (count < 0) return error_from_errno(errno, "could not read from the terminal");
      return static_cast<std::size_t>(count);
    }
  }

 private:
  explicit Terminal(int fd) : fd_(fd) {}
  int fd_;
  termios before_{};
  bool is_changed_ = false;
};

/// A line as it is typed. Holds its whole buffer from the start, so that no copy of it is left in freed
/// memory.
class HiddenLine {
 public:
  explicit HiddenLine(const termios& keys) : keys_(keys) { text_.reserve(kMaxTypedBytes + 1); }
  ~HiddenLine() { explicit_bzero(text_.data(), text_.capacity()); }
  HiddenLine(const HiddenLine&) = delete;
  HiddenLine& operator=(const HiddenLine&) = delete;

  enum class State { kOpen, kDone, kCancelled, kTooLong };

  State type(char key) {
    if (key == '\n') return State::kDone;
    if (is_key(key, VINTR) || is_key(key, VQUIT)) return State::kCancelled;
    if (is_key(key, VEOF)) return text_.empty() ? State::kCancelled : State::kDone;
    if (is_key(key, VERASE) || key == '\b' || key == '\x7f') {
      erase_character();
    } else if (is_key(key, VKILL)) {
      clear();
    } else if (!is_key(key, VSUSP)) {
      if (text_.size() == kMaxTypedBytes) return State::kTooLong;
      text_.push_back(key);
    }
    return State::kOpen;
  }
  Secret secret() const { return Secret(text_); }

 private:
  bool is_key(char key, int which) const {
    const cc_t code = keys_.c_cc[which];
    return code != _POSIX_VDISABLE && static_cast<cc_t>(key) == code;
  }
  /// One character of UTF-8, however many bytes it has.
  void erase_character() {
    while (!text_.empty()) {
      const auto last = static_cast<unsigned char>(text_.back());
      text_.back() = '\0';
      text_.pop_back();
      if ((last & 0xC0U) != 0x80U) return;
    }
  }
  void clear() {
    explicit_bzero(text_.data(), text_.size());
    text_.clear();
  }
  const termios& keys_;
  std::string text_;
};

Result<Secret> read_hidden(const Terminal& terminal, const Wait& wait) {
  HiddenLine line(terminal.before());
  char buffer[1024];
  while (true) {
    const std::size_t count = TRY(terminal.read_some(buffer, wait));
    auto state = count == 0 ? HiddenLine::State::kCancelled : HiddenLine::State::kOpen;
    for (std::size_t i = 0; i < count && state == HiddenLine::State::kOpen; ++i) state = line.type(buffer[i]);
    explicit_bzero(buffer, sizeof buffer);
    switch (state) {
      case HiddenLine::State::kOpen:
        break;
      case HiddenLine::State::kDone:
        return line.secret();
      case HiddenLine::State::kCancelled:
        return cancelled_error();
      case HiddenLine::State::kTooLong:
        return base::Error(ErrorCode::kUsage, "what was typed is longer than 64 KiB");
    }
  }
}

}  // namespace

bool is_terminal(int fd) {
  return isatty(fd) == 1;
}

int terminal_width_columns(int fd, int fallback) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : fallback;
}

bool can_ask() {
  return Terminal::open().has_value();
}

Result<Secret> ask_secret(std::string_view prompt, const StopEvent& stop) {
  Terminal terminal = TRY(Terminal::open());
  // The echo goes before the prompt comes: whoever sees the prompt can type.
  TRY(terminal.hide_input());
  TRY(terminal.print(prompt));
  Result<Secret> secret = read_hidden(terminal, Wait::for_at_most(kAnswerTimeout, &stop));
  // The line end that was typed was not echoed.
  TRY(terminal.print("\n"));
  return secret;
}

Result<bool> ask_yes_no(std::string_view prompt, const StopEvent& stop) {
  const Terminal terminal = TRY(Terminal::open());
  TRY(terminal.print(prompt));
  const Wait wait = Wait::for_at_most(kAnswerTimeout, &stop);
  // The kernel gives a line at a time, of at most 4095 bytes; a longer one is no "yes".
  std::string line;
  while (line.find('\n') == std::string::npos && line.size() <= 4096) {
    char buffer[256];
    const std::size_t count = TRY(terminal.read_some(buffer, wait));
    if (count == 0) break;
    line.append(buffer, count);
  }
  const std::size_t begin = line.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return false;
  std::string answer = line.substr(begin, line.find_last_not_of(" \t\r\n") - begin + 1);
  for (char& letter : answer)
    letter = static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter + 32 : letter);
  return answer == "y" || answer == "yes";
}

Result<Secret> read_secret_from_standard_input(std::size_t max_bytes) {
  std::string text(max_bytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = read(STDIN_FILENO, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error_number = errno;
      explicit_bzero(text.data(), text.size());
      return error_from_errno(error_number, "could not read standard input");
    }
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  std::string_view content(text.data(), size);
  if (content.ends_with('\n')) content.remove_suffix(1);
  if (content.ends_with('\r')) content.remove_suffix(1);
  Result<Secret> secret =
      size > max_bytes
          ? Result<Secret>(base::Error(
                ErrorCode::kUsage, "standard input is longer than " + std::to_string(max_bytes) + " bytes"))
          : Result<Secret>(Secret(std::string(content)));
  explicit_bzero(text.data(), text.size());
  return secret;
}

}  // namespace standfast::env

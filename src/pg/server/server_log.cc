#include "pg/server/server_log.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::uint64_t kMaxCurrentLogfilesBytes = 16U << 10U;
constexpr std::size_t kMaxLineBytes = 300;

std::optional<std::string> read_end(env::FileSystem& files, const std::string& path,
                                    std::uint64_t from_bytes) {
  const auto info = files.inspect_following(path);
  const auto real = files.real_path(path);
  if (!info || !*info || !real) return std::nullopt;
  auto file = files.open_for_reading(*real);
  if (!file) return std::nullopt;
  const std::uint64_t size = (*info)->size_bytes;
  // A log that has become shorter was rotated away.
  std::uint64_t begin = size < from_bytes ? 0 : from_bytes;
  begin = std::max(begin, size > kMaxLogTailBytes ? size - kMaxLogTailBytes : 0);
  std::string text(kMaxLogTailBytes, '\0');
  const auto count = (*file)->read_at(begin, std::as_writable_bytes(std::span(text)));
  if (!count) return std::nullopt;
  text.resize(*count);
  return text;
}

/// Where the logging collector writes: DIR/current_logfiles, "stderr log/postgresql-....log".
std::optional<std::string> collector_log(env::FileSystem& files, const std::string& data_directory) {
  const auto text =
      env::read_whole_file(files, data_directory + "/current_logfiles", kMaxCurrentLogfilesBytes);
  if (!text) return std::nullopt;
  for (const std::string_view kind : {"stderr ", "csvlog ", "jsonlog "}) {
    const std::size_t at = text->find(kind);
    if (at == std::string::npos) continue;
    const std::size_t begin = at + kind.size();
    const std::string path = text->substr(begin, std::min(text->find('\n', begin), text->size()) - begin);
    if (!path.empty()) return path.front() == '/' ? path : data_directory + "/" + path;
  }
  return std::nullopt;
}

std::string last_lines(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::size_t begin = text.size();
  for (std::size_t lines = 0; lines < kMaxLogTailLines && begin > 0; ++lines) {
    const std::size_t end_of_before = text.rfind('\n', begin - 1);
    begin = end_of_before == std::string_view::npos ? 0 : end_of_before;
  }
  if (text.substr(begin).starts_with('\n')) ++begin;
  return std::string(text.substr(begin));
}

bool holds(std::string_view text, std::string_view words) {
  return text.find(words) != std::string_view::npos;
}

/// What stands after the last of these words in the log, up to the line's end.
std::optional<std::string> last_fatal(std::string_view tail) {
  for (const std::string_view word : {"PANIC:  ", "FATAL:  "}) {
    const std::size_t at = tail.rfind(word);
    if (at == std::string_view::npos) continue;
    std::string_view line = tail.substr(at + word.size());
    line = line.substr(0, std::min(line.find('\n'), kMaxLineBytes));
    return std::string(line);
  }
  return std::nullopt;
}

std::string first_line(std::string_view text) {
  while (text.starts_with('\n') || text.starts_with(' ')) text.remove_prefix(1);
  return std::string(text.substr(0, std::min(text.find('\n'), kMaxLineBytes)));
}

struct Reason {
  std::string_view words;
  ErrorCode code;
  std::string_view advice;
};

constexpr std::string_view kPortAdvice =
    "Another program holds the port: stop it, or give this server another one with \"port\" in its "
    "configuration.";
constexpr std::array<Reason, 6> kReasons = {{
    {"lock file \"postmaster.pid\" already exists", ErrorCode::kInUse,
     "Another process has the id that postmaster.pid names: if it is no PostgreSQL server, remove that "
     "file."},
    {"Address already in use", ErrorCode::kInUse, kPortAdvice},
    {"Is another postmaster", ErrorCode::kInUse, kPortAdvice},
    {"Port conflict", ErrorCode::kInUse, kPortAdvice},
    {"No space left on device", ErrorCode::kDiskFull, "Free some room on that disk."},
    {"Permission denied", ErrorCode::kPermission,
     "See whose the file is: the server's user must be able to use it."},
}};

}  // namespace

std::string read_log_tail(env::FileSystem& files, const std::string& path, std::uint64_t from_bytes,
                          const std::string& data_directory) {
  const std::string text = read_end(files, path, from_bytes).value_or("");
  // A log that is not known (systemd's journal) may go to the collector as well.
  if (text.empty() || holds(text, "redirecting log output to logging collector")) {
    if (const auto collector = collector_log(files, data_directory)) {
      if (const auto collected = read_end(files, *collector, 0)) return last_lines(*collected);
    }
  }
  return last_lines(text);
}

Error explain_start_failure(const std::string& data_directory, std::string_view log_file,
                            std::string_view tail, std::string_view complaint) {
  const std::string cause = last_fatal(tail).value_or(first_line(tail.empty() ? complaint : ""));
  Error error(ErrorCode::kServerControl, fmt::format("PostgreSQL did not start on \"{}\"{}{}", data_directory,
                                                     cause.empty() ? "" : ": ", cause));
  for (const Reason& reason : kReasons) {
    if (!holds(tail, reason.words) && !holds(complaint, reason.words)) continue;
    error.code = reason.code;
    error.hint = reason.advice;
    break;
  }
  if (!tail.empty()) {
    error.hint += fmt::format("{}{} ends with:\n{}", error.hint.empty() ? "" : " ",
                              log_file.empty() ? "The server's log" : fmt::format("\"{}\"", log_file), tail);
  } else if (error.hint.empty()) {
    error.hint = "See the server's log.";
  }
  return error;
}

}  // namespace standfast::server

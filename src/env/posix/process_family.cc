#include "env/process_family.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace standfast::env {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMaxStatBytes = std::uint64_t{64} << 10U;
constexpr base::Milliseconds kPollInterval(10);
/// Fields of the line are counted from 1; the name in brackets is the second.
constexpr int kStateField = 3;
constexpr int kParentField = 4;
constexpr int kStartField = 22;

struct Known {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
};

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// And takes its status, where it is a child of ours: such a one has not ended before that can be had.
bool has_ended(FileSystem& files, const Known& process) {
  if (waitpid(process.pid, nullptr, WNOHANG) == 0) return false;
  const auto stat = stat_of_process(files, process.pid);
  return !stat || stat->start_ticks != process.start_ticks || stat->state == 'Z' || stat->state == 'X';
}

Result<std::vector<Known>> children_of(FileSystem& files, pid_t parent) {
  std::vector<Known> children;
  for (const std::string& name : TRY(files.list("/proc"))) {
    pid_t pid = 0;
    if (!read_number(name, pid)) continue;
    const auto stat = stat_of_process(files, pid);
    if (stat && stat->parent == parent) children.push_back({pid, stat->start_ticks});
  }
  return children;
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  // The name may hold anything, brackets too.
  const std::size_t name_end = text.rfind(") ");
  if (name_end == std::string_view::npos) return std::nullopt;
  std::string_view rest = text.substr(name_end + 2);
  ProcessStat stat;
  for (int field = kStateField; field <= kStartField; ++field) {
    const std::string_view word = rest.substr(0, rest.find_first_of(" \n"));
    if (word.empty()) return std::nullopt;
    if (field == kStateField) stat.state = word.front();
    if (field == kParentField && !read_number(word, stat.parent)) return std::nullopt;
    if (field == kStartField && !read_number(word, stat.start_ticks)) return std::nullopt;
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  }
  return stat;
}

std::optional<ProcessStat> stat_of_process(FileSystem& files, pid_t pid) {
  const auto text = read_whole_file(files, fmt::format("/proc/{}/stat", pid), kMaxStatBytes);
  return text ? parse_process_stat(*text) : std::nullopt;
}

void adopt_orphans() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Result<std::size_t> kill_with_children(FileSystem& files, pid_t pid, const Wait& wait) {
  const auto own = stat_of_process(files, pid);
  if (!own || pid <= 1) return std::size_t{0};
  std::vector<Known> family = {{pid, own->start_ticks}};
  const std::vector<Known> children = TRY(children_of(files, pid));
  family.insert(family.end(), children.begin(), children.end());
  // The parent first: it starts none anew.
  for (const Known& process : family) {
    if (has_ended(files, process) || kill(process.pid, SIGKILL) == 0 || errno == ESRCH) continue;
    return base::error_from_errno(errno, fmt::format("could not kill process {}", process.pid));
  }
  // Each is asked, and so waited for, in each round.
  const auto still_there = [&] {
    return std::count_if(family.begin(), family.end(),
                         [&](const Known& one) { return !has_ended(files, one); });
  };
  while (still_there() > 0) {
    if (wait.deadline.passed()) {
      return Error(ErrorCode::kTimeout, fmt::format("process {} and its children do not end", pid),
                   "One of them may hang in the kernel, on a disk that does not answer.");
    }
    const Wait step{wait.deadline.earlier(base::Deadline::after(kPollInterval)), wait.stop};
    if (wait_for(-1, 0, step) == Ready::kStopped) return cancelled_error();
  }
  return family.size();
}

}  // namespace standfast::env

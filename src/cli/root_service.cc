#include "cli/root_service.h"

#include <cerrno>
#include <csignal>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent_config.h"
#include "pg/server/debian.h"
#include "pg/server/systemd.h"
#include "setup/firewall.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using server::FirewallAction;
using server::FirewallAnswer;
using server::FirewallRequest;

/// The longest that root lets the service manager take, and the firewall's program.
constexpr base::Seconds kMaxUnitActionTime(3600);
constexpr base::Seconds kMaxFirewallTime(120);
constexpr std::string_view kAgentConfiguration = "/etc/standfast/standfast.toml";

Result<std::optional<HeldDirectory::Id>> id_of(env::FileSystem& files, const std::string& path) {
  const auto info = TRY(files.inspect(path));
  return info ? std::optional(HeldDirectory::Id{info->device, info->inode}) : std::nullopt;
}

}  // namespace

Result<HeldDirectory> hold_directory(env::FileSystem& files, const std::string& path, uid_t owner) {
  HeldDirectory held{.path = path, .owner = owner};
  if (path.empty()) return held;
  const auto named = TRY(files.inspect(path));
  if (named && named->kind == env::FileKind::kSymlink && !TRY(files.inspect_following(path))) return held;
  held.resolved = server::resolved_as_far_as_it_exists(files, path);
  held.folder = TRY(id_of(files, env::parent_of(*held.resolved)));
  return held;
}

Result<std::string> find_held(env::FileSystem& files, const HeldDirectory& held) {
  const std::string now = held.path.empty() ? "" : server::resolved_as_far_as_it_exists(files, held.path);
  const auto info = now.empty() ? std::nullopt : TRY(files.inspect(now));
  const bool is_at_its_place = held.resolved.value_or(now) == now &&
                               (!held.folder || TRY(id_of(files, env::parent_of(now))) == held.folder);
  if (is_at_its_place && info && info->kind == env::FileKind::kDirectory && info->owner == held.owner) {
    return now;
  }
  return Error(ErrorCode::kPermission,
               fmt::format("\"{}\" is not the data directory any more that root was started for", held.path),
               "See who exchanged it or a folder above it, then run the command again.");
}

Result<FirewallRequest> FirewallLeave::admit(FirewallRequest request) {
  if (std::find(addresses_.begin(), addresses_.end(), request.address_cidr) == addresses_.end()) {
    return Error(ErrorCode::kPermission, "root opens the firewall only to what was named with --standby");
  }
  if (std::find(ports_.begin(), ports_.end(), request.port) == ports_.end()) {
    if (ports_.size() >= max_ports_) {
      return Error(ErrorCode::kPermission,
                   fmt::format("root opens the firewall to port {} only", fmt::join(ports_, " and ")));
    }
    ports_.push_back(request.port);
  }
  const Opening opening(request.address_cidr, request.port);
  const bool is_ours = std::find(opened_.begin(), opened_.end(), opening) != opened_.end();
  if (request.action == FirewallAction::kClose && !is_ours) request.action = FirewallAction::kAsk;
  return request;
}

std::vector<FirewallRequest> FirewallLeave::closings() const {
  std::vector<FirewallRequest> requests;
  for (const auto& [address, port] : opened_) requests.push_back({FirewallAction::kClose, address, port});
  return requests;
}

Result<void> serve_unit_request(env::FileSystem& files, const HeldDirectory& directory,
                                std::string_view message) {
  const auto request = decode_request(message);
  if (!request) return Error(ErrorCode::kPermission, "root does not do what it was asked for");
  const auto wait =
      env::Wait::for_at_most(std::min<base::Milliseconds>(request->timeout, kMaxUnitActionTime));
  const std::string found = TRY(find_held(files, directory));
  if (!TRY(server::unit_runs_data_directory(files, request->unit, found, wait, directory.owner))) {
    return Error(ErrorCode::kPermission, fmt::format("{} does not run \"{}\", so root leaves it alone",
                                                     request->unit, directory.path));
  }
  return server::run_systemctl(request->action, request->unit, wait);
}

namespace {

/// The path as a basic string of TOML; no value for one with control characters.
std::optional<std::string> quoted(const std::string& path) {
  std::string text = "\"";
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return std::nullopt;
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

}  // namespace

Result<void> configure_agent(env::FileSystem& files, const std::string& configuration,
                             const std::string& data_directory) {
  if (TRY(files.inspect_following(configuration))) {
    const std::string text =
        TRY(env::read_whole_file(files, TRY(files.real_path(configuration)), agent::kMaxAgentConfigBytes));
    const auto config = TRY(agent::parse_agent_config(text, configuration));
    const auto named =
        config.data_directory ? files.real_path(*config.data_directory) : Result<std::string>("");
    if (named && *named == data_directory) return base::ok();
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" is there, and does not say that the agent is that of \"{}\"",
                             configuration, data_directory),
                 "Set data_directory of its section [agent] so.");
  }
  const auto path = quoted(data_directory);
  if (!path) return Error(ErrorCode::kUsage, "the data directory's name has control characters");
  TRY(env::make_directories(files, env::parent_of(configuration), 0755));
  return env::write_file_durably(files, configuration, fmt::format("[agent]\ndata_directory = {}\n", *path),
                                 {.mode = 0644});
}

Result<void> serve_agent_request(env::FileSystem& files, const RootLeave& leave,
                                 const std::string& configuration, base::Milliseconds timeout) {
  const std::string unit(server::kAgentUnit);
  if (leave.agent != AgentLeave::kGiven) {
    return Error(ErrorCode::kPermission, "root enables an agent only where --agent asks for one");
  }
  const auto wait = env::Wait::for_at_most(std::min<base::Milliseconds>(timeout, kMaxUnitActionTime));
  const std::string found = TRY(find_held(files, leave.directory));
  TRY(configure_agent(files, configuration, found));
  TRY(server::enable_unit(unit, wait));
  return server::run_systemctl(server::UnitAction::kRestart, unit, wait);
}

// ---------------------------------------------------------------- one request after the other

void RootService::take_request() {
  const auto message = channel_.receive();
  // What has no number cannot be answered either.
  if (const auto request = message ? decode_numbered(*message) : std::nullopt) serve(*request);
}

void RootService::serve(const Numbered& request) {
  if (const auto firewall = decode_firewall_request(request.text)) {
    serve_firewall(request.number, *firewall);
    return;
  }
  if (const auto timeout = decode_agent_request(request.text)) {
    start_worker(request.number, [&] {
      const std::string configuration(kAgentConfiguration);
      answer(request.number, encode_answer(serve_agent_request(files_, leave_, configuration, *timeout)));
      return Outcome::kNothing;
    });
    return;
  }
  start_worker(request.number, [&] {
    answer(request.number, encode_answer(serve_unit_request(files_, leave_.directory, request.text)));
    return Outcome::kNothing;
  });
}

void RootService::serve_firewall(std::uint64_t number, const TimedFirewallRequest& request) {
  const auto admitted = leave_.firewall.admit(request.request);
  if (!admitted) {
    answer(number, encode_firewall_answer(admitted.error()));
    return;
  }
  changing_ = *admitted;
  const auto timeout = std::min<base::Milliseconds>(request.timeout, kMaxFirewallTime);
  start_worker(number, [&] {
    // A firewall is not left half open by whoever loses patience; the deadline ends it.
    for (const int signal_number : {SIGTERM, SIGHUP}) signal(signal_number, SIG_IGN);
    return change_firewall(number, {*admitted, timeout});
  });
}

RootService::Outcome RootService::change_firewall(std::uint64_t number,
                                                  const TimedFirewallRequest& request) const {
  const auto wait = env::Wait::for_at_most(request.timeout);
  FirewallRequest question = request.request;
  question.action = FirewallAction::kAsk;
  // What is open already is somebody else's, and must not be closed as this run's.
  if (request.request.action == FirewallAction::kOpen) {
    const auto before = setup::run_firewall(files_, question, wait);
    if (!before || *before != FirewallAnswer::kClosed) {
      answer(number, encode_firewall_answer(before));
      return Outcome::kNothing;
    }
  }
  const auto done = setup::run_firewall(files_, request.request, wait);
  answer(number, encode_firewall_answer(done));
  // Half of it may be done when it failed.
  if (request.request.action == FirewallAction::kOpen) return Outcome::kOpened;
  return done && *done == FirewallAnswer::kClosed ? Outcome::kClosed : Outcome::kNothing;
}

template <typename Work>
void RootService::start_worker(std::uint64_t number, const Work& work) {
  worker_ = fork();
  if (worker_ > 0) return;
  if (worker_ < 0) {
    worker_ = 0;
    changing_.reset();
    answer(number, encode_answer(base::error_from_errno(errno, "could not make a process for a request")));
    return;
  }
  sigset_t none;
  sigemptyset(&none);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    signal(signal_number, signal_number == SIGINT ? SIG_IGN : SIG_DFL);
  }
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  _exit(static_cast<int>(work()));
}

void RootService::reap() {
  int status = 0;
  if (worker_ > 0 && waitpid(worker_, &status, WNOHANG) == worker_) take_outcome(status);
}

void RootService::wait_for_worker() {
  int status = 0;
  while (worker_ > 0) {
    if (waitpid(worker_, &status, 0) == worker_) take_outcome(status);
  }
}

void RootService::take_outcome(int status) {
  worker_ = 0;
  const auto changed = std::exchange(changing_, std::nullopt);
  if (!changed || !WIFEXITED(status)) return;
  if (WEXITSTATUS(status) == static_cast<int>(Outcome::kOpened)) leave_.firewall.note_opened(*changed);
  if (WEXITSTATUS(status) == static_cast<int>(Outcome::kClosed)) leave_.firewall.note_closed(*changed);
}

void RootService::finish(ChildEnd end) {
  if (worker_ > 0 && !changing_) kill(worker_, SIGTERM);
  wait_for_worker();
  // It may have asked, and not have waited for its turn.
  while (const auto message = channel_.receive()) {
    const auto request = decode_numbered(*message);
    const auto firewall = request ? decode_firewall_request(request->text) : std::nullopt;
    if (firewall && firewall->request.action == FirewallAction::kClose) {
      serve_firewall(request->number, *firewall);
      wait_for_worker();
    }
  }
  if (end == ChildEnd::kByItself) return;
  for (const FirewallRequest& closing : leave_.firewall.closings()) {
    serve_firewall(0, {closing, kMaxFirewallTime});
    wait_for_worker();
  }
}

void RootService::answer(std::uint64_t number, std::string text) const {
  // A child that is gone, or does not read, needs no answer.
  static_cast<void>(channel_.send(encode_numbered({number, std::move(text)})));
}

}  // namespace standfast::cli

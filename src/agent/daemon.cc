#include "agent/daemon.h"

#include <array>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "agent/agent_lock.h"
#include "agent/local_server.h"
#include "agent/membership_keeper.h"
#include "agent/remote_authority.h"
#include "agent/session.h"

namespace standfast::agent {
namespace {

using base::Result;

constexpr base::Seconds kStopPatience(10);
/// Of a connection: its socket, two events, a file and the folders on the way to it.
constexpr std::uint64_t kFilesOfConnection = 8;
constexpr base::Seconds kStatusEach(5);

UnixSeconds wall_clock() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

class Agent final : private SessionHost {
 public:
  static Result<std::unique_ptr<Agent>> open(env::FileSystem& files, const AgentStart& start) {
    LocalServer::Login login{.user = start.options.superuser, .database = start.options.database};
    auto server = TRY(LocalServer::open(start.cluster, std::move(login)));
    std::unique_ptr<Agent> agent(new Agent(start, std::move(server)));
    TRY(agent->take_membership(start.store));
    TRY(agent->listen(files));
    return agent;
  }
  ~Agent() override { end_keeping(); }

  void run(base::Reporter& reporter, const env::StopEvent& stop, const AgentEvents& events) {
    for (const net::ListenAddress& address : connections_.addresses()) {
      reporter.info(fmt::format("serving \"{}\", cluster {}, on {}", server_->data_directory(),
                                system_id().to_string(), to_string(address)));
    }
    keeping_ = std::thread([this] { keep_membership(); });
    if (events.on_ready) events.on_ready();
    while (!stop.is_set()) {
      tell_status(events);
      connections_.wait(base::Deadline::after(kStatusEach), {stop.fd(), events.reload_fd});
      if (is_asked_to_reload(events)) reload(reporter, events);
      connections_.attend(reporter);
    }
    if (events.on_stopping) events.on_stopping();
    end_keeping();
    connections_.stop_all(kStopPatience);
    for (connections_.attend(reporter); !connections_.is_empty(); connections_.attend(reporter)) {
      connections_.wait(base::Deadline::after(kStatusEach));
    }
    connections_.attend(reporter);
  }

 private:
  Agent(const AgentStart& start, std::unique_ptr<LocalServer> server)
      : options_(start.options),
        server_(std::move(server)),
        files_of_membership_(start.store, server_->system_id()),
        remote_(files_of_membership_, stop_keeping_),
        backups_(
            {.begin_bracket = [this](const BeginBackup& request,
                                     const env::Wait& wait) { return server_->begin(request, wait); },
             .tree = {.data_directory = server_->data_directory(), .private_folders = {start.store.root()}},
             .max_backups = options_.max_backups}),
        connections_(options_.connections, [this](std::uint64_t id, net::Accepted accepted) {
          SessionHost& host = *this;
          return Session::open(host, {.id = id, .fd = accepted.fd, .peer = std::move(accepted.peer)});
        }) {}

  Result<void> take_membership(const client::SecretStore& store) {
    MembershipKeeper::Options keeping{
        .store = store, .system_id = system_id(), .link = remote_, .note = [this](std::string line) {
          note(std::move(line));
        }};
    keeper_ = TRY(MembershipKeeper::open(std::move(keeping), wall_clock()));
    return base::ok();
  }

  Result<void> listen(env::FileSystem& files) {
    const std::string folder = files_of_membership_.folder();
    if (const auto other = TRY(find_agent(files, folder))) return agent_runs_already(*other);
    TRY(connections_.allow_open_files(kFilesOfConnection));
    for (const net::ListenAddress& address : options_.listen) TRY(connections_.listen(address));
    // Last: whoever waits for it waits for an agent that listens.
    lock_ = TRY(take_agent_lock(files, folder));
    return base::ok();
  }

  // SessionHost, for the connections' threads.
  std::shared_ptr<const MemberContext> tls() const override { return keeper_->standing()->context; }
  bool admit(std::uint64_t connection) override { return connections_.admit(connection); }
  pg::SystemId system_id() const override { return server_->system_id(); }
  Result<Welcome> facts() const override { return server_->facts(); }
  Backups& backups() override { return backups_; }
  std::optional<Members> members() const override { return keeper_->members(); }
  bool is_revoked(std::string_view serial) const override {
    return keeper_->standing()->revoked_serials.contains(serial);
  }
  Result<std::string> revoked_list() const override {
    return keeper_->standing()->membership.trust.revoked_list_pem;
  }
  UnixSeconds now() const override { return wall_clock(); }
  void note(std::string line) override { connections_.note(std::move(line)); }

  /// In a thread of its own: it may wait for another host.
  void keep_membership() {
    const auto look_each = KeeperPatience{}.look;
    std::unique_lock lock(mutex_);
    while (!stop_keeping_.is_set()) {
      if (std::exchange(is_in_a_hurry_, false)) keeper_->hurry();
      lock.unlock();
      keeper_->keep(wall_clock());
      lock.lock();
      woken_.wait_for(lock, look_each, [this] { return is_in_a_hurry_ || stop_keeping_.is_set(); });
    }
  }

  void end_keeping() {
    {
      const std::lock_guard lock(mutex_);
      stop_keeping_.set();
    }
    woken_.notify_all();
    if (keeping_.joinable()) keeping_.join();
  }

  static bool is_asked_to_reload(const AgentEvents& events) {
    std::array<std::byte, 512> asked{};  // an eventfd's eight bytes, or a signalfd's records
    return events.reload_fd >= 0 && read(events.reload_fd, asked.data(), asked.size()) > 0;
  }

  void reload(base::Reporter& reporter, const AgentEvents& events) {
    if (events.on_reloading) events.on_reloading();
    {
      const std::lock_guard lock(mutex_);
      is_in_a_hurry_ = true;
    }
    woken_.notify_all();
    reporter.info("certificate, key and the list of revoked certificates are looked at again");
    const auto wanted = events.read_options ? events.read_options() : Result<AgentOptions>(options_);
    if (!wanted) {
      reporter.warn("all else stays as it was: " + wanted.error().message, wanted.error().hint);
    } else if (*wanted != options_) {
      reporter.warn("what the configuration says now is not taken up", "Restart the agent for it.");
    }
    if (events.on_ready) events.on_ready();
  }

  /// Now and then: connections come and go faster than anybody reads it.
  void tell_status(const AgentEvents& events) {
    if (!next_status_.passed()) return;
    next_status_ = base::Deadline::after(kStatusEach);
    std::size_t count = 0;
    connections_.for_each([&count](std::uint64_t, const Session&) { ++count; });
    const auto standing = keeper_->standing();
    std::string line =
        fmt::format("connections: {}; backups: {}; member \"{}\"{}, certificate until {:%Y-%m-%d}", count,
                    backups_.count(), standing->membership.facts.member.name,
                    standing->has_authority ? " with the authority" : "",
                    fmt::gmtime(std::chrono::system_clock::to_time_t(standing->membership.facts.expires)));
    if (told_status_ == line) return;
    told_status_ = std::move(line);
    if (events.on_status) events.on_status(told_status_);
  }

  const AgentOptions options_;
  const std::unique_ptr<LocalServer> server_;
  const MembershipFiles files_of_membership_;
  env::StopEvent stop_keeping_;
  RemoteAuthority remote_;
  std::unique_ptr<MembershipKeeper> keeper_;  ///< there once open() has returned
  Backups backups_;
  net::Connections<Session> connections_;
  std::optional<env::LockFile> lock_;
  base::Deadline next_status_ = base::Deadline::after({});
  std::string told_status_;

  std::mutex mutex_;  // for `woken_` and the one below
  std::condition_variable woken_;
  bool is_in_a_hurry_ = false;
  std::thread keeping_;
};

}  // namespace

Result<void> run_agent(env::FileSystem& files, base::Reporter& reporter, const env::StopEvent& stop,
                       const AgentStart& start, const AgentEvents& events) {
  TRY(start.store.refuse_inside(start.cluster.data_directory()));
  const auto agent = TRY(Agent::open(files, start));
  agent->run(reporter, stop, events);
  return base::ok();
}

}  // namespace standfast::agent

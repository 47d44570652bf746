#include "net/connections.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "env/open_files.h"

namespace standfast::net {

using base::Clock;
using base::Result;

namespace {

constexpr base::Seconds kAcceptAgainAfter(1);
constexpr base::Seconds kLongestWait(60);
constexpr std::size_t kMaxLines = 1000;
/// Connections that were dropped and have not ended yet.
constexpr std::size_t kMaxEnding = 8;
constexpr int kMaxAcceptedInARow = 16;
constexpr std::uint64_t kOtherFiles = 128;

}  // namespace

ConnectionServer::ConnectionServer(const ConnectionBounds& bounds, Open open)
    : bounds_(bounds), open_(std::move(open)), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(wake_fd_ >= 0);
  CHECK(bounds_.max_not_logged_in > 0);
}

ConnectionServer::~ConnectionServer() {
  CHECK(clients_.empty());
  close(wake_fd_);
}

Result<void> ConnectionServer::allow_open_files(std::uint64_t files_of_connection) const {
  const std::uint64_t connections = bounds_.max_logged_in + bounds_.max_not_logged_in + kMaxEnding;
  return env::allow_open_files(connections * files_of_connection + kOtherFiles);
}

Result<void> ConnectionServer::listen(const ListenAddress& address) {
  for (Listener& listener : TRY(Listener::open(address))) {
    addresses_.push_back(listener.bound());
    listeners_.push_back(std::move(listener));
  }
  return base::ok();
}

void ConnectionServer::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

void ConnectionServer::wait(base::Deadline until, std::initializer_list<int> other_fds) {
  std::vector<pollfd> fds = {{wake_fd_, POLLIN, 0}};
  for (const int fd : other_fds) fds.push_back({fd, POLLIN, 0});
  if (Clock::now() < accept_again_at_) {
    until = until.earlier(base::Deadline::at(accept_again_at_));
  } else if (has_room()) {
    for (const Listener& listener : listeners_) fds.push_back({listener.fd(), POLLIN, 0});
  }
  if (drop_at_) until = until.earlier(*drop_at_);
  until = until.earlier(base::Deadline::after(kLongestWait));
  // What ended the wait is found out by asking each.
  static_cast<void>(poll(fds.data(), fds.size(), static_cast<int>(until.remaining().count())));
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read_bytes = read(wake_fd_, &count, sizeof count);
}

void ConnectionServer::attend(base::Reporter& reporter) {
  accept_some();
  reap();
  drop_overdue();
  tell(reporter);
}

void ConnectionServer::stop_all(Clock::duration patience) {
  listeners_.clear();
  drop_at_ = base::Deadline::after(patience);
  visit([](std::uint64_t, ServedConnection& connection) { connection.stop(); });
}

bool ConnectionServer::is_empty() const {
  const std::lock_guard lock(mutex_);
  return clients_.empty();
}

bool ConnectionServer::admit(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto logged_in = std::count_if(clients_.begin(), clients_.end(), [](const auto& client) {
    return client.second.is_logged_in && !client.second.has_ended;
  });
  if (static_cast<std::size_t>(logged_in) >= bounds_.max_logged_in) return false;
  clients_.at(id).is_logged_in = true;
  return true;
}

void ConnectionServer::note(std::string line) {
  {
    const std::lock_guard lock(mutex_);
    if (lines_.size() < kMaxLines) {
      lines_.push_back(std::move(line));
    } else {
      ++left_out_lines_;
    }
  }
  wake();
}

void ConnectionServer::visit(const std::function<void(std::uint64_t, ServedConnection&)>& each) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, client] : clients_) {
    if (!client.has_ended) each(id, *client.connection);
  }
}

bool ConnectionServer::has_room() const {
  const std::lock_guard lock(mutex_);
  return clients_.size() < bounds_.max_logged_in + bounds_.max_not_logged_in + kMaxEnding;
}

bool ConnectionServer::may_accept() const {
  return Clock::now() >= accept_again_at_ && has_room();
}

void ConnectionServer::accept_some() {
  for (const Listener& listener : listeners_) {
    for (int i = 0; i < kMaxAcceptedInARow && may_accept(); ++i) {
      auto accepted = listener.accept();
      if (!accepted) return turned_away(accepted.error().message);
      if (!*accepted) break;
      make_room();
      serve(**std::move(accepted));
    }
  }
}

void ConnectionServer::make_room() {
  const std::lock_guard lock(mutex_);
  std::size_t waiting = 0;
  std::map<std::string, std::size_t> per_address;
  for (const auto& [id, client] : clients_) {
    if (!client.waits_for_login()) continue;
    ++waiting;
    ++per_address[client.peer_address];
  }
  if (waiting < bounds_.max_not_logged_in) return;
  std::size_t most = 0;
  for (const auto& [address, count] : per_address) most = std::max(most, count);
  const auto oldest = std::find_if(clients_.begin(), clients_.end(), [&](const auto& client) {
    return client.second.waits_for_login() && per_address[client.second.peer_address] == most;
  });
  oldest->second.is_dropped = true;
  oldest->second.connection->drop();
}

void ConnectionServer::serve(Accepted accepted) {
  const std::uint64_t id = next_id_++;
  std::string peer_address = accepted.peer_address();
  auto opened = open_(id, std::move(accepted));
  if (!opened) return turned_away(opened.error().message);
  start_thread(id, {.connection = *std::move(opened), .peer_address = std::move(peer_address)});
}

void ConnectionServer::start_thread(std::uint64_t id, Client client) {
  std::string trouble;
  {
    const std::lock_guard lock(mutex_);
    Client& kept = clients_[id];
    kept = std::move(client);
    try {
      kept.thread = std::thread([this, &kept] { run_client(kept); });
    } catch (const std::system_error& error) {
      clients_.erase(id);
      trouble = fmt::format("no thread for a connection: {}", error.what());
    }
  }
  if (!trouble.empty()) turned_away(std::move(trouble));
}

/// In its thread. It stays where it is until it has ended.
void ConnectionServer::run_client(Client& client) {
  client.connection->run();
  {
    const std::lock_guard lock(mutex_);
    client.has_ended = true;
  }
  wake();
}

/// What hinders one hinders the next one too.
void ConnectionServer::turned_away(std::string line) {
  accept_again_at_ = Clock::now() + kAcceptAgainAfter;
  note(std::move(line));
}

void ConnectionServer::reap() {
  std::vector<Client> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto client = clients_.begin(); client != clients_.end();) {
      if (client->second.has_ended) {
        ended.push_back(std::move(client->second));
        client = clients_.erase(client);
      } else {
        ++client;
      }
    }
  }
  for (Client& client : ended) client.thread.join();
}

void ConnectionServer::drop_overdue() {
  if (!drop_at_ || !drop_at_->passed()) return;
  drop_at_.reset();
  visit([](std::uint64_t, ServedConnection& connection) { connection.drop(); });
}

void ConnectionServer::tell(base::Reporter& reporter) {
  std::deque<std::string> lines;
  std::size_t left_out = 0;
  {
    const std::lock_guard lock(mutex_);
    lines.swap(lines_);
    left_out = std::exchange(left_out_lines_, 0);
  }
  for (const std::string& line : lines) reporter.info(line);
  if (left_out > 0) reporter.info(fmt::format("{} more lines were left out", left_out));
}

}  // namespace standfast::net

#include "witness/server.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace standfast::witness {

using base::Clock;
using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr base::Seconds kKeepSlotsEach(1);
constexpr base::Seconds kEndingPatience(10);     ///< beyond the sessions' own, for last words and disks
constexpr std::uint64_t kFilesOfConnection = 3;  ///< its socket, an event, a segment

std::uint64_t full_transaction(std::uint32_t epoch, std::uint32_t transaction) {
  return (std::uint64_t{epoch} << 32U) | transaction;
}

/// The older one of two transactions; 0 is none.
void take_older(std::uint32_t& epoch, std::uint32_t& transaction, std::uint32_t other_epoch,
                std::uint32_t other) {
  if (other == 0) return;
  if (transaction != 0 && full_transaction(epoch, transaction) <= full_transaction(other_epoch, other))
    return;
  epoch = other_epoch;
  transaction = other;
}

Result<void> refuse_clear_text(const std::vector<net::ListenAddress>& addresses, const ServerAccess& access) {
  if (access.tls || access.cleartext == Cleartext::kAllowed) return base::ok();
  const auto reached = std::find_if(addresses.begin(), addresses.end(), [](const auto& address) {
    return net::reach_of(address) == net::Reach::kNetwork;
  });
  if (reached == addresses.end()) return base::ok();
  return Error(ErrorCode::kUsage,
               fmt::format("{} can be reached from other hosts, and there is no certificate for TLS",
                           to_string(*reached)),
               "Give --tls-cert and --tls-key, or allow clear text with --allow-cleartext.");
}

}  // namespace

Server::Server(env::FileSystem& files, StoreNews& news, store::Slots& slots, ServerOptions options)
    : files_(files),
      news_(news),
      slots_(slots),
      options_(std::move(options)),
      connections_(
          {.max_logged_in = options_.max_connections, .max_not_logged_in = options_.max_not_logged_in},
          [this](std::uint64_t id, net::Accepted accepted) {
            return open_connection(id, std::move(accepted));
          }),
      access_(options_) {}

Result<std::unique_ptr<Server>> Server::open(env::FileSystem& files, StoreNews& news, store::Slots& slots,
                                             ServerOptions options) {
  std::unique_ptr<Server> server(new Server(files, news, slots, std::move(options)));
  TRY(server->connections_.allow_open_files(kFilesOfConnection));
  // What was kept with the slots the upstream has been told of.
  server->has_heard_feedback_ = !slots.feedbacks().empty();
  TRY(server->reload());
  for (const net::ListenAddress& address : server->options_.listen) {
    TRY(server->connections_.listen(address));
    TRY(refuse_clear_text(server->addresses(), server->options_));
  }
  server->secret_ = TRY(ScramSecret::kept_in(files, server->options_.folder));
  return server;
}

Result<void> Server::reload() {
  ServerAccess access;
  {
    const std::lock_guard lock(mutex_);
    access = access_;
  }
  return reload(access);
}

Result<void> Server::reload(const ServerAccess& access) {
  auto read_users = std::make_shared<const ScramUsers>(TRY(ScramUsers::read(files_, access.users_file)));
  std::shared_ptr<const TlsContext> read_tls;
  if (access.tls) read_tls = TRY(TlsContext::open(files_, *access.tls));
  TRY(refuse_clear_text(addresses(), access));
  const std::lock_guard lock(mutex_);
  access_ = access;
  users_ = std::move(read_users);
  tls_ = std::move(read_tls);
  return base::ok();
}

std::shared_ptr<const TlsContext> Server::tls() const {
  const std::lock_guard lock(mutex_);
  return tls_;
}

std::shared_ptr<const ScramUsers> Server::users() const {
  const std::lock_guard lock(mutex_);
  return users_;
}

wal::ServeSession::Tls Server::tls_for(net::Reach reach) const {
  using Tls = wal::ServeSession::Tls;
  const std::lock_guard lock(mutex_);
  if (!access_.tls) return Tls::kNotOffered;
  const bool may_be_clear = reach == net::Reach::kLoopback || access_.cleartext == Cleartext::kAllowed;
  return may_be_clear ? Tls::kOffered : Tls::kRequired;
}

Result<std::unique_ptr<ServeConnection>> Server::open_connection(std::uint64_t id, net::Accepted accepted) {
  const auto tls = tls_for(accepted.reach);
  ConnectionHost& host = *this;
  return ServeConnection::open(
      host, ServeConnection::Options{.id = id,
                                     .accepted = std::move(accepted),
                                     .tls = tls,
                                     .authentication_timeout = options_.authentication_timeout,
                                     .wal_sender_timeout = options_.wal_sender_timeout,
                                     .stop_patience = options_.stop_patience});
}

/// Looks in the order opposite to that in which a connection puts what it hears, so that it finds it.
std::optional<pg::HotStandbyFeedback> Server::oldest_feedback() const {
  const bool has_heard_any = has_heard_feedback_;
  std::vector<pg::HotStandbyFeedback> feedbacks;
  connections_.for_each([&feedbacks](std::uint64_t, const ServeConnection& connection) {
    if (const auto feedback = connection.own_feedback()) feedbacks.push_back(*feedback);
  });
  const auto of_slots = slots_.feedbacks();
  feedbacks.insert(feedbacks.end(), of_slots.begin(), of_slots.end());
  if (feedbacks.empty() && !has_heard_any) return std::nullopt;
  pg::HotStandbyFeedback oldest;
  for (const pg::HotStandbyFeedback& each : feedbacks) {
    take_older(oldest.xmin_epoch, oldest.xmin, each.xmin_epoch, each.xmin);
    take_older(oldest.catalog_xmin_epoch, oldest.catalog_xmin, each.catalog_xmin_epoch, each.catalog_xmin);
  }
  return oldest;
}

std::vector<ServedStream> Server::streams() const {
  std::vector<ServedStream> streams;
  connections_.for_each([&streams](std::uint64_t, const ServeConnection& connection) {
    if (auto stream = connection.stream()) streams.push_back(*std::move(stream));
  });
  return streams;
}

Result<void> Server::run(base::Reporter& reporter, const env::StopEvent& stop, int reload_fd) {
  const std::uint64_t keep_bytes = slots_.max_keep_bytes();
  reporter.info(fmt::format("a replication slot may hold back {} of WAL",
                            keep_bytes == 0 ? "any amount" : base::format_bytes(keep_bytes)));
  while (!stop.is_set()) {
    connections_.wait(slots_due(), {stop.fd(), reload_fd});
    reload_if_asked(reload_fd, reporter);
    connections_.attend(reporter);
    keep_slots(reporter);
  }
  connections_.stop_all(options_.stop_patience + kEndingPatience);
  while (true) {
    connections_.attend(reporter);
    keep_slots(reporter);
    if (connections_.is_empty()) return slots_.save();
    connections_.wait(slots_due());
  }
}

base::Deadline Server::slots_due() const {
  return base::Deadline::at(slots_kept_at_ + kKeepSlotsEach);
}

void Server::reload_if_asked(int reload_fd, base::Reporter& reporter) {
  std::array<std::byte, 512> asked{};  // an eventfd's eight bytes, or a signalfd's records
  if (reload_fd < 0 || read(reload_fd, asked.data(), asked.size()) <= 0) return;
  const auto done = reload();
  if (done) return reporter.info("users, certificate and key are read again");
  reporter.warn(done.error().message, done.error().hint);
}

void Server::keep_slots(base::Reporter& reporter) {
  if (Clock::now() < slots_kept_at_ + kKeepSlotsEach) return;
  slots_kept_at_ = Clock::now();
  const auto lost = slots_.enforce_bound(*news_.view());
  if (lost) {
    for (const store::LostSlot& slot : *lost) {
      reporter.warn(
          fmt::format("replication slot \"{}\" is lost: it held back more WAL than its bound allows",
                      slot.name),
          "Make its standby anew, or let it fetch the WAL elsewhere; then drop the slot.");
      connections_.for_each([&slot](std::uint64_t id, ServeConnection& connection) {
        if (id == slot.user) connection.on_slot_lost();
      });
    }
  }
  const auto saved = lost ? slots_.save() : Result<void>(lost.error());
  const std::string trouble = saved ? "" : saved.error().message;
  if (!trouble.empty() && trouble != slots_trouble_) reporter.warn(trouble, saved.error().hint);
  slots_trouble_ = trouble;
}

}  // namespace standfast::witness

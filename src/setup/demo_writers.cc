#include "setup/demo_writers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kCommitTimeout{30};
constexpr base::Milliseconds kPoll{10};

}  // namespace

std::string DemoWriters::create_table() {
  return fmt::format("CREATE TABLE {} (session int, number int, PRIMARY KEY (session, number))", kTable);
}

Result<DemoWriters> DemoWriters::open(const client::ConnectOptions& server, std::size_t sessions,
                                      const env::Wait& wait) {
  DemoWriters writers;
  for (std::size_t i = 0; i < sessions; ++i) {
    auto connection = TRY(client::Connection::open(server, wait));
    // Standfast's own sessions wait for nobody; these are clients.
    TRY(connection.execute("SET synchronous_commit = on", wait));
    writers.shared_->connections.push_back(std::move(connection));
  }
  writers.shared_->sessions.resize(sessions);
  return writers;
}

DemoWriters::~DemoWriters() {
  if (!shared_) return;
  shared_->stop.set();
  end_with_their_server();
}

void DemoWriters::start() {
  for (std::size_t i = 0; i < shared_->connections.size(); ++i) {
    shared_->threads.emplace_back([shared = shared_.get(), i] { write_rows(*shared, i); });
  }
}

void DemoWriters::write_rows(Shared& shared, std::size_t index) {
  client::Connection& connection = shared.connections[index];
  Session& session = shared.sessions[index];
  while (true) {
    const std::string sql =
        fmt::format("INSERT INTO {} VALUES ({}, {})", kTable, index + 1, session.acknowledged + 1);
    const base::Stopwatch watch;
    auto done = connection.execute(sql, env::Wait::for_at_most(kCommitTimeout, &shared.stop));
    if (done && !connection.notices().empty())
      done = Error(ErrorCode::kSql, "a commit was not acknowledged: " + connection.notices().front().message);
    if (!done) {
      session.ended_by = std::move(done).error();
      shared.has_failed = true;
      return;
    }
    const auto elapsed = watch.elapsed();
    ++session.acknowledged;
    session.total += elapsed;
    session.longest = std::max(session.longest, elapsed);
    ++shared.acknowledged;
  }
}

Result<void> DemoWriters::wait_for(std::uint64_t acknowledged, const env::Wait& wait) {
  while (shared_->acknowledged < acknowledged) {
    if (shared_->has_failed) return first_failure();
    if (wait.deadline.passed()) {
      return Error(ErrorCode::kTimeout,
                   fmt::format("{} of {} commits were acknowledged in time", shared_->acknowledged.load(),
                               acknowledged),
                   "The disk may be very slow, or the witness does not acknowledge.");
    }
    if (env::wait_for(-1, 0, {wait.deadline.earlier(base::Deadline::after(kPoll)), wait.stop}) ==
        env::Ready::kStopped)
      return env::cancelled_error();
  }
  return base::ok();
}

/// The others end because they are told to.
Error DemoWriters::first_failure() {
  shared_->stop.set();
  for (const Session& session : end_with_their_server()) {
    if (session.ended_by && session.ended_by->code != ErrorCode::kCancelled)
      return session.ended_by->with_context("a session that commits rows");
  }
  return env::cancelled_error();
}

std::vector<DemoWriters::Session> DemoWriters::end_with_their_server() {
  for (std::thread& thread : shared_->threads) thread.join();
  shared_->threads.clear();
  return shared_->sessions;
}

}  // namespace standfast::setup

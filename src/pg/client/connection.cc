#include "pg/client/connection.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <libpq-fe.h>
#include <openssl/ssl.h>
#include <poll.h>

#include "pg/client/address_time.h"
#include "pg/client/copy_both.h"
#include "pg/client/errors.h"

namespace standfast::client {

using base::Error;
using base::ErrorCode;
using base::Result;

// ---------------------------------------------------------------- opening

Connection::Connection(pg_conn* connection)
    : connection_(connection), notices_(std::make_unique<std::vector<Notice>>()) {}
Connection::~Connection() {
  close();
}
Connection::Connection(Connection&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)),
      copy_(std::move(other.copy_)),
      copy_both_(std::move(other.copy_both_)),
      ended_by_(std::move(other.ended_by_)),
      notices_(std::move(other.notices_)) {}
Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(connection_, other.connection_);
  std::swap(copy_, other.copy_);
  std::swap(copy_both_, other.copy_both_);
  std::swap(ended_by_, other.ended_by_);
  std::swap(notices_, other.notices_);
  return *this;
}

void Connection::close() {
  copy_ = {};
  copy_both_.reset();
  if (connection_ != nullptr) PQfinish(std::exchange(connection_, nullptr));
}

namespace {

// In place of libpq's own receiver, which prints to standard error.
void keep_notice(void* notices, const pg_result* result) {
  auto& list = *static_cast<std::vector<Notice>*>(notices);
  if (list.size() >= kMaxNotices) return;
  const char* severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (message == nullptr) return;
  list.push_back({severity != nullptr && std::string_view(severity) == "WARNING", message});
}

}  // namespace

Result<Connection> Connection::open(const ConnectOptions& options, const env::Wait& wait) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  const auto add = [&](const char* keyword, const char* value) {
    keywords.push_back(keyword);
    values.push_back(value);
  };
  add("fallback_application_name", "standfast");
  add("client_encoding", "UTF8");
  // What another role made in the database must not stand in the way of what statements name without a
  // schema. A walsender runs no statements, and what it is started with is kept for the standby.
  const bool is_replication = std::ranges::any_of(
      options.parameters, [](const auto& parameter) { return parameter.first == "replication"; });
  const char* own_options = std::getenv("PGOPTIONS");
  // And what we write for ourselves waits for no synchronous standby, which may be the one that is missing.
  const std::string pinned = fmt::format("{} -c search_path=pg_catalog -c synchronous_commit=local",
                                         own_options != nullptr ? own_options : "");
  if (!is_replication) add("options", pinned.c_str());
  for (const auto& [keyword, value] : options.parameters) add(keyword.c_str(), value.c_str());
  if (options.password) add("password", options.password->reveal().c_str());
  keywords.push_back(nullptr);
  values.push_back(nullptr);

  Connection connection(PQconnectStartParams(keywords.data(), values.data(), options.expand_dbname ? 1 : 0));
  pg_conn* raw = connection.connection_;
  if (raw == nullptr) return Error(ErrorCode::kConnect, "out of memory");
  PQsetNoticeReceiver(raw, keep_notice, connection.notices_.get());

  const AddressTime time(raw, wait);
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (PQstatus(raw) != CONNECTION_BAD && state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) break;
    time.begin();
    switch (env::wait_for(PQsocket(raw), state == PGRES_POLLING_READING ? POLLIN : POLLOUT, wait)) {
      case env::Ready::kYes:
        break;
      case env::Ready::kStopped:
        return env::cancelled_error();
      case env::Ready::kTimeout: {
        const char* host = PQhost(raw);
        Error error(ErrorCode::kTimeout,
                    std::string("no answer from ") + (host != nullptr ? host : "the server") + " port " +
                        PQport(raw) + " in time",
                    "Check the address, that the server listens there, and that a firewall does not drop the "
                    "packets.");
        error.retryable = true;
        return error;
      }
    }
    state = PQconnectPoll(raw);
  }
  if (PQstatus(raw) != CONNECTION_OK) {
    return connect_error(PQerrorMessage(raw), PQconnectionNeedsPassword(raw) != 0);
  }
  time.end();
  if (PQsetnonblocking(raw, 1) != 0)
    return Error(ErrorCode::kConnect, "could not set the connection non-blocking");
  return connection;
}

// ---------------------------------------------------------------- statements

Error Connection::broken(ErrorCode code, std::string message) {
  close();
  Error error(code, std::move(message));
  error.retryable = code == ErrorCode::kConnect || code == ErrorCode::kTimeout;
  return error;
}

Result<void> Connection::wait_socket(short events, const env::Wait& wait) {
  switch (env::wait_for(PQsocket(connection_), events, wait)) {
    case env::Ready::kYes:
      return base::ok();
    case env::Ready::kTimeout:
      return broken(ErrorCode::kTimeout, "the server did not answer in time");
    case env::Ready::kStopped:
      break;
  }
  close();
  return env::cancelled_error();
}

Result<void> Connection::flush(const env::Wait& wait) {
  while (true) {
    const int left = PQflush(connection_);
    if (left == 0) return base::ok();
    if (left < 0) return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
    // The server may be sending to us while we send to it: take what it says, or both sides wait forever.
    TRY(wait_socket(POLLIN | POLLOUT, wait));
    if (PQconsumeInput(connection_) == 0) {
      return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
    }
  }
}

Result<pg_result*> Connection::wait_result(const env::Wait& wait) {
  TRY(flush(wait));
  while (PQisBusy(connection_) != 0) {
    if (!has_undelivered_tls_bytes()) TRY(wait_socket(POLLIN, wait));
    if (PQconsumeInput(connection_) == 0) {
      return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
    }
  }
  return PQgetResult(connection_);
}

Result<Rows> Connection::collect(const env::Wait& wait) {
  std::optional<Rows> last;
  std::optional<Error> failure;
  while (pg_result* result = TRY(wait_result(wait))) {
    Rows rows(result);
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
      last = std::move(rows);
    } else if (status == PGRES_FATAL_ERROR) {
      if (!failure) failure = server_error(*result);
    } else {
      return broken(ErrorCode::kProtocol, "the server answered a statement with a copy stream");
    }
    if (PQstatus(connection_) == CONNECTION_BAD) break;
  }
  if (PQstatus(connection_) == CONNECTION_BAD) {
    if (!failure) return broken(ErrorCode::kConnect, "the server closed the connection");
    close();
  }
  if (failure) return *std::move(failure);
  if (!last) return broken(ErrorCode::kProtocol, "the server gave no result");
  return *std::move(last);
}

Error Connection::closed_error() const {
  return ended_by_.value_or(Error(ErrorCode::kConnect, "the connection is closed"));
}

Result<void> Connection::check_is_free() const {
  if (!is_open()) return closed_error();
  if (copy_both_) return Error(ErrorCode::kProtocol, "a stream has the connection, which takes no statement");
  return base::ok();
}

Result<Rows> Connection::query(const std::string& sql, std::span<const std::optional<std::string>> parameters,
                               const env::Wait& wait) {
  TRY(check_is_free());
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters) values.push_back(parameter ? parameter->c_str() : nullptr);
  if (PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                        nullptr, nullptr, 0) == 0) {
    return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
  }
  return collect(wait);
}

Result<Rows> Connection::query(const std::string& sql, const env::Wait& wait) {
  return query(sql, {}, wait);
}

Result<Rows> Connection::simple_query(const std::string& sql, const env::Wait& wait) {
  TRY(check_is_free());
  if (PQsendQuery(connection_, sql.c_str()) == 0) {
    return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
  }
  return collect(wait);
}

Result<void> Connection::execute(const std::string& sql, const env::Wait& wait) {
  TRY(simple_query(sql, wait));
  return base::ok();
}

Result<void> Connection::execute_secret(const base::Secret& sql, const std::string& what,
                                        const env::Wait& wait) {
  auto result = simple_query(sql.reveal(), wait);
  if (result) return base::ok();
  Error error = std::move(result).error();
  error.message = "could not " + what + (error.sqlstate.empty() ? "" : " (SQLSTATE " + error.sqlstate + ")");
  error.hint = "The server's own message may hold the statement and is not shown; its log has the reason.";
  return error;
}

Result<std::string> Connection::query_value(const std::string& sql, const env::Wait& wait) {
  return query_value(sql, {}, wait);
}

Result<std::string> Connection::query_value(const std::string& sql,
                                            std::span<const std::optional<std::string>> parameters,
                                            const env::Wait& wait) {
  const Rows rows = TRY(query(sql, parameters, wait));
  if (rows.count() < 1 || rows.column_count() < 1)
    return Error(ErrorCode::kProtocol, "the server returned no row for: " + sql);
  return std::string(rows.text(0, 0));
}

// ---------------------------------------------------------------- copy

Result<void> Connection::send_query(const std::string& sql, const env::Wait& wait) {
  TRY(check_is_free());
  if (PQsendQuery(connection_, sql.c_str()) == 0) {
    return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
  }
  return flush(wait);
}

Result<Connection::Answer> Connection::send_and_begin(const std::string& sql, const env::Wait& wait) {
  TRY(send_query(sql, wait));
  return next_result(wait);
}

/// What became of the connection after a call of the one that has it.
template <typename T>
Result<T> Connection::settled(Result<T> result) {
  if (copy_both_->is_broken()) {
    ended_by_ = copy_both_->last_words();
    close();
  } else if (copy_both_->is_over()) {
    copy_both_.reset();
  }
  return result;
}

Result<Connection::Answer> Connection::begin_copy_both(const std::string& sql, const env::Wait& wait) {
  TRY(check_is_free());
  auto wire = Wire::of(*connection_);
  if (!wire) return send_and_begin(sql, wait);
  copy_both_ = std::make_unique<CopyBoth>(*connection_, *std::move(wire), *notices_);
  TRY(settled(copy_both_->send_query(sql, wait)));
  return settled(copy_both_->next_result(wait));
}

Result<Connection::Answer> Connection::next_result(const env::Wait& wait) {
  if (connection_ == nullptr) return closed_error();
  if (copy_both_) return settled(copy_both_->next_result(wait));
  pg_result* result = TRY(wait_result(wait));
  Answer answer;
  if (result == nullptr) return answer;
  Rows rows(result);
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_FATAL_ERROR) {
    Error error = server_error(*result);
    // libpq begins nothing new before it has given all results of what was refused.
    while (connection_ != nullptr && PQstatus(connection_) != CONNECTION_BAD) {
      const auto next = wait_result(wait);
      if (!next || *next == nullptr) return error;
      const Rows left(*next);
      // Of a copy it would give results without end.
      if (PQresultStatus(*next) != PGRES_FATAL_ERROR) close();
    }
    close();
    return error;
  }
  if (status == PGRES_TUPLES_OK) {
    answer.kind = ResultKind::kRows;
  } else if (status == PGRES_COMMAND_OK) {
    answer.kind = ResultKind::kCommandDone;
  } else if (status == PGRES_COPY_OUT) {
    answer.kind = ResultKind::kCopyOut;
  } else if (status == PGRES_COPY_BOTH || status == PGRES_COPY_IN) {
    // The latter: of a copy both ways the server has ended its half, and waits for ours.
    answer.kind = ResultKind::kCopyBoth;
  } else {
    return broken(ErrorCode::kProtocol, "the server sent a result of an unexpected kind");
  }
  answer.rows = std::move(rows);
  return answer;
}

void OwnedCopy::Free::operator()(char* memory) const {
  PQfreemem(memory);
}

OwnedCopy Connection::take_copy() {
  return std::move(copy_);
}

// OpenSSL may hold bytes that the socket no longer has, so that poll() would not tell of them.
bool Connection::has_undelivered_tls_bytes() const {
  auto* tls = static_cast<SSL*>(PQsslStruct(connection_, "OpenSSL"));
  return tls != nullptr && SSL_pending(tls) > 0;
}

Result<Connection::CopyMessage> Connection::receive_copy(const env::Wait& wait) {
  if (connection_ == nullptr) return closed_error();
  if (copy_both_) return settled(copy_both_->receive_copy(wait));
  copy_ = {};
  while (true) {
    char* buffer = nullptr;
    const int length = PQgetCopyData(connection_, &buffer, 1);
    if (length > 0) {
      copy_ = {std::unique_ptr<char, OwnedCopy::Free>(buffer), static_cast<std::size_t>(length)};
      return CopyMessage{CopyEvent::kData, copy_.bytes()};
    }
    if (length == -1) return CopyMessage{CopyEvent::kEnd, {}};
    if (length == -2) return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
    if (!has_undelivered_tls_bytes()) {
      switch (env::wait_for(PQsocket(connection_), POLLIN, wait)) {
        case env::Ready::kYes:
          break;
        case env::Ready::kTimeout:
          return CopyMessage{CopyEvent::kTimeout, {}};
        case env::Ready::kStopped:
          close();
          return env::cancelled_error();
      }
    }
    if (PQconsumeInput(connection_) == 0) {
      return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
    }
  }
}

Result<void> Connection::send_copy(base::Bytes data, const env::Wait& wait) {
  if (connection_ == nullptr) return closed_error();
  if (copy_both_) return settled(copy_both_->send_copy(data, wait));
  while (true) {
    const int sent =
        PQputCopyData(connection_, reinterpret_cast<const char*>(data.data()), static_cast<int>(data.size()));
    if (sent < 0) return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
    if (sent > 0) return flush(wait);
    TRY(flush(wait));
  }
}

Result<void> Connection::send_copy_end(const env::Wait& wait) {
  if (connection_ == nullptr) return closed_error();
  if (copy_both_) return settled(copy_both_->send_copy_end(wait));
  while (true) {
    const int sent = PQputCopyEnd(connection_, nullptr);
    if (sent < 0) return broken(ErrorCode::kConnect, one_line(PQerrorMessage(connection_)));
    if (sent > 0) return flush(wait);
    TRY(flush(wait));
  }
}

}  // namespace standfast::client

#include "pg/client/copy_both.h"

#include <string>
#include <utility>

#include <fmt/format.h>
#include <libpq-fe.h>

#include "pg/client/errors.h"
#include "pg/format/backend_reply.h"

namespace standfast::client {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr int kMaxRows = 1000;  // a timeline's end is told in one

Error not_understood(char kind) {
  return {ErrorCode::kProtocol, fmt::format("the server sent a message \"{}\" where none may be", kind)};
}

Result<void> describe(pg_result& result, base::Bytes description) {
  const auto names = TRY(pg::parse_row_description(description));
  std::vector<std::string> texts(names.begin(), names.end());
  std::vector<PGresAttDesc> columns(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) columns[i].name = texts[i].data();
  if (PQsetResultAttrs(&result, static_cast<int>(columns.size()), columns.data()) == 0) {
    return Error(ErrorCode::kProtocol, "the server described rows that may not be");
  }
  return base::ok();
}

Result<void> add_row(pg_result& result, base::Bytes row) {
  const auto values = TRY(pg::parse_data_row(row));
  const int number = PQntuples(&result);
  if (number >= kMaxRows || static_cast<int>(values.size()) != PQnfields(&result)) {
    return Error(ErrorCode::kProtocol, "the server sent rows that do not fit what it was asked");
  }
  for (int column = 0; const auto& value : values) {
    std::string text(value.value_or(""));
    const int length = value ? static_cast<int>(text.size()) : -1;
    if (PQsetvalue(&result, number, column++, text.data(), length) == 0) {
      return Error(ErrorCode::kProtocol, "the server sent a row that may not be");
    }
  }
  return base::ok();
}

}  // namespace

/// Where the bytes are no messages any more a new connection mends it.
Error CopyBoth::broken(Error error) {
  state_ = State::kBroken;
  error.retryable |= error.code == ErrorCode::kProtocol;
  return error;
}

template <typename T>
Result<T> CopyBoth::unless_broken(Result<T> result) {
  if (!result) return broken(std::move(result).error());
  return result;
}

// ---------------------------------------------------------------- messages

Result<std::optional<Wire::Message>> CopyBoth::next(const env::Wait& wait) {
  if (std::exchange(is_lent_, false)) wire_.drop_front();
  while (true) {
    auto message = TRY(unless_broken(wire_.front(wait)));
    if (!message) return message;
    if (wait.stopped()) return broken(env::cancelled_error());
    if (message->kind == 'N') {
      const auto report = TRY(unless_broken(pg::parse_report(message->body)));
      if (notices_.size() < kMaxNotices) {
        notices_.push_back({report.severity == pg::Severity::kWarning, report.message});
      }
    } else if (message->kind != 'S' && message->kind != 'A') {
      return message;
    }
    wire_.drop_front();
  }
}

Result<Wire::Message> CopyBoth::expect(const env::Wait& wait) {
  bool was_asked = false;  // the first look may have been without one at the socket
  while (true) {
    const auto message = TRY(next(wait));
    if (!message) {
      if (std::exchange(was_asked, true)) break;
      continue;
    }
    const bool is_left_over = state_ != State::kAnswering && (message->kind == 'd' || message->kind == 'c');
    if (!is_left_over) return *message;
    wire_.drop_front();
    if (wait.deadline.passed()) break;
  }
  Error error(ErrorCode::kTimeout, "the server did not answer in time");
  error.retryable = true;
  return broken(std::move(error));
}

void CopyBoth::end_at_ready() {
  state_ = State::kIdle;
  const auto message = next(env::Wait{base::Deadline::at(base::Clock::now())});
  if (message && !*message && wire_.is_empty()) return;
  state_ = State::kBroken;
  if (!message) {
    last_words_ = message.error();
  } else if (*message && (*message)->kind == 'E') {
    const auto report = pg::parse_report((*message)->body);
    if (report) last_words_ = server_error(*report);
  }
}

// ---------------------------------------------------------------- answers

Result<void> CopyBoth::send_query(std::string_view statement, const env::Wait& wait) {
  state_ = State::kAnswering;
  return unless_broken(
      wire_.send(base::as_bytes(pg::encode_message('Q', std::string(statement) + '\0')), wait));
}

Result<Connection::Answer> CopyBoth::next_result(const env::Wait& wait) {
  Connection::Answer answer;
  if (state_ == State::kIdle) return answer;
  if (state_ == State::kServerEnded) {
    answer.kind = Connection::ResultKind::kCopyBoth;  // it waits for our half
    return answer;
  }
  const Wire::Message message = TRY(expect(wait));
  switch (message.kind) {
    case 'E':
      return read_error(message, wait);
    case 'W':
      state_ = State::kCopying;
      answer.kind = Connection::ResultKind::kCopyBoth;
      break;
    case 'T':
      answer.rows = TRY(read_rows(message, wait));
      answer.kind = Connection::ResultKind::kRows;
      return answer;
    case 'C':
      answer.kind = Connection::ResultKind::kCommandDone;
      break;
    case 'Z':
      wire_.drop_front();
      end_at_ready();
      return answer;
    default:
      return broken(not_understood(message.kind));
  }
  wire_.drop_front();
  return answer;
}

Result<Rows> CopyBoth::read_rows(const Wire::Message& description, const env::Wait& wait) {
  pg_result* result = PQmakeEmptyPGresult(&connection_, PGRES_TUPLES_OK);
  Rows rows(result);
  TRY(unless_broken(describe(*result, description.body)));
  wire_.drop_front();
  while (true) {
    const Wire::Message message = TRY(expect(wait));
    if (message.kind == 'E') return read_error(message, wait);
    if (message.kind == 'D') {
      TRY(unless_broken(add_row(*result, message.body)));
    } else if (message.kind != 'C') {
      return broken(not_understood(message.kind));
    }
    wire_.drop_front();
    if (message.kind == 'C') return rows;
  }
}

/// What a statement failed with; the connection takes another one only after ReadyForQuery.
Error CopyBoth::read_error(const Wire::Message& message, const env::Wait& wait) {
  const auto report = unless_broken(pg::parse_report(message.body));
  if (!report) return report.error();
  wire_.drop_front();
  if (report->severity == pg::Severity::kFatal) return broken(server_error(*report));
  while (true) {
    const auto next = expect(wait);
    if (!next) break;
    const char kind = next->kind;
    wire_.drop_front();
    if (kind == 'Z') {
      end_at_ready();
      break;
    }
  }
  return server_error(*report);
}

// ---------------------------------------------------------------- the copy

Result<Connection::CopyMessage> CopyBoth::receive_copy(const env::Wait& wait) {
  const Connection::CopyMessage end{Connection::CopyEvent::kEnd, {}};
  if (state_ != State::kCopying && state_ != State::kWeEnded) return end;
  auto message = TRY(next(wait));
  while (message && message->kind == 'd' && message->body.empty()) {  // as libpq, which gives none
    wire_.drop_front();
    message = TRY(next(wait));
  }
  if (!message) return Connection::CopyMessage{Connection::CopyEvent::kTimeout, {}};
  if (message->kind == 'd') {
    is_lent_ = true;
    return Connection::CopyMessage{Connection::CopyEvent::kData, message->body};
  }
  if (message->kind == 'c') {
    wire_.drop_front();
    state_ = state_ == State::kCopying ? State::kServerEnded : State::kAfterCopy;
  } else {
    // It ended the copy by what it says next, for next_result().
    state_ = State::kAfterCopy;
  }
  return end;
}

Result<void> CopyBoth::send_copy(base::Bytes data, const env::Wait& wait) {
  return unless_broken(wire_.send(base::as_bytes(pg::encode_message('d', base::as_text(data))), wait));
}

Result<void> CopyBoth::send_copy_end(const env::Wait& wait) {
  if (state_ == State::kCopying) {
    state_ = State::kWeEnded;
  } else if (state_ == State::kServerEnded) {
    state_ = State::kAfterCopy;
  } else {
    return base::ok();
  }
  return unless_broken(wire_.send(base::as_bytes(pg::encode_message('c', "")), wait));
}

}  // namespace standfast::client

#include "pg/client/reach.h"

#include <memory>
#include <vector>

#include <libpq-fe.h>
#include <poll.h>

namespace standfast::client {
namespace {

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};

/// Whatever comes after the connection itself stood: TLS, login, a refusal.
bool stands(const PGconn& connection) {
  const ConnStatusType status = PQstatus(&connection);
  return status != CONNECTION_BAD && status != CONNECTION_NEEDED && status != CONNECTION_STARTED;
}

}  // namespace

bool takes_connections(const ConnectOptions& options, const env::Wait& wait) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const auto& [keyword, value] : options.parameters) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  const std::unique_ptr<PGconn, Finish> connection(
      PQconnectStartParams(keywords.data(), values.data(), options.expand_dbname ? 1 : 0));
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (connection != nullptr && PQstatus(connection.get()) != CONNECTION_BAD) {
    if (stands(*connection)) return true;
    if (state != PGRES_POLLING_READING && state != PGRES_POLLING_WRITING) return false;
    const short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (env::wait_for(PQsocket(connection.get()), events, wait) != env::Ready::kYes) return false;
    state = PQconnectPoll(connection.get());
  }
  return false;
}

}  // namespace standfast::client

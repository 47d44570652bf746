// Logins of the administrator on the server of a data directory, from this host.
//
// Threading: one thread. Ownership: borrows the Cluster and the StopEvent, which outlive it.
// Fails with: kPrecondition when the server does not run or is not that of the directory, and whatever
// client::Connection::open() fails with.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/server/cluster.h"
#include "setup/hba_change.h"

namespace standfast::setup {

inline constexpr base::Seconds kConnectTimeout{15};
inline constexpr base::Seconds kStatementTimeout{60};
inline constexpr base::Seconds kReloadTimeout{30};

class AdminSession {
 public:
  AdminSession(const server::Cluster& cluster, std::optional<std::string> superuser,
               std::string maintenance_database, const env::StopEvent& stop)
      : cluster_(&cluster),
        superuser_(std::move(superuser)),
        maintenance_database_(std::move(maintenance_database)),
        stop_(&stop) {}

  base::Result<client::Connection> connect() { return connect_to(maintenance_database_); }
  base::Result<client::Connection> connect_to(const std::string& database);
  env::Wait wait() const { return env::Wait::for_at_most(kStatementTimeout, stop_); }

  /// Makes the server read its files, and waits until new connections go by them (a postmaster stamps the
  /// time, then loads pg_hba.conf, then takes the next connection). `wait` may leave the stop event out.
  base::Result<void> reload(const env::Wait& wait);
  env::Wait reload_wait() const { return env::Wait::for_at_most(kReloadTimeout, stop_); }

 private:
  base::Result<client::Connection> open(const std::string& database, const env::Wait& wait);
  std::string explanation_of(const std::string& database) const;

  const server::Cluster* cluster_;
  std::optional<std::string> superuser_;
  std::string maintenance_database_;
  const env::StopEvent* stop_;
};

/// Lines of pg_hba.conf, and of what it includes, that the server could not load; lines that it loads and
/// that merely never match are not among them.
base::Result<std::vector<HbaError>> hba_file_errors(client::Connection& admin, const env::Wait& wait);

/// The server's side of a change of pg_hba.conf.
class SessionHbaServer final : public HbaServer {
 public:
  explicit SessionHbaServer(AdminSession& session) : session_(&session) {}
  base::Result<std::vector<HbaError>> errors_of_file() override;
  base::Result<void> reload(Interruption interruption) override;

 private:
  AdminSession* session_;
};

}  // namespace standfast::setup

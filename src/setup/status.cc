#include "setup/status.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "setup/names.h"
#include "setup/pair.h"
#include "setup/sync_facts.h"
#include "setup/witness_stream.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string parameter_of(const client::ConnectOptions& options, std::string_view keyword) {
  std::string value;
  for (const auto& [name, text] : options.parameters) {
    if (name == keyword) value = text;
  }
  return value;
}

std::string describe(const client::ConnectOptions& options) {
  const std::string host = parameter_of(options, "host");
  const std::string port = parameter_of(options, "port");
  std::string text = host.empty() ? "the server" : fmt::format("the server at {}", host);
  if (!port.empty()) text += fmt::format(" port {}", port);
  return text;
}

struct Asked {
  ServerFacts facts;
  std::vector<KnownWitness> witnesses;
  std::vector<std::string> remote_apply;
  std::vector<ViewRows> views;
};

/// Without the database of Standfast, or leave to look into it, no witness is known.
void ask_for_witnesses(client::ConnectOptions options, client::Connection& connection, Asked& asked,
                       const env::Wait& wait) {
  const bool has_database =
      connection.query_value("SELECT count(*) FROM pg_database WHERE datname = 'standfast'", wait)
          .value_or("0") == "1";
  if (!has_database) return;
  auto in_database = client::Connection::open(options.set("dbname", std::string(kMonitorDatabase)), wait);
  if (!in_database) return;
  if (auto witnesses = read_witnesses(*in_database, wait)) asked.witnesses = *std::move(witnesses);
  if (asked.facts.is_in_recovery || asked.witnesses.empty()) return;
  if (auto found = read_remote_apply(connection, wait)) asked.remote_apply = std::move(found->places);
}

Result<Asked> ask(const client::ConnectOptions& options, Detail detail, const env::Wait& wait) {
  client::Connection connection = TRY(client::Connection::open(options, wait));
  Asked asked{
      .facts = TRY(read_server_facts(connection, wait)), .witnesses = {}, .remote_apply = {}, .views = {}};
  ask_for_witnesses(options, connection, asked, wait);
  if (detail == Detail::kViews) asked.views = TRY(read_views(connection, asked.facts, wait));
  return asked;
}

class Collector {
 public:
  Collector(const StatusOptions& options, const SetupEnvironment& environment)
      : options_(options), environment_(environment) {}

  Result<StatusReport> collect() {
    std::optional<Error> first_error;
    for (const client::ConnectOptions& server : options_.servers) {
      auto asked = ask(server, options_.detail, environment_.wait_at_most(options_.timeout));
      if (asked) {
        take(*std::move(asked));
        continue;
      }
      if (environment_.stop.is_set()) return env::cancelled_error();
      if (!first_error) first_error = asked.error();
      input_.unreachable.push_back({describe(server), std::move(asked).error(), Source::kUser});
    }
    if (input_.servers.empty() && options_.unfinished.empty()) {
      CHECK(first_error.has_value());
      return *std::move(first_error);
    }
    if (!first_error && !input_.servers.empty()) TRY(ask_upwards());
    for (const clone::Unfinished& unfinished : options_.unfinished)
      input_.unfinished.push_back(with_its_slot(unfinished, input_.servers, environment_));
    if (environment_.stop.is_set()) return env::cancelled_error();
    if (options_.not_running) input_.unreachable.push_back(*options_.not_running);
    input_.max_lag = options_.max_lag;
    StatusReport report = make_report(input_);
    report.views = std::move(views_);
    note_leftovers(report);
    return report;
  }

 private:
  void take(Asked asked) {
    // All members of a cluster have the same table; the primary's is the newest.
    if (!asked.facts.is_in_recovery || input_.witnesses.empty())
      input_.witnesses = std::move(asked.witnesses);
    if (!asked.facts.is_in_recovery) input_.remote_apply = std::move(asked.remote_apply);
    input_.servers.push_back(std::move(asked.facts));
    std::move(asked.views.begin(), asked.views.end(), std::back_inserter(views_));
  }

  void note_leftovers(StatusReport& report) const {
    for (const ServerFacts& server : input_.servers) {
      if (!server.is_behind_local_socket) continue;
      const auto path = leftover_of_promotion(server.system_id, server.port, environment_.files);
      if (path) report.notes.push_back(fmt::format("{}: {}", server.describe(), describe_leftover(*path)));
    }
  }

  bool has_primary() const {
    return std::any_of(input_.servers.begin(), input_.servers.end(),
                       [](const ServerFacts& server) { return !server.is_in_recovery; });
  }

  /// What a standby follows, and what that follows, up to the primary, when only standbys were named.
  Result<void> ask_upwards() {
    ServerFacts lowest = input_.servers.front();
    for (std::size_t hop = 0; hop < kMostHops && !has_primary(); ++hop) {
      const std::string what = hop == 0 ? "the primary" : fmt::format("what {} follows", lowest.describe());
      const Result<client::ConnectOptions> login = login_above(lowest, environment_);
      auto asked = login ? ask(*login, options_.detail, environment_.wait_at_most(options_.timeout))
                         : Result<Asked>(login.error());
      if (!asked) {
        if (environment_.stop.is_set()) return env::cancelled_error();
        input_.unreachable.push_back({what, std::move(asked).error(), Source::kPrimaryConninfo});
        break;
      }
      lowest = asked->facts;
      const bool is_known =
          std::any_of(input_.servers.begin(), input_.servers.end(), [&](const ServerFacts& server) {
            return server.host == lowest.host && server.port == lowest.port;
          });
      if (!is_known) take(*std::move(asked));
    }
    return base::ok();
  }

  const StatusOptions& options_;
  const SetupEnvironment& environment_;
  StatusInput input_;
  std::vector<ViewRows> views_;
};

}  // namespace

std::vector<clone::Unfinished> look_for_unfinished(const std::string& data_directory,
                                                   const SetupEnvironment& environment) {
  auto found = clone::find_unfinished(environment.files, data_directory);
  if (found) return *std::move(found);
  environment.reporter.warn(fmt::format("whether a copy into \"{}\" did not end is not known: {}",
                                        data_directory, found.error().message),
                            found.error().hint);
  return {};
}

Result<StatusReport> collect_status(const StatusOptions& options, const SetupEnvironment& environment) {
  CHECK(!options.servers.empty() || !options.unfinished.empty());
  return Collector(options, environment).collect();
}

}  // namespace standfast::setup

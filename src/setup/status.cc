#include "setup/status.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "setup/pair.h"

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
  std::vector<ViewRows> views;
};

Result<Asked> ask(const client::ConnectOptions& options, Detail detail, const env::Wait& wait) {
  client::Connection connection = TRY(client::Connection::open(options, wait));
  Asked asked{.facts = TRY(read_server_facts(connection, wait)), .views = {}};
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
    if (input_.servers.empty()) {
      CHECK(first_error.has_value());
      return *std::move(first_error);
    }
    if (!first_error) TRY(ask_upwards());
    input_.max_lag = options_.max_lag;
    StatusReport report = make_report(input_);
    report.views = std::move(views_);
    return report;
  }

 private:
  void take(Asked asked) {
    input_.servers.push_back(std::move(asked.facts));
    std::move(asked.views.begin(), asked.views.end(), std::back_inserter(views_));
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

Result<StatusReport> collect_status(const StatusOptions& options, const SetupEnvironment& environment) {
  CHECK(!options.servers.empty());
  return Collector(options, environment).collect();
}

}  // namespace standfast::setup

#include "setup/status.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

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
    if (!first_error) ask_upstream();
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

  /// A standby's primary, when only standbys were named.
  void ask_upstream() {
    const bool has_primary = std::any_of(input_.servers.begin(), input_.servers.end(),
                                         [](const ServerFacts& server) { return !server.is_in_recovery; });
    if (has_primary) return;
    const Result<client::ConnectOptions> monitor = monitor_of_primary(input_.servers.front());
    if (!monitor) {
      input_.unreachable.push_back({"the primary", monitor.error(), Source::kPrimaryConninfo});
      return;
    }
    auto asked = ask(*monitor, options_.detail, environment_.wait_at_most(options_.timeout));
    if (asked) {
      take(*std::move(asked));
    } else {
      input_.unreachable.push_back({"the primary", std::move(asked).error(), Source::kPrimaryConninfo});
    }
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

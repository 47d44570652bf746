#include "cli/which_cluster.h"

#include <cstdlib>

#include <fmt/format.h>

#include "base/number.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<std::string> take(const std::vector<server::FoundCluster>& found, std::optional<std::uint16_t> port,
                         CommandContext& context) {
  const auto chosen = TRY(server::choose_cluster(found, port));
  context.reporter.info("found " + chosen.describe());
  say_claims(found, context);
  return chosen.data_directory;
}

Result<std::optional<server::DebianName>> cluster_named(const std::string& text) {
  if (text.empty()) return std::optional<server::DebianName>();
  if (auto name = server::parse_debian_name(text)) return name;
  return Error(ErrorCode::kUsage, fmt::format("\"{}\" is not the name of one of Debian's clusters", text),
               "Give its major version and its name, as --cluster 15/main.");
}

}  // namespace

Result<std::string> named_data_directory(const std::string& option, CommandContext& context) {
  const char* variable = std::getenv("PGDATA");
  const std::string named = !option.empty() || variable == nullptr ? option : variable;
  if (named.empty()) return named;
  const std::string directory = TRY(server::data_directory_of(context.files, named));
  if (directory != env::absolute_path(named)) {
    context.reporter.info(fmt::format("\"{}\" holds the configuration; the data directory is \"{}\"",
                                      env::absolute_path(named), directory));
  }
  return directory;
}

Result<std::string> take_data_directory(const std::string& option, std::optional<std::uint16_t> port,
                                        CommandContext& context) {
  if (!option.empty() && port) {
    return Error(ErrorCode::kUsage, "-D and -p both say which cluster", "Leave one of them out.");
  }
  if (!port) {
    std::string named = TRY(named_data_directory(option, context));
    if (!named.empty()) return named;
  }
  return take(server::find_clusters(context.files), port, context);
}

void say_claims(const std::vector<server::FoundCluster>& found, CommandContext& context) {
  for (const server::FoundCluster& cluster : found) {
    if (!cluster.is_claimed) continue;
    context.reporter.info(fmt::format("a server seems to run in {} as well; root takes that only with -D",
                                      cluster.data_directory));
  }
}

Result<server::NewPlace> take_new_place(const NewClusterArguments& arguments,
                                        server::OnSeveralMajors on_several, CommandContext& context) {
  server::NewPlaceQuery query;
  query.cluster = TRY(cluster_named(arguments.cluster));
  query.bin_directory = arguments.bin_directory;
  // A cluster that is named does not go where PGDATA happens to lead.
  if (!query.cluster || !arguments.data_directory.empty()) {
    query.data_directory = TRY(named_data_directory(arguments.data_directory, context));
  }
  const bool is_named = query.cluster || !query.data_directory.empty();
  if (!is_named && on_several == server::OnSeveralMajors::kNewest) {
    const auto found = server::find_clusters(context.files);
    if (!found.empty()) query.data_directory = TRY(take(found, std::nullopt, context));
  }
  auto place = TRY(server::find_new_place(context.files, query, on_several));
  if (query.data_directory.empty()) {
    context.reporter.info(place.debian ? fmt::format("the cluster is Debian's {}, in {}",
                                                     place.debian->to_string(), place.data_directory)
                                       : fmt::format("the cluster's place is {}", place.data_directory));
  }
  return place;
}

Result<std::uint16_t> port_of(const std::string& text) {
  const auto port = base::parse_number<std::uint16_t>(text);
  if (port && *port > 0) return *port;
  return Error(ErrorCode::kUsage, "the port is not one", "Give a number from 1 to 65535 with --port.");
}

}  // namespace standfast::cli

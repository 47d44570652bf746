// Debian's own name and configuration for a standby.
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "env/folder_lock.h"
#include "pg/server/conf_tree.h"
#include "pg/server/control.h"
#include "pg/server/debian_create.h"
#include "setup/join_steps.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kRegisterTimeout{120};

server::DebianCreation creation_of(const JoinPlace& place) {
  server::DebianCreation creation;
  creation.name = *place.options.debian;
  creation.data_directory = place.target;
  creation.port = place.options.port;
  creation.socket_directory = place.options.socket_directory;
  creation.locale = server::locale_of_new_clusters();
  return creation;
}

}  // namespace

Result<std::optional<server::DebianCluster>> debian_cluster_of(const JoinPlace& place, pg::Version primary) {
  return server::find_debian_cluster(place.environment.files, place.target, primary.major());
}

Result<std::uint16_t> port_to_be(const JoinPlace& place, const PrimaryFacts& primary) {
  if (place.options.port) return *place.options.port;
  const auto debian = TRY(debian_cluster_of(place, primary.version));
  if (debian) {
    // The local configuration stays, and what ALTER SYSTEM set in the directory before goes with that one.
    const auto conf = TRY(server::ConfTree::read(place.environment.files,
                                                 debian->configuration_directory + "/postgresql.conf"));
    const std::string text = conf.get("port").value_or("5432");
    std::uint16_t port = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
    return parsed.ec == std::errc() ? port : std::uint16_t{5432};
  }
  if (place.options.debian) return std::uint16_t{0};
  return primary.port_is_by_alter_system ? std::uint16_t{5432} : primary.configured_port;
}

Result<bool> is_to_be_registered(const JoinPlace& place, pg::Version primary) {
  if (!place.options.debian || TRY(debian_cluster_of(place, primary))) return false;
  if (place.options.debian->major == primary.major()) return true;
  return Error(ErrorCode::kVersion,
               fmt::format("the primary runs PostgreSQL {}, and {} is a cluster of {}", primary.to_string(),
                           place.options.debian->to_string(), place.options.debian->major),
               fmt::format("Name one of its major version: --cluster {}/{}.", primary.major(),
                           place.options.debian->name));
}

Result<bool> take_back_half_registered(const JoinPlace& place) {
  const bool is_left =
      place.options.debian && TRY(server::is_half_made(place.environment.files, place.target));
  if (!is_left || place.options.mode == RunMode::kDryRun) return is_left;
  const env::FolderLock lock = TRY(env::FolderLock::take(env::parent_of(place.target)));
  TRY(server::take_back_half_made(place.environment.files, place.target,
                                  place.environment.wait_at_most(kRegisterTimeout)));
  place.environment.reporter.info("took back what a run that was killed had begun here");
  return false;
}

std::string describe_registration(const JoinPlace& place) {
  return fmt::format("would make it Debian's cluster {}: {}", place.options.debian->to_string(),
                     fmt::join(server::create_arguments(creation_of(place)), " "));
}

Result<void> register_standby(const JoinPlace& place) {
  const std::string parent = env::parent_of(place.target);
  TRY(env::make_directories(place.environment.files, parent, 0755));
  const env::FolderLock lock = TRY(env::FolderLock::take(parent));
  TRY(server::register_debian_cluster(place.environment.files, creation_of(place),
                                      place.environment.wait_at_most(kRegisterTimeout)));
  place.environment.reporter.info(
      fmt::format("made it Debian's cluster {}, with its own configuration in /etc/postgresql/{}",
                  place.options.debian->to_string(), place.options.debian->to_string()));
  return base::ok();
}

void unregister_standby(const JoinPlace& place) {
  const auto done = server::unregister_debian_cluster(place.environment.files, *place.options.debian,
                                                      place.target, env::Wait::for_at_most(kRegisterTimeout));
  if (done) return;
  place.environment.reporter.warn(fmt::format("Debian's cluster {} is left without a data directory: {}",
                                              place.options.debian->to_string(), done.error().message),
                                  fmt::format("Run this again, or take it away: pg_dropcluster {} {}",
                                              place.options.debian->major, place.options.debian->name));
}

}  // namespace standfast::setup

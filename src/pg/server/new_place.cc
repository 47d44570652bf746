#include "pg/server/new_place.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/format/versions.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr const char* kUsualName = "main";

bool is_supported(int major) {
  return major >= pg::Version::kOldestMajor && major <= pg::Version::kNewestMajor;
}

std::vector<int> pgdg_majors(env::FileSystem& files, const NewPlaceSources& sources) {
  constexpr std::string_view kPrefix = "pgsql-";
  std::vector<int> majors;
  for (const std::string& name : files.list(sources.pgdg_parent).value_or({})) {
    const auto version =
        name.starts_with(kPrefix) ? pg::Version::parse(name.substr(kPrefix.size())) : std::nullopt;
    if (version && files.inspect_following(sources.pgdg_parent + "/" + name + "/bin/postgres").value_or({})) {
      majors.push_back(version->major());
    }
  }
  return majors;
}

Result<NewPlace> place_of_debian(env::FileSystem& files, const DebianName& name, const std::string& named,
                                 const DebianPlaces& places) {
  if (!has_postgresql_common(places)) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("{} is a cluster of Debian's, and pg_createcluster is not on this host",
                             name.to_string()),
                 "Install the package postgresql-common, or name a data directory with -D.");
  }
  NewPlace place{named, name};
  if (!named.empty()) return place;
  const auto registered = registered_debian_cluster(files, name, places);
  place.data_directory =
      registered ? TRY(data_directory_of_configuration(files, registered->configuration_directory))
                 : debian_default_place(files, name, places);
  return place;
}

/// Whether the programs that are named, if any, are those that pg_createcluster takes.
bool uses_debians_programs(env::FileSystem& files, const std::optional<std::string>& bin_directory, int major,
                           const DebianPlaces& places) {
  if (!bin_directory) return true;
  const auto named = files.real_path(*bin_directory);
  const auto theirs = files.real_path(fmt::format("{}/{}/bin", places.server_programs, major));
  return named && theirs && *named == *theirs;
}

Result<int> one_of(std::vector<int> majors, OnSeveralMajors on_several, std::string_view way_out) {
  std::sort(majors.begin(), majors.end());
  if (majors.size() == 1 || on_several == OnSeveralMajors::kNewest) return majors.back();
  return Error(
      ErrorCode::kUsage,
      fmt::format("PostgreSQL {} are on this host, and no data directory is named", fmt::join(majors, ", ")),
      std::string(way_out));
}

}  // namespace

Result<NewPlace> find_new_place(env::FileSystem& files, const NewPlaceQuery& query,
                                OnSeveralMajors on_several, const NewPlaceSources& sources) {
  if (query.cluster) {
    if (!uses_debians_programs(files, query.bin_directory, query.cluster->major, sources.debian)) {
      return Error(
          ErrorCode::kUsage,
          fmt::format("{} would not run with the programs in \"{}\"", query.cluster->to_string(),
                      *query.bin_directory),
          "Debian's clusters run with the programs of Debian's packages: leave out --pg-bin, or --cluster.");
    }
    return place_of_debian(files, *query.cluster, query.data_directory, sources.debian);
  }
  const bool has_debian = has_postgresql_common(sources.debian);
  std::vector<int> majors = debian_majors(files, sources.debian);
  if (!query.data_directory.empty()) {
    NewPlace place{query.data_directory, {}};
    const auto name = debian_name_of_place(files, place.data_directory, sources.debian);
    const bool is_installed = name && std::find(majors.begin(), majors.end(), name->major) != majors.end();
    if (has_debian && is_installed &&
        uses_debians_programs(files, query.bin_directory, name->major, sources.debian)) {
      place.debian = name;
    }
    return place;
  }
  std::erase_if(majors, [](int major) { return !is_supported(major); });
  if (has_debian && !majors.empty()) {
    const int major =
        TRY(one_of(majors, on_several, "Say which with --cluster, as --cluster 15/main, or with -D."));
    return place_of_debian(files, {major, kUsualName}, "", sources.debian);
  }
  majors = pgdg_majors(files, sources);
  std::erase_if(majors, [](int major) { return !is_supported(major); });
  if (!majors.empty()) {
    const int major =
        TRY(one_of(majors, on_several, "Name the data directory with -D, as /var/lib/pgsql/15/data."));
    return NewPlace{fmt::format("{}/{}/data", sources.pgdg_root, major), {}};
  }
  return Error(
      ErrorCode::kUsage, "no data directory is named",
      "Give it with -D, or set PGDATA: only Debian's and PGDG's packages have a place of their own.");
}

}  // namespace standfast::server

// Reads what `standfast doctor` judges: the data directory, its disks, the programs, and the running server
// by SELECTs in read-only transactions. Starts no server and changes nothing. `postgres -C` is run to read
// the settings of a server that does not answer; it reads the configuration files and ends.
//
// Threading: one thread. Fails: only when it is interrupted (kCancelled); whatever cannot be read has its
// reason in the facts.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "pg/server/cluster.h"
#include "setup/doctor_facts.h"
#include "setup/environment.h"

namespace standfast::setup {

struct DoctorOptions {
  std::optional<std::string> data_directory = {};
  std::string why_no_directory = {};  ///< where it is absent
  std::optional<std::string> user = {};
  std::optional<std::string> bin_directory = {};
};

base::Result<DoctorFacts> look_at_host(const DoctorOptions& options, const SetupEnvironment& environment);

// Its parts, each in a file of its own.

struct ServerAnswers {
  RunningFacts server;
  Seen<SettingFacts> settings;
};
/// Logs in over the server's own socket and asks.
base::Result<ServerAnswers> ask_server(const server::Cluster& cluster, const std::optional<std::string>& user,
                                       const SetupEnvironment& environment);
/// As the configuration files have them (`postgres -C`). kPrecondition, in the server's words, when no server
/// could start with them.
base::Result<SettingFacts> read_configured_settings(const server::Cluster& cluster,
                                                    const std::string& bin_directory,
                                                    const SetupEnvironment& environment);
std::vector<FolderFacts> look_at_folders(const server::Cluster& cluster, const SetupEnvironment& environment);
base::Result<std::vector<Leftover>> look_for_leftovers(const server::Cluster& cluster,
                                                       const std::vector<FolderFacts>& folders,
                                                       const SetupEnvironment& environment);
/// The dates of the first certificate of a PEM file.
base::Result<CertificateFacts> read_certificate(env::FileSystem& files, const std::string& path);

}  // namespace standfast::setup

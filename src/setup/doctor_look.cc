#include "setup/doctor_look.h"

#include <ctime>
#include <memory>

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include "clone/places.h"
#include "env/mount_table.h"
#include "env/process.h"
#include "pg/format/conf_file.h"
#include "pg/format/conninfo.h"
#include "pg/server/installation.h"
#include "pg/server/systemd.h"
#include "setup/doctor_findings.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kProgramTimeout{10};
constexpr std::uint64_t kMaxCertificateBytes = 1U << 20U;

ProgramsFacts facts_of(const server::Installation& installation) {
  return {.bin_directory = installation.bin_directory, .version = installation.version};
}

Result<ProgramsFacts> find_programs(const server::Cluster& cluster, const DoctorOptions& options,
                                    const SetupEnvironment& environment) {
  server::InstallationQuery query{.bin_directory = options.bin_directory};
  if (!options.bin_directory) query.major = cluster.major();
  const auto found =
      TRY(server::find_installation(environment.files, query, environment.wait_at_most(kProgramTimeout)));
  return facts_of(found);
}

Result<StartFacts> look_at_start(const server::Cluster& cluster, const SetupEnvironment& environment) {
  StartFacts start;
  if (const auto& debian = cluster.debian()) {
    start.debian_cluster = debian->id().to_string();
    start.debian_start = server::start_of_debian_cluster(environment.files, *debian);
    return start;
  }
  const env::Wait wait = environment.wait_at_most(kProgramTimeout);
  const auto unit =
      TRY(server::find_unit(environment.files, cluster.data_directory(), cluster.major(), wait));
  if (!unit) return start;
  const server::UnitState state = TRY(server::read_unit_state(*unit, wait));
  start.unit = *unit;
  start.unit_state = state.file_state;
  start.unit_comes_back = state.comes_back_after_reboot();
  return start;
}

FolderFacts look_at_folder(const std::string& what, const std::string& path,
                           const std::vector<env::Mount>& mounts, env::FileSystem& files) {
  FolderFacts folder{.what = what, .path = path};
  const auto real = files.real_path(path);
  const auto info =
      real ? files.inspect_following(*real) : Result<std::optional<env::FileInfo>>(real.error());
  if (!info || !*info) {
    folder.problem = info ? "it is not there" : info.error().message;
    return folder;
  }
  folder.path = *real;
  folder.file = {.path = *real, .mode = (*info)->mode, .is_ours = (*info)->owner == env::effective_user()};
  folder.parent_is_writable = access(env::parent_of(*real).c_str(), W_OK) == 0;
  if (const env::Mount* mount = env::mount_of(mounts, *real)) {
    folder.file_system = mount->file_system;
    folder.is_read_only = mount->is_read_only;
    folder.is_mount_point = mount->mount_point == *real;
  }
  if (const auto space = files.space(*real)) {
    folder.available_bytes = space->available_bytes;
    folder.total_bytes = space->total_bytes;
  }
  return folder;
}

Result<PassfileFacts> look_at_passfile(const DataDirectoryFacts& facts, env::FileSystem& files) {
  const auto conninfo = TRY(pg::Conninfo::parse(setting_of(facts, "primary_conninfo").value_or("")));
  const auto path = conninfo.get("passfile");
  if (!path) return Error(ErrorCode::kPrecondition, "primary_conninfo names none");
  PassfileFacts passfile{.path = *path};
  if (const auto info = TRY(files.inspect_following(*path))) {
    passfile.file =
        FileFacts{.path = *path, .mode = info->mode, .is_ours = info->owner == env::effective_user()};
  }
  return passfile;
}

bool is_there(env::FileSystem& files, const std::string& path) {
  const auto info = files.inspect(path);
  return info && info->has_value();
}

DataDirectoryFacts look_at_cluster(const server::Cluster& cluster, const DoctorOptions& options,
                                   const SetupEnvironment& environment) {
  env::FileSystem& files = environment.files;
  const std::string& directory = cluster.data_directory();
  DataDirectoryFacts facts{.path = directory, .major = cluster.major()};
  const auto running = cluster.running();
  facts.is_running = running && running->has_value();
  facts.is_standby = is_there(files, directory + "/standby.signal");
  facts.has_recovery_signal = is_there(files, directory + "/recovery.signal");
  facts.has_recovery_conf = is_there(files, directory + "/recovery.conf");
  facts.has_backup_label = is_there(files, directory + "/backup_label");
  facts.control = cluster.control_file();
  facts.programs = find_programs(cluster, options, environment);
  facts.start = look_at_start(cluster, environment);
  facts.folders = look_at_folders(cluster, environment);
  facts.leftovers = look_for_leftovers(cluster, facts.folders, environment);
  facts.server.why_not = running ? "the server does not run" : running.error().message;
  if (facts.is_running) {
    auto answers = ask_server(cluster, options.user, environment);
    if (answers) {
      facts.settings = std::move(answers->settings);
      facts.server = Result<RunningFacts>(std::move(answers->server));
    } else {
      facts.server.why_not = answers.error().message;
    }
  }
  if (!facts.server && facts.programs) {
    auto settings = read_configured_settings(cluster, facts.programs->bin_directory, environment);
    if (!settings && settings.error().code == ErrorCode::kPrecondition) {
      facts.configuration_error = settings.error().message;
    }
    facts.settings = std::move(settings);
  } else if (!facts.server) {
    facts.settings.why_not = facts.programs.why_not;
  }
  if (const auto file = setting_of(facts, "ssl_cert_file");
      file && setting_of(facts, "ssl").value_or("") == "on") {
    facts.certificate = read_certificate(files, file->starts_with('/') ? *file : directory + "/" + *file);
  }
  if (is_standby(facts)) facts.passfile = look_at_passfile(facts, files);
  return facts;
}

Result<std::int64_t> seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    return Error(ErrorCode::kProtocol, "the certificate has a date that is none");
  }
  return static_cast<std::int64_t>(timegm(&parts));
}

}  // namespace

Result<CertificateFacts> read_certificate(env::FileSystem& files, const std::string& path) {
  const std::string pem = TRY(env::read_whole_file(files, path, kMaxCertificateBytes));
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr, &X509_free);
  if (!certificate) return Error(ErrorCode::kProtocol, fmt::format("\"{}\" holds no certificate", path));
  return CertificateFacts{.path = path,
                          .valid_from_unix_seconds = TRY(seconds_of(X509_get0_notBefore(certificate.get()))),
                          .valid_until_unix_seconds = TRY(seconds_of(X509_get0_notAfter(certificate.get())))};
}

std::vector<FolderFacts> look_at_folders(const server::Cluster& cluster,
                                         const SetupEnvironment& environment) {
  env::FileSystem& files = environment.files;
  // Without the table mounts are not known, and nothing is said about them.
  const std::vector<env::Mount> mounts = env::read_mount_table(files).value_or({});
  const std::string& directory = cluster.data_directory();
  std::vector<FolderFacts> folders;
  folders.push_back(look_at_folder("data directory", directory, mounts, files));
  folders.push_back(look_at_folder("WAL", directory + "/pg_wal", mounts, files));
  const auto links = files.list(directory + "/pg_tblspc");
  if (!links) return folders;
  for (const std::string& oid : *links) {
    folders.push_back(look_at_folder("tablespace " + oid, directory + "/pg_tblspc/" + oid, mounts, files));
  }
  return folders;
}

Result<std::vector<Leftover>> look_for_leftovers(const server::Cluster& cluster,
                                                 const std::vector<FolderFacts>& folders,
                                                 const SetupEnvironment& environment) {
  env::FileSystem& files = environment.files;
  const std::string& directory = cluster.data_directory();
  std::vector<Leftover> leftovers;
  const auto add = [&](LeftoverKind kind, const std::string& path) {
    if (is_there(files, path)) leftovers.push_back({kind, path});
  };
  // A folder that may be entered but not read tells no names; then none is known.
  const auto add_old_ones = [&](const std::string& target, const std::string& folder) {
    const auto names = files.list(folder);
    if (!names) return;
    for (const std::string& name : *names) {
      const std::string path = folder + "/" + name;
      if (clone::is_old_path_of(target, path)) add(LeftoverKind::kOldDirectory, path);
    }
  };
  for (const clone::Placing placing : {clone::Placing::kBeside, clone::Placing::kInside}) {
    add(LeftoverKind::kJournal, clone::journal_path_of(directory, placing));
  }
  add(LeftoverKind::kStaging, clone::staging_path_of(directory, clone::Placing::kBeside));
  add_old_ones(directory, env::parent_of(directory));
  for (const FolderFacts& folder : folders) {
    add(LeftoverKind::kStaging, clone::inner_new_of(folder.path));
    add_old_ones(folder.path, clone::inner_folder_of(folder.path));
  }
  for (const std::string& name : TRY(files.list(cluster.configuration_directory()))) {
    const std::string path = cluster.configuration_directory() + "/" + name;
    if (name.ends_with(".standfast-tmp")) {
      add(LeftoverKind::kTemporary, path);
    } else if (name.find(".standfast-") != std::string::npos) {
      add(LeftoverKind::kDatedCopy, path);
    }
  }
  return leftovers;
}

Result<DoctorFacts> look_at_host(const DoctorOptions& options, const SetupEnvironment& environment) {
  DoctorFacts facts;
  facts.now_unix_seconds = static_cast<std::int64_t>(std::time(nullptr));
  facts.was_named = options.data_directory.has_value();
  if (!options.data_directory) {
    facts.cluster.why_not = options.why_no_directory;
  } else if (const auto cluster = server::Cluster::open(environment.files, *options.data_directory)) {
    facts.cluster = Result<DataDirectoryFacts>(look_at_cluster(*cluster, options, environment));
  } else {
    facts.cluster.why_not = cluster.error().message;
  }
  if (!facts.cluster) {
    const auto found =
        server::find_installations(environment.files, environment.wait_at_most(kProgramTimeout));
    if (found) {
      for (const server::Installation& one : *found) facts.programs.push_back(facts_of(one));
    }
  }
  if (environment.stop.is_set()) return env::cancelled_error();
  return facts;
}

}  // namespace standfast::setup

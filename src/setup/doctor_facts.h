// What `standfast doctor` has seen of a host, a cluster and its server: values, without a judgement
// (doctor_findings.h judges) and without a secret. doctor_look.h fills them.
//
// Threading: values. Invariant: what could not be seen has the reason beside it, so that it is never taken
// for something that is not there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/format/control_file.h"
#include "pg/format/versions.h"
#include "pg/server/debian.h"
#include "setup/server_facts.h"

namespace standfast::setup {

template <typename T>
struct Seen {
  std::optional<T> value = {};
  std::string why_not = "it was not looked at";

  Seen() = default;
  Seen(base::Result<T> result) {  // NOLINT: implicit on purpose
    if (result) {
      value = *std::move(result);
    } else {
      why_not = result.error().message;
    }
  }
  explicit operator bool() const { return value.has_value(); }
  const T& operator*() const { return *value; }
  const T* operator->() const { return &*value; }
};

struct ProgramsFacts {
  std::string bin_directory;
  pg::Version version;
};

/// Who starts the server when the host starts.
struct StartFacts {
  std::string unit = {};        ///< of systemd, "" when none runs this cluster
  std::string unit_state = {};  ///< "enabled", "disabled"
  bool unit_comes_back = false;
  std::string debian_cluster = {};  ///< "15/main"
  server::DebianStart debian_start = server::DebianStart::kAuto;
};

struct FileFacts {
  std::string path;
  mode_t mode = 0;
  bool is_ours = false;  ///< of the user who looks, who is the server's
};

/// A folder that the server writes to, and the disk below it.
struct FolderFacts {
  std::string what;          ///< "data directory", "WAL", "tablespace 16385"
  std::string path;          ///< links resolved
  std::string problem = {};  ///< why it cannot be looked at; then the rest is not known
  bool is_mount_point = false;
  bool is_read_only = false;
  bool parent_is_writable = true;
  FileFacts file = {};
  std::string file_system = {};  ///< "ext4"; "" when it is not known
  std::uint64_t available_bytes = 0;
  std::uint64_t total_bytes = 0;
};

struct SettingFact {
  std::string value;
  std::string source = {};       ///< pg_settings.source; "" when it was read without a server
  std::string source_file = {};  ///< with the line, "/etc/postgresql/15/main/postgresql.conf:12"
  bool is_pending_restart = false;
};
using SettingFacts = std::map<std::string, SettingFact, std::less<>>;

struct FileError {
  std::string file;
  std::int64_t line = 0;
  std::string setting = {};
  std::string message;
};

struct HbaRuleFact {
  std::string file = {};  ///< "" for pg_hba.conf itself
  std::int64_t line = 0;
  std::string type;
  std::string databases;  ///< parted by commas
  std::string users;
  std::string address;  ///< "" for local
  std::string netmask;
  std::string method;
  std::string error = {};
};

enum class PasswordForm : std::uint8_t { kNone, kMd5, kScram, kOther };
struct RoleFact {
  std::string name;
  bool is_superuser = false;
  bool can_login = false;
  bool has_replication = false;
  bool is_expired = false;
  PasswordForm password = PasswordForm::kNone;
};

/// What pg_replication_slots says beside setup::Slot.
struct SlotAges {
  std::int64_t xmin_age = 0;  ///< in transactions, of the older of both xmin
  bool is_failover = false;   ///< of a logical slot: it is kept on standbys too
};

struct CollationMismatch {
  std::string what;  ///< "database \"app\"", "collation \"de_DE\" of database \"postgres\""
  std::string recorded;
  std::string actual;
};

struct ArchiverFacts {
  std::int64_t failed_count = 0;
  bool fails_now = false;
  std::string last_failed_wal;
};

struct PreparedFacts {
  std::int64_t count = 0;
  std::int64_t oldest_seconds = 0;
};

struct CertificateFacts {
  std::string path;
  std::int64_t valid_from_unix_seconds = 0;
  std::int64_t valid_until_unix_seconds = 0;
};

/// Where a standby's passfile is, and what it is like; none: there is no such file.
struct PassfileFacts {
  std::string path;
  std::optional<FileFacts> file = {};
};

/// What earlier runs of Standfast left on this host.
enum class LeftoverKind : std::uint8_t { kStaging, kJournal, kOldDirectory, kDatedCopy, kTemporary };
struct Leftover {
  LeftoverKind kind = LeftoverKind::kStaging;
  std::string path;
};

/// Of a server that runs and lets us in.
struct RunningFacts {
  pg::Version version;
  std::string role;
  Seen<ServerFacts> replication = {};
  Seen<std::vector<FileError>> conf_errors = {};
  Seen<std::vector<HbaRuleFact>> hba_rules = {};
  Seen<std::vector<RoleFact>> roles = {};
  Seen<std::map<std::string, SlotAges, std::less<>>> slot_ages = {};
  Seen<std::vector<CollationMismatch>> collations = {};
  Seen<ArchiverFacts> archiver = {};
  Seen<PreparedFacts> prepared = {};
  Seen<std::int64_t> conflicts = {};
  Seen<std::int64_t> receiver_silent_seconds = {};  ///< since the last message of the primary
};

struct DataDirectoryFacts {
  std::string path;
  int major = 0;
  bool is_running = false;
  bool is_standby = false;  ///< standby.signal is there
  bool has_recovery_signal = false;
  bool has_recovery_conf = false;  ///< of 11 and before: no newer server starts with it
  bool has_backup_label = false;
  Seen<pg::ControlFile> control = {};
  Seen<ProgramsFacts> programs = {};
  Seen<StartFacts> start = {};
  std::vector<FolderFacts> folders = {};
  Seen<std::vector<Leftover>> leftovers = {};
  Seen<SettingFacts> settings =
      {};  ///< in force, or, of a server that does not answer, as the files have them
  std::string configuration_error = {};  ///< why no server could start with the files as they are
  Seen<CertificateFacts> certificate = {};
  Seen<PassfileFacts> passfile = {};  ///< a standby's
  Seen<RunningFacts> server = {};
};

/// The running server's answers about replication; null when there are none.
const ServerFacts* replication_of(const DataDirectoryFacts& facts);
/// By what the server says, else by what lies on the disk.
bool is_standby(const DataDirectoryFacts& facts);
/// A setting's value, if it is known.
std::optional<std::string> setting_of(const DataDirectoryFacts& facts, std::string_view name);

struct DoctorFacts {
  std::int64_t now_unix_seconds = 0;
  bool was_named = false;  ///< the cluster, by the user
  Seen<DataDirectoryFacts> cluster = {};
  std::vector<ProgramsFacts> programs = {};  ///< all that the host has, when no cluster is looked at
};

}  // namespace standfast::setup

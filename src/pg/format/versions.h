// The only place where a PostgreSQL version number stands. Everything else asks "does this server ...?".
//
// Version is what the server reports as server_version_num: major * 10000 + minor (150018 is 15.18).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace standfast::pg {

class Version {
 public:
  constexpr Version() = default;
  constexpr explicit Version(int number) : number_(number) {}
  /// From "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)" or "15.18" or the content of PG_VERSION,
  /// "15".
  static std::optional<Version> parse(std::string_view text);

  constexpr int number() const { return number_; }
  constexpr int major() const { return number_ / 10000; }
  constexpr int minor() const { return number_ % 10000; }
  std::string to_string() const;
  constexpr auto operator<=>(const Version&) const = default;

  constexpr bool is_supported() const { return major() >= kOldestMajor && major() <= kNewestMajor; }

  // Base backup and its protocol.
  constexpr bool base_backup_takes_option_list() const { return major() >= 15; }
  constexpr bool base_backup_is_one_typed_stream() const { return major() >= 15; }
  constexpr bool has_backup_manifest() const { return major() >= 13; }
  constexpr bool manifest_names_its_system() const { return major() >= 17; }     // version 2 of it
  constexpr bool has_wal_summaries() const { return major() >= 17; }             // pg_wal/summaries
  constexpr bool backup_functions_are_renamed() const { return major() >= 15; }  // pg_backup_start
  constexpr bool create_slot_takes_option_list() const { return major() >= 15; }
  constexpr bool has_read_replication_slot() const { return major() >= 15; }

  // Settings and views.
  constexpr bool primary_conninfo_reloads() const { return major() >= 13; }
  constexpr bool has_max_slot_wal_keep_size() const {
    return major() >= 13;
  }                                                                   // and wal_status, safe_wal_size
  constexpr bool has_wal_keep_size() const { return major() >= 13; }  // before: wal_keep_segments
  constexpr bool has_allow_alter_system() const { return major() >= 17; }
  constexpr bool hba_lines_continue() const { return major() >= 14; }  // by a backslash at the end
  constexpr bool hba_has_includes() const { return major() >= 16; }
  constexpr bool hba_file_rules_name_their_file() const { return major() >= 16; }
  constexpr bool receiver_tells_written_and_flushed() const {
    return major() >= 13;
  }  // written_lsn, flushed_lsn
  constexpr bool has_invalidation_reason() const { return major() >= 17; }
  constexpr bool reports_in_hot_standby() const { return major() >= 14; }
  constexpr bool tells_libc_collation_versions() const { return major() >= 13; }
  /// pg_database.datlocprovider, pg_database_collation_actual_version()
  constexpr bool databases_have_collation_versions() const { return major() >= 15; }
  constexpr bool float8_is_always_by_value() const { return major() >= 13; }  // where a pointer has 8 bytes

  // Multixids. From 14.21, 15.16, 16.12, 17.8 and 18.2 on, the record of a multixid also sets where the next
  // one begins. The releases from there on bridge WAL that was written before; some of them badly.
  enum class OldMultixids : std::uint8_t {
    kUnderstood,
    kMayFailAfterTruncation,  ///< 14.21 and the others of that day: "could not access status of transaction"
    kMayFailAfterCheckpoint,  ///< 14.22 and the others of that day: the same, in a narrower case
    kDeadlock,                ///< 14.23, 15.18, 16.14: replay waits for a lock that it holds itself
  };
  bool writes_old_multixids() const;
  OldMultixids replay_of_old_multixids() const;
  /// The first release of this major that writes them the new way, or replays the old ones without fault.
  Version first_with_new_multixids() const;
  Version first_sound_with_old_multixids() const;
  constexpr bool low_standby_settings_pause_replay() const {
    return major() >= 14;
  }                                                                           // before: it does not start
  constexpr bool libpq_has_channel_binding() const { return major() >= 13; }  // the standby's own libpq
  constexpr bool libpq_verifies_addresses() const { return major() >= 15; }   // verify-full of an address
  constexpr bool create_database_can_log() const { return major() >= 15; }

  static constexpr int kOldestMajor = 12;
  static constexpr int kNewestMajor = 18;

 private:
  int number_ = 0;
};

}  // namespace standfast::pg

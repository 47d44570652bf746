// Names that both sides of a pair, and every later run, must agree on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace standfast::setup {

inline constexpr std::string_view kDefaultReplicationRole = "replicator";
inline constexpr std::string_view kMonitorRole = "standfast_monitor";
inline constexpr std::string_view kMonitorDatabase = "standfast";
inline constexpr std::string_view kMarkerSchema = "standfast";
inline constexpr std::string_view kMarkerTable = "marker";
inline constexpr std::string_view kWitnessTable = "witness";
/// Slots are pgstandby1, pgstandby2 ..., as PostgreSQL's handbooks name them.
inline constexpr std::string_view kDefaultSlotPrefix = "pgstandby";
/// A witness's name is its application_name and its slot.
inline constexpr std::string_view kDefaultWitnessPrefix = "witness";
inline constexpr std::uint16_t kDefaultWitnessPort = 5433;

// Files of the secret store (pg/client/secret_store.h).
inline constexpr std::string_view kPrimaryPassfile = "primary.pgpass";
/// Passwords on their way: written before the roles get them, renamed to the one above after.
inline constexpr std::string_view kNextPrimaryPassfile = "primary.pgpass.next";
/// The certificate this server shows, as the logins that setup tries verify it.
inline constexpr std::string_view kPrimaryCertificate = "primary.crt";
inline constexpr std::string_view kTokenSuffix = ".token";
inline std::string token_file_name(std::string_view slot) {
  return std::string(slot) + std::string(kTokenSuffix);
}
inline std::string standby_passfile_name(std::string_view slot) {
  return std::string(slot) + ".pgpass";
}
inline std::string standby_certificate_name(std::string_view slot) {
  return std::string(slot) + ".crt";
}
// What a witness serves with, and what it goes by.
inline std::string witness_users_name(std::string_view name) {
  return std::string(name) + ".users";
}
inline std::string witness_certificate_name(std::string_view name) {
  return std::string(name) + ".server.crt";
}
inline std::string witness_key_name(std::string_view name) {
  return std::string(name) + ".server.key";
}
inline constexpr std::string_view kWitnessConfigSuffix = ".witness.toml";

}  // namespace standfast::setup

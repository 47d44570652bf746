// What a witness is told: /etc/standfast/witness.toml, or flags that win over it.
//
// clang-format off
//     [primary]
//     conninfo = "host=10.20.20.1 user=replicator passfile=/var/lib/standfast/passfile"
//     name = "witness1"                  # application_name, and the slot unless another one is given
//     slot = "witness1"
//     [store]
//     folder = "/var/lib/standfast/wal"
//     keep_size = "10GB"                 # a standby that comes back finds that much, needed or not
//     keep_time = "1d"
//     slot_keep_size = "50GB"            # what a slot of a standby may hold; left out: half of the file system
//     [serve]
//     listen = ["10.20.20.3:5433"]
//     users = "/var/lib/standfast/users"
//     tls_certificate = "/var/lib/standfast/server.crt"
//     tls_key = "/var/lib/standfast/server.key"
//     allow_cleartext = false
// clang-format on
//
// Pure. Fails with kUsage, which names the file, the line and the key: an unknown key, a wrong type, a size
// or time that is none. Nothing has a default that listens anywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace standfast::witness {

struct WitnessConfig {
  std::optional<std::string> conninfo = {}, name = {}, slot = {};
  std::optional<std::string> folder = {};
  std::optional<std::uint64_t> keep_bytes = {}, slot_keep_bytes = {};
  std::optional<std::int64_t> keep_seconds = {};
  std::vector<std::string> listen = {};
  std::optional<std::string> users = {}, tls_certificate = {}, tls_key = {};
  std::optional<bool> allow_cleartext = {};
  bool operator==(const WitnessConfig&) const = default;
};

inline constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{1} << 20U;
/// `file` is for messages.
base::Result<WitnessConfig> parse_witness_config(std::string_view text, std::string_view file);
/// As parse_witness_config() reads it; what is not set is not written.
std::string render_witness_config(const WitnessConfig& config);
/// "primary.conninfo" and so on: what two configurations do not say alike, in the order of the file.
std::vector<std::string_view> differing_keys(const WitnessConfig& one, const WitnessConfig& other);
/// What `flags` says wins.
WitnessConfig merge(const WitnessConfig& file, const WitnessConfig& flags);

/// "512MB", "10GB", with PostgreSQL's units; bytes.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// "30min", "12h", "7d"; seconds.
std::optional<std::int64_t> parse_time(std::string_view text);

}  // namespace standfast::witness

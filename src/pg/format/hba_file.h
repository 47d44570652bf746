// pg_hba.conf: reading it, and which of its rules takes a connection (libpq/hba.c: tokens, check_hba()).
//
// What cannot be told from the file alone (role membership, the server's own addresses, host names, included
// files, regular expressions) is answered with kMaybe, never with a guess.
//
// Threading: pure functions on values. Fails: a line PostgreSQL would not take gives kProtocol with its
// number. Authentication methods and their options are not judged; pg_hba_file_rules does that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace standfast::pg {

inline constexpr std::size_t kMaxHbaFileBytes = std::size_t{16} << 20U;

enum class HbaRuleType : std::uint8_t {
  kLocal,
  kHost,
  kHostSsl,
  kHostNoSsl,
  kHostGssEnc,
  kHostNoGssEnc,
  kInclude,  ///< the three include kinds have only `include_path`
  kIncludeIfExists,
  kIncludeDir,
};

/// A word of a rule. Quotes take the meaning of a keyword away: "all" in quotes is a database called all.
struct HbaToken {
  std::string text;
  bool quoted = false;
  bool operator==(const HbaToken&) const = default;
};

struct HbaRule {
  std::size_t line_number = 0;    ///< of its first line
  std::size_t begin = 0;          ///< offset of its first line in the file
  std::size_t comment_begin = 0;  ///< offset of the comment lines right above it, else the same as `begin`
  HbaRuleType type = HbaRuleType::kHost;
  std::vector<HbaToken> databases;
  std::vector<HbaToken> users;
  HbaToken address;     ///< as written, with the prefix; empty for kLocal
  std::string netmask;  ///< where it is a word of its own
  std::string method;
  std::vector<std::string> options;  ///< "name=value", as written
  std::string include_path;
};

struct HbaFile {
  std::vector<HbaRule> rules;  ///< in the order of the file, includes among them
};

/// A backslash at the end of a line joins the next one to it; older servers take it for a word.
enum class HbaDialect : std::uint8_t { kWithContinuation, kWithoutContinuation };

base::Result<HbaFile> parse_hba(std::string_view text, HbaDialect dialect = HbaDialect::kWithContinuation);

enum class Encryption : std::uint8_t { kPlain, kTls };

/// A login to look for. GSSAPI encryption is not one of ours.
struct HbaConnection {
  std::optional<std::string>
      database;  ///< none: physical replication, which only the word `replication` admits
  std::string user;
  /// IPv4 or IPv6 as text, with a prefix for a whole network; none: the local socket.
  std::optional<std::string> address;
  Encryption encryption = Encryption::kPlain;
};

enum class HbaMatch : std::uint8_t { kNo, kMaybe, kYes };

/// kYes: takes it whatever it is. Of a network in `address`: kYes where the rule covers all of it, kMaybe a
/// part.
HbaMatch match_rule(const HbaRule& rule, const HbaConnection& connection);

struct HbaHit {
  std::size_t index = 0;  ///< in HbaFile::rules
  HbaMatch match = HbaMatch::kYes;
};

/// The first rule that takes the connection, or may take it.
std::optional<HbaHit> first_rule_for(const HbaFile& file, const HbaConnection& connection);

/// In double quotes, whatever it is, so that it is a name and never a keyword.
std::string quote_hba_name(std::string_view name);

struct StandbyAddress {
  std::string cidr;         ///< "10.20.20.2/32", in the one form inet_ntop gives, host bits zero
  bool is_network = false;  ///< more than one address; worth a warning
};

/// An IPv4 or IPv6 address, /32 or /128 unless it has a prefix. Host names are refused (kUsage): a rule with
/// a name needs DNS, forward and reverse, at each login. So are IPv4 in IPv6, zones and what is no address.
base::Result<StandbyAddress> parse_standby_address(std::string_view text);

}  // namespace standfast::pg

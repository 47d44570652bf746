#include "pg/format/hba_file.h"

#include <algorithm>
#include <array>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "base/number.h"

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

using Field = std::vector<HbaToken>;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

Error bad_line(std::size_t line_number, std::string_view what) {
  return Error(ErrorCode::kProtocol, fmt::format("pg_hba.conf line {}: {}", line_number, what),
               "Correct that line, PostgreSQL does not take it either.");
}

/// One line as PostgreSQL sees it: with those joined to it by backslashes, without its line end.
struct LogicalLine {
  std::string text;
  std::size_t begin = 0;
  std::size_t number = 0;
};

class LineReader {
 public:
  LineReader(std::string_view text, HbaDialect dialect) : text_(text), dialect_(dialect) {}

  std::optional<LogicalLine> next() {
    if (position_ >= text_.size()) return std::nullopt;
    LogicalLine line{"", position_, number_ + 1};
    bool goes_on = true;
    while (goes_on && position_ < text_.size()) {
      const std::string_view physical = take_physical();
      goes_on = dialect_ == HbaDialect::kWithContinuation && physical.ends_with('\\');
      line.text += goes_on ? physical.substr(0, physical.size() - 1) : physical;
    }
    return line;
  }

 private:
  std::string_view take_physical() {
    const std::size_t newline = text_.find('\n', position_);
    const std::size_t end = newline == std::string_view::npos ? text_.size() : newline;
    std::string_view line = text_.substr(position_, end - position_);
    position_ = newline == std::string_view::npos ? end : end + 1;
    ++number_;
    while (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  std::string_view text_;
  HbaDialect dialect_;
  std::size_t position_ = 0;
  std::size_t number_ = 0;
};

/// Cuts one line into fields: words between blanks, a field being words with commas after them but the last.
class FieldReader {
 public:
  explicit FieldReader(std::string_view line) : line_(line) {}

  std::vector<Field> all() {
    std::vector<Field> fields;
    for (Field field = next_field(); !field.empty(); field = next_field()) fields.push_back(std::move(field));
    return fields;
  }

 private:
  Field next_field() {
    Field field;
    bool comma_follows = true;
    while (comma_follows) {
      auto token = next_token(comma_follows);
      if (!token) break;
      field.push_back(std::move(*token));
    }
    return field;
  }

  std::optional<HbaToken> next_token(bool& comma_follows) {
    comma_follows = false;
    while (position_ < line_.size() && (is_blank(line_[position_]) || line_[position_] == ',')) ++position_;
    HbaToken token;
    bool in_quote = false;
    bool was_quote = false;  // the character before was a quote that may be the first of two
    bool saw_quote = false;
    for (; position_ < line_.size() && (in_quote || !is_blank(line_[position_])); ++position_) {
      const char c = line_[position_];
      if (c == '#' && !in_quote) {
        position_ = line_.size();
        break;
      }
      if (c == ',' && !in_quote) {
        comma_follows = true;
        ++position_;
        break;
      }
      if (c != '"' || was_quote) token.text.push_back(c);
      was_quote = in_quote && c == '"' && !was_quote;
      if (c == '"') {
        in_quote = !in_quote;
        saw_quote = true;
        if (token.text.empty()) token.quoted = true;
      }
    }
    if (!saw_quote && token.text.empty()) return std::nullopt;
    return token;
  }

  std::string_view line_;
  std::size_t position_ = 0;
};

constexpr std::size_t kAddressBytes = 16;

/// An address with its mask; IPv4 uses the first four bytes.
struct Network {
  int family = AF_INET;
  std::array<std::uint8_t, kAddressBytes> address{};
  std::array<std::uint8_t, kAddressBytes> mask{};

  unsigned address_bits() const { return family == AF_INET ? 32 : 128; }
};

void set_prefix(Network& network, unsigned bits) {
  for (std::size_t i = 0; i < kAddressBytes; ++i) {
    const unsigned here = bits >= 8 ? 8 : bits;
    network.mask[i] = static_cast<std::uint8_t>(0xFF00U >> here);
    bits -= here;
  }
}

std::optional<Network> parse_address(std::string_view text) {
  // inet_pton() reads up to a zero byte.
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  Network network;
  for (const int family : {AF_INET, AF_INET6}) {
    network.family = family;
    if (inet_pton(family, terminated.c_str(), network.address.data()) != 1) continue;
    set_prefix(network, network.address_bits());
    return network;
  }
  return std::nullopt;
}

std::optional<unsigned> parse_prefix(std::string_view digits, unsigned limit) {
  const auto bits = base::parse_number<unsigned>(digits);
  return bits && *bits <= limit ? bits : std::nullopt;
}

/// "10.0.0.0/8", "::1".
std::optional<Network> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  auto network = parse_address(text.substr(0, slash));
  if (!network || slash == std::string_view::npos) return network;
  const auto bits = parse_prefix(text.substr(slash + 1), network->address_bits());
  if (!bits) return std::nullopt;
  set_prefix(*network, *bits);
  return network;
}

bool is_keyword(const HbaToken& token, std::string_view keyword) {
  return !token.quoted && token.text == keyword;
}

/// Names another file, or a regular expression, or the members of a role: the file alone does not tell.
bool is_open_question(const HbaToken& token) {
  if (token.text.starts_with('/')) return true;
  return !token.quoted && token.text.size() > 1 && (token.text[0] == '@' || token.text[0] == '+');
}

HbaMatch match_database(const HbaToken& token, const HbaConnection& connection) {
  if (!token.quoted && token.text.size() > 1 && token.text[0] == '@') return HbaMatch::kMaybe;
  const auto yes_if = [](bool condition) { return condition ? HbaMatch::kYes : HbaMatch::kNo; };
  if (!connection.database) return yes_if(is_keyword(token, "replication"));
  if (is_keyword(token, "all")) return HbaMatch::kYes;
  if (is_keyword(token, "sameuser")) return yes_if(*connection.database == connection.user);
  if (is_keyword(token, "samerole") || is_keyword(token, "samegroup")) return HbaMatch::kMaybe;
  if (is_keyword(token, "replication")) return HbaMatch::kNo;
  if (token.text.starts_with('/')) return HbaMatch::kMaybe;
  return yes_if(token.text == *connection.database);
}

HbaMatch match_user(const HbaToken& token, const HbaConnection& connection) {
  if (is_keyword(token, "all")) return HbaMatch::kYes;
  if (is_open_question(token)) return HbaMatch::kMaybe;
  return token.text == connection.user ? HbaMatch::kYes : HbaMatch::kNo;
}

template <typename Match>
HbaMatch best_of(const std::vector<HbaToken>& tokens, const HbaConnection& connection, Match match) {
  HbaMatch best = HbaMatch::kNo;
  for (const HbaToken& token : tokens) best = std::max(best, match(token, connection));
  return best;
}

HbaMatch match_networks(const Network& rule, const Network& client) {
  if (rule.family != client.family) return HbaMatch::kNo;
  HbaMatch match = HbaMatch::kYes;
  for (std::size_t i = 0; i < client.address_bits() / 8; ++i) {
    const unsigned differs = rule.address[i] ^ unsigned { client.address[i] };
    if ((differs & rule.mask[i] & client.mask[i]) != 0) return HbaMatch::kNo;
    if ((rule.mask[i] & ~unsigned{client.mask[i]} & 0xFFU) != 0) match = HbaMatch::kMaybe;
  }
  return match;
}

HbaMatch match_address(const HbaRule& rule, std::string_view client_text) {
  if (is_keyword(rule.address, "all")) return HbaMatch::kYes;
  if (is_keyword(rule.address, "samehost") || is_keyword(rule.address, "samenet")) return HbaMatch::kMaybe;
  auto network = parse_network(rule.address.text);
  const auto client = parse_network(client_text);
  if (!network || !client) return HbaMatch::kMaybe;
  if (!rule.netmask.empty()) {
    const auto mask = parse_address(rule.netmask);
    if (!mask || mask->family != network->family) return HbaMatch::kMaybe;
    network->mask = mask->address;
  }
  return match_networks(*network, *client);
}

bool admits_encryption(HbaRuleType type, Encryption encryption) {
  switch (type) {
    case HbaRuleType::kHost:
    case HbaRuleType::kHostNoGssEnc:
      return true;
    case HbaRuleType::kHostSsl:
      return encryption == Encryption::kTls;
    case HbaRuleType::kHostNoSsl:
      return encryption == Encryption::kPlain;
    case HbaRuleType::kLocal:
    case HbaRuleType::kHostGssEnc:
    case HbaRuleType::kInclude:
    case HbaRuleType::kIncludeIfExists:
    case HbaRuleType::kIncludeDir:
      break;
  }
  return false;
}

std::optional<HbaRuleType> rule_type_of(std::string_view word) {
  constexpr std::array<std::pair<std::string_view, HbaRuleType>, 6> kTypes = {{
      {"local", HbaRuleType::kLocal},
      {"host", HbaRuleType::kHost},
      {"hostssl", HbaRuleType::kHostSsl},
      {"hostnossl", HbaRuleType::kHostNoSsl},
      {"hostgssenc", HbaRuleType::kHostGssEnc},
      {"hostnogssenc", HbaRuleType::kHostNoGssEnc},
  }};
  for (const auto& [name, type] : kTypes) {
    if (name == word) return type;
  }
  return std::nullopt;
}

std::optional<HbaRuleType> include_type_of(const std::vector<Field>& fields) {
  if (fields.size() != 2) return std::nullopt;
  const std::string& word = fields[0][0].text;
  if (word == "include") return HbaRuleType::kInclude;
  if (word == "include_if_exists") return HbaRuleType::kIncludeIfExists;
  if (word == "include_dir") return HbaRuleType::kIncludeDir;
  return std::nullopt;
}

bool is_include(HbaRuleType type) {
  return type == HbaRuleType::kInclude || type == HbaRuleType::kIncludeIfExists ||
         type == HbaRuleType::kIncludeDir;
}

/// Hands out the fields of a rule in their order.
class FieldCursor {
 public:
  FieldCursor(const std::vector<Field>& fields, std::size_t line_number)
      : fields_(fields), line_number_(line_number) {}

  Result<Field> list(std::string_view what) {
    if (next_ >= fields_.size()) return bad_line(line_number_, fmt::format("ends before the {}", what));
    return fields_[next_++];
  }
  Result<HbaToken> single(std::string_view what) {
    const Field field = TRY(list(what));
    if (field.size() != 1) return bad_line(line_number_, fmt::format("more than one {}", what));
    return field[0];
  }
  std::vector<std::string> rest() {
    std::vector<std::string> words;
    for (; next_ < fields_.size(); ++next_) {
      for (const HbaToken& token : fields_[next_]) words.push_back(token.text);
    }
    return words;
  }

 private:
  const std::vector<Field>& fields_;
  std::size_t line_number_;
  std::size_t next_ = 0;
};

Result<HbaRule> parse_rule(const std::vector<Field>& fields, std::size_t line_number) {
  HbaRule rule;
  rule.line_number = line_number;
  if (const auto include = include_type_of(fields)) {
    rule.type = *include;
    rule.include_path = fields[1][0].text;
    return rule;
  }
  FieldCursor cursor(fields, line_number);
  const auto type = rule_type_of(TRY(cursor.single("connection type")).text);
  if (!type) return bad_line(line_number, "the connection type is not known");
  rule.type = *type;
  rule.databases = TRY(cursor.list("database"));
  rule.users = TRY(cursor.list("user"));
  if (rule.type != HbaRuleType::kLocal) {
    rule.address = TRY(cursor.single("address"));
    const bool takes_netmask = parse_address(rule.address.text).has_value();
    if (takes_netmask) rule.netmask = TRY(cursor.single("netmask")).text;
  }
  rule.method = TRY(cursor.single("authentication method")).text;
  rule.options = cursor.rest();
  return rule;
}

bool is_host_name_like(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_name_part = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return std::all_of(text.begin(), text.end(), is_name_part) &&
         std::any_of(text.begin(), text.end(), is_letter);
}

Error refused_address(std::string_view text, std::string_view why, std::string_view hint) {
  return Error(ErrorCode::kUsage, fmt::format("a standby's address \"{}\": {}", text.substr(0, 80), why),
               std::string(hint));
}

bool is_ipv4_in_ipv6(const Network& network) {
  const auto& bytes = network.address;
  return network.family == AF_INET6 &&
         std::all_of(bytes.begin(), bytes.begin() + 10, [](auto b) { return b == 0; }) && bytes[10] == 0xFF &&
         bytes[11] == 0xFF;
}

std::string to_text(const Network& network) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  CHECK(inet_ntop(network.family, network.address.data(), buffer.data(), buffer.size()) != nullptr);
  return buffer.data();
}

}  // namespace

Result<HbaFile> parse_hba(std::string_view text, HbaDialect dialect) {
  if (text.size() > kMaxHbaFileBytes) {
    return Error(ErrorCode::kProtocol, "pg_hba.conf is too large to be one");
  }
  HbaFile file;
  LineReader lines(text, dialect);
  constexpr std::size_t kNoComment = std::string_view::npos;
  std::size_t comment_begin = kNoComment;
  while (const auto line = lines.next()) {
    if (line->text.find('\0') != std::string::npos) return bad_line(line->number, "a zero byte");
    const std::vector<Field> fields = FieldReader(line->text).all();
    if (fields.empty()) {
      const bool is_comment = line->text.find('#') != std::string::npos;
      if (!is_comment) comment_begin = kNoComment;
      if (is_comment && comment_begin == kNoComment) comment_begin = line->begin;
      continue;
    }
    HbaRule rule = TRY(parse_rule(fields, line->number));
    rule.begin = line->begin;
    rule.comment_begin = comment_begin == kNoComment ? line->begin : comment_begin;
    comment_begin = kNoComment;
    file.rules.push_back(std::move(rule));
  }
  return file;
}

HbaMatch match_rule(const HbaRule& rule, const HbaConnection& connection) {
  if (is_include(rule.type)) return HbaMatch::kMaybe;
  const bool is_local_rule = rule.type == HbaRuleType::kLocal;
  if (is_local_rule == connection.address.has_value()) return HbaMatch::kNo;
  if (!is_local_rule && !admits_encryption(rule.type, connection.encryption)) return HbaMatch::kNo;
  const HbaMatch address = connection.address ? match_address(rule, *connection.address) : HbaMatch::kYes;
  return std::min({address, best_of(rule.databases, connection, match_database),
                   best_of(rule.users, connection, match_user)});
}

std::optional<HbaHit> first_rule_for(const HbaFile& file, const HbaConnection& connection) {
  for (std::size_t i = 0; i < file.rules.size(); ++i) {
    const HbaMatch match = match_rule(file.rules[i], connection);
    if (match != HbaMatch::kNo) return HbaHit{i, match};
  }
  return std::nullopt;
}

std::string quote_hba_name(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

Result<StandbyAddress> parse_standby_address(std::string_view text) {
  constexpr std::string_view kGiveAddress =
      "Give the IPv4 or IPv6 address the standby connects from, as 10.20.20.2.";
  if (text.find('%') != std::string_view::npos) {
    return refused_address(text, "a zone has no meaning in pg_hba.conf",
                           "Give the address without % and what follows.");
  }
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  auto network = parse_address(host);
  if (!network && is_host_name_like(host)) {
    return refused_address(text, "a host name in pg_hba.conf needs DNS at each login, forward and reverse",
                           kGiveAddress);
  }
  if (!network) return refused_address(text, "this is no IPv4 or IPv6 address", kGiveAddress);
  if (is_ipv4_in_ipv6(*network)) {
    return refused_address(text, "an IPv4 address in IPv6 form never matches",
                           "Give the IPv4 address itself.");
  }
  const unsigned all_bits = network->address_bits();
  unsigned bits = all_bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto prefix = parse_prefix(digits, all_bits);
    if (!prefix || (digits.size() > 1 && digits[0] == '0')) {
      return refused_address(text, fmt::format("the prefix is no number from 0 to {}", all_bits),
                             "Leave the prefix away for a single address.");
    }
    bits = *prefix;
  }
  set_prefix(*network, bits);
  for (std::size_t i = 0; i < kAddressBytes; ++i) network->address[i] &= network->mask[i];
  const bool is_unspecified =
      std::all_of(network->address.begin(), network->address.end(), [](auto b) { return b == 0; });
  if (is_unspecified && bits == all_bits) {
    return refused_address(text, "nothing connects from the unspecified address", kGiveAddress);
  }
  return StandbyAddress{fmt::format("{}/{}", to_text(*network), bits), bits < all_bits};
}

}  // namespace standfast::pg

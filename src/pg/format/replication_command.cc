#include "pg/format/replication_command.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

Error refusal(const char* sqlstate, std::string message, std::string hint = "") {
  Error error(ErrorCode::kProtocol, std::move(message), std::move(hint));
  error.sqlstate = sqlstate;
  return error;
}
Error syntax_error(std::string message = "syntax error") {
  return refusal("42601", std::move(message));
}
Error not_served(std::string message, std::string hint) {
  return refusal("0A000", std::move(message), std::move(hint));
}

// Characters, without a locale.
bool is_space(char c) {
  return std::string_view(" \t\n\r\f\v").find(c) != std::string_view::npos;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool continues_word(char c) {
  return begins_word(c) || is_digit(c) || c == '$';
}
std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

enum class TokenKind : std::uint8_t { kEnd, kWord, kQuotedName, kString, kNumber, kLsn, kSymbol };
struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  ///< a word in lower case, what stood in the quotes, digits, or the one character
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  Result<Token> next() {
    rest_.remove_prefix(span_of(is_space));
    if (rest_.empty()) return Token{};
    const char first = rest_.front();
    if (first == '"') return quoted(TokenKind::kQuotedName);
    if (first == '\'') return quoted(TokenKind::kString);
    if (const std::size_t length = lsn_length(); length > 0) return take(TokenKind::kLsn, length);
    if (is_digit(first)) return take(TokenKind::kNumber, span_of(is_digit));
    if (begins_word(first)) {
      Token word = take(TokenKind::kWord, span_of(continues_word));
      word.text = lower_case(word.text);
      return word;
    }
    return take(TokenKind::kSymbol, 1);
  }

 private:
  std::size_t span_of(bool (*belongs)(char)) const { return span_of(belongs, 0); }
  std::size_t span_of(bool (*belongs)(char), std::size_t from) const {
    std::size_t end = from;
    while (end < rest_.size() && belongs(rest_[end])) ++end;
    return end - from;
  }

  /// Of "16/B374D848" at the front, the longest that fits; zero where there is none.
  std::size_t lsn_length() const {
    const std::size_t high = span_of(is_hex_digit);
    if (high == 0 || high >= rest_.size() || rest_[high] != '/') return 0;
    const std::size_t low = span_of(is_hex_digit, high + 1);
    return low == 0 ? 0 : high + 1 + low;
  }

  Token take(TokenKind kind, std::size_t length) {
    Token token{kind, std::string(rest_.substr(0, length))};
    rest_.remove_prefix(length);
    return token;
  }

  Result<Token> quoted(TokenKind kind) {
    const char quote = rest_.front();
    rest_.remove_prefix(1);
    Token token{kind, ""};
    for (;;) {
      const std::size_t end = rest_.find(quote);
      if (end == std::string_view::npos) return syntax_error("unterminated quoted string");
      token.text += rest_.substr(0, end);
      rest_.remove_prefix(end + 1);
      if (!rest_.starts_with(quote)) return token;
      token.text += quote;  // doubled
      rest_.remove_prefix(1);
    }
  }

  std::string_view rest_;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  Result<ReplicationCommand> parse() {
    TRY(advance());
    const ReplicationCommand command = TRY(parse_command());
    TRY(accept_symbol(';'));
    if (token_.kind != TokenKind::kEnd) return syntax_error();
    return command;
  }

 private:
  Result<void> advance() {
    token_ = TRY(lexer_.next());
    return base::ok();
  }
  bool is_word(std::string_view word) const { return token_.kind == TokenKind::kWord && token_.text == word; }
  Result<bool> accept_word(std::string_view word) {
    if (!is_word(word)) return false;
    TRY(advance());
    return true;
  }
  Result<bool> accept_symbol(char symbol) {
    if (token_.kind != TokenKind::kSymbol || token_.text.front() != symbol) return false;
    TRY(advance());
    return true;
  }
  Result<std::string> take(TokenKind kind) {
    if (token_.kind != kind) return syntax_error();
    std::string text = std::move(token_.text);
    TRY(advance());
    return text;
  }
  Result<std::string> take_name() {
    return take(token_.kind == TokenKind::kQuotedName ? TokenKind::kQuotedName : TokenKind::kWord);
  }
  Result<TimelineId> take_timeline() {
    const std::string digits = TRY(take(TokenKind::kNumber));
    const auto timeline = TimelineId::parse(digits);
    if (!timeline) return syntax_error("invalid timeline " + digits);
    return *timeline;
  }

  Result<ReplicationCommand> parse_command();
  Result<ReplicationCommand> parse_show();
  Result<ReplicationCommand> parse_create_slot();
  Result<ReserveWal> parse_slot_options();
  Result<ReserveWal> parse_slot_option();
  Result<ReplicationCommand> parse_start();

  Lexer lexer_;
  Token token_;
};

Result<ReplicationCommand> Parser::parse_command() {
  if (TRY(accept_word("identify_system"))) return ReplicationCommand(IdentifySystem{});
  if (TRY(accept_word("show"))) return parse_show();
  if (TRY(accept_word("timeline_history")))
    return ReplicationCommand(ReadTimelineHistory{TRY(take_timeline())});
  if (TRY(accept_word("create_replication_slot"))) return parse_create_slot();
  if (TRY(accept_word("read_replication_slot")))
    return ReplicationCommand(ReadReplicationSlot{TRY(take_name())});
  if (TRY(accept_word("drop_replication_slot"))) {
    std::string slot = TRY(take_name());
    const bool waits = TRY(accept_word("wait"));
    return ReplicationCommand(
        DropReplicationSlot{std::move(slot), waits ? WhenActive::kWait : WhenActive::kFail});
  }
  if (TRY(accept_word("start_replication"))) return parse_start();
  if (is_word("base_backup") || is_word("upload_manifest")) {
    return not_served("this server has WAL only and cannot make a base backup",
                      "Take the base backup from the primary or a standby.");
  }
  if (is_word("alter_replication_slot")) {
    return not_served("replication slots cannot be altered here", "Drop the slot and create it again.");
  }
  return not_served("cannot execute SQL commands in WAL sender for physical replication",
                    "Connect to the primary or a standby for SQL.");
}

Result<ReplicationCommand> Parser::parse_show() {
  std::string name = TRY(take_name());
  while (TRY(accept_symbol('.'))) name += "." + TRY(take_name());
  return ReplicationCommand(ShowSetting{std::move(name)});
}

Result<ReplicationCommand> Parser::parse_create_slot() {
  CreateReplicationSlot command;
  command.slot = TRY(take_name());
  if (TRY(accept_word("temporary"))) command.life = SlotLife::kTemporary;
  if (is_word("logical")) {
    return not_served("logical replication slots are not served here",
                      "Create the logical slot on the primary.");
  }
  if (!TRY(accept_word("physical"))) return syntax_error();
  command.reserve_wal = TRY(parse_slot_options());
  return ReplicationCommand(std::move(command));
}

/// Bare words, the only syntax until 14, or a list in parentheses.
Result<ReserveWal> Parser::parse_slot_options() {
  ReserveWal reserve = ReserveWal::kNo;
  if (!TRY(accept_symbol('('))) {
    while (TRY(accept_word("reserve_wal"))) {
      if (reserve == ReserveWal::kYes) return syntax_error("conflicting or redundant options");
      reserve = ReserveWal::kYes;
    }
    return reserve;
  }
  bool is_given = false;
  do {
    if (std::exchange(is_given, true)) return syntax_error("conflicting or redundant options");
    reserve = TRY(parse_slot_option());
  } while (TRY(accept_symbol(',')));
  if (!TRY(accept_symbol(')'))) return syntax_error();
  return reserve;
}

Result<ReserveWal> Parser::parse_slot_option() {
  const std::string name = TRY(take_name());
  if (name != "reserve_wal") return syntax_error("unrecognized option: " + name);
  if (token_.kind == TokenKind::kSymbol) return ReserveWal::kYes;
  const std::string value = lower_case(token_.text);
  TRY(advance());
  if (value == "true" || value == "on" || value == "1") return ReserveWal::kYes;
  if (value == "false" || value == "off" || value == "0") return ReserveWal::kNo;
  return syntax_error("reserve_wal requires a Boolean value");
}

Result<ReplicationCommand> Parser::parse_start() {
  StartReplication command;
  if (TRY(accept_word("slot"))) command.slot = TRY(take_name());
  TRY(accept_word("physical"));
  if (is_word("logical")) {
    return not_served("logical replication is not served here", "Subscribe to the primary.");
  }
  const auto start = Lsn::parse(TRY(take(TokenKind::kLsn)));
  if (!start) return syntax_error("invalid streaming start location");
  command.start = *start;
  if (TRY(accept_word("timeline"))) command.timeline = TRY(take_timeline());
  return ReplicationCommand(std::move(command));
}

}  // namespace

Result<ReplicationCommand> parse_replication_command(std::string_view text) {
  return Parser(text).parse();
}

}  // namespace standfast::pg

#include "pg/format/sync_standby_names.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

constexpr std::string_view kBlanks = " \t\n\r\f\v";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool begins_name(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

struct Token {
  enum class Kind : std::uint8_t { kEnd, kName, kQuotedName, kNumber, kPunctuation, kBad };
  Kind kind = Kind::kEnd;
  std::string text;
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  Token next() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size()));
    if (rest_.empty()) return {};
    const char first = rest_.front();
    if (first == '"') return quoted();
    if (begins_name(first)) {
      return take(Token::Kind::kName, [](char c) { return begins_name(c) || is_digit(c) || c == '$'; });
    }
    if (is_digit(first)) return take(Token::Kind::kNumber, is_digit);
    rest_.remove_prefix(1);
    if (first == '*') return {Token::Kind::kName, "*"};
    const bool is_known = first == ',' || first == '(' || first == ')';
    return {is_known ? Token::Kind::kPunctuation : Token::Kind::kBad, std::string(1, first)};
  }

 private:
  template <typename Belongs>
  Token take(Token::Kind kind, Belongs belongs) {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), belongs);
    Token token{kind, std::string(rest_.begin(), end)};
    rest_.remove_prefix(token.text.size());
    return token;
  }

  Token quoted() {
    Token token{Token::Kind::kQuotedName, ""};
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"' && !rest_.starts_with('"')) return token;
      if (c == '"') rest_.remove_prefix(1);
      token.text += c;
    }
    return {Token::Kind::kBad, ""};
  }

  std::string_view rest_;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : scanner_(text) { advance(); }

  std::optional<SyncStandbyNames> parse() {
    SyncStandbyNames result;
    if (at_end()) return result;
    if (!read_head(result)) return std::nullopt;
    if (!result.is_plain_list && !take_punctuation("(")) return std::nullopt;
    do {
      if (!read_name(result)) return std::nullopt;
    } while (take_punctuation(","));
    if (!result.is_plain_list && !take_punctuation(")")) return std::nullopt;
    return at_end() ? std::optional(result) : std::nullopt;
  }

 private:
  bool at_end() const { return token_.kind == Token::Kind::kEnd; }
  void advance() { token_ = ahead_ ? *std::exchange(ahead_, std::nullopt) : scanner_.next(); }
  const Token& peek() {
    if (!ahead_) ahead_ = scanner_.next();
    return *ahead_;
  }
  bool take_punctuation(std::string_view text) {
    if (token_.kind != Token::Kind::kPunctuation || token_.text != text) return false;
    advance();
    return true;
  }

  /// "ANY 2 (", "FIRST 2 (", "2 (" or nothing of the kind.
  bool read_head(SyncStandbyNames& result) {
    if (token_.kind == Token::Kind::kName) {
      const bool is_any = equal_without_case(token_.text, "any");
      if (is_any || equal_without_case(token_.text, "first")) {
        result.method = is_any ? SyncMethod::kAny : SyncMethod::kFirst;
        advance();
        return read_count(result);
      }
    }
    const bool is_count =
        token_.kind == Token::Kind::kNumber && peek().kind == Token::Kind::kPunctuation && peek().text == "(";
    if (is_count) return read_count(result);
    result.is_plain_list = true;
    return true;
  }

  bool read_count(SyncStandbyNames& result) {
    if (token_.kind != Token::Kind::kNumber) return false;
    const auto parsed =
        std::from_chars(token_.text.data(), token_.text.data() + token_.text.size(), result.count);
    const bool fits = parsed.ec == std::errc() && result.count > 0 &&
                      result.count <= std::numeric_limits<std::int32_t>::max();
    advance();
    return fits;
  }

  bool read_name(SyncStandbyNames& result) {
    const bool is_name = token_.kind == Token::Kind::kName || token_.kind == Token::Kind::kQuotedName ||
                         token_.kind == Token::Kind::kNumber;
    const bool is_keyword = token_.kind == Token::Kind::kName && (equal_without_case(token_.text, "any") ||
                                                                  equal_without_case(token_.text, "first"));
    if (!is_name || is_keyword || token_.text.empty()) return false;
    result.names.push_back(token_.text);
    advance();
    return true;
  }

  Scanner scanner_;
  Token token_;
  std::optional<Token> ahead_;
};

std::string quoted(const std::string& name) {
  if (name == "*") return name;
  std::string text = "\"";
  for (const char c : name) {
    if (c == '"') text += '"';
    text += c;
  }
  return text + '"';
}

}  // namespace

std::optional<SyncStandbyNames> SyncStandbyNames::parse(std::string_view text) {
  return Parser(text).parse();
}

std::string SyncStandbyNames::to_string() const {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + quoted(name);
  if (names.empty() || is_plain_list) return list;
  return fmt::format("{} {} ({})", method == SyncMethod::kAny ? "ANY" : "FIRST", count, list);
}

bool SyncStandbyNames::names_it(std::string_view name) const {
  return std::any_of(names.begin(), names.end(),
                     [&](const auto& each) { return equal_without_case(each, name); });
}

}  // namespace standfast::pg

#include "pg/format/conninfo.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kMask = "********";
constexpr std::array<std::string_view, 5> kSecretKeywords = {"password", "sslpassword", "scram_client_key",
                                                             "scram_server_key", "oauth_client_secret"};

/// isspace() of the C locale.
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

Error malformed(std::string_view what) {
  return Error(
      ErrorCode::kUsage, fmt::format("connection string: {}", what),
      "Write it as keyword=value pairs with blanks between them, values with blanks in single quotes.");
}

/// Reads one connection string from left to right.
class ConninfoReader {
 public:
  explicit ConninfoReader(std::string_view text) : text_(text) {}

  bool at_end() {
    skip_space();
    return position_ >= text_.size();
  }

  Result<std::string> keyword() {
    const std::size_t begin = position_;
    while (position_ < text_.size() && text_[position_] != '=' && !is_space(text_[position_])) ++position_;
    std::string keyword(text_.substr(begin, position_ - begin));
    skip_space();
    if (position_ >= text_.size() || text_[position_] != '=') {
      return malformed("a keyword without = after it");
    }
    if (keyword.empty()) return malformed("a value without a keyword");
    ++position_;
    skip_space();
    return keyword;
  }

  Result<std::string> value() {
    if (position_ < text_.size() && text_[position_] == '\'') return quoted_value();
    std::string value;
    while (position_ < text_.size() && !is_space(text_[position_])) take_character(value);
    return value;
  }

 private:
  Result<std::string> quoted_value() {
    ++position_;
    std::string value;
    while (position_ < text_.size() && text_[position_] != '\'') take_character(value);
    if (position_ >= text_.size()) return malformed("a quoted value does not end");
    ++position_;
    return value;
  }

  /// A backslash gives the character after it; a lone one at the end gives nothing, as in libpq.
  void take_character(std::string& value) {
    if (text_[position_] == '\\') ++position_;
    if (position_ < text_.size()) value.push_back(text_[position_++]);
  }

  void skip_space() {
    while (position_ < text_.size() && is_space(text_[position_])) ++position_;
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

template <typename Quote>
std::string join_pairs(const std::vector<Conninfo::Pair>& pairs, Quote value_of) {
  std::string text;
  for (const Conninfo::Pair& pair : pairs) {
    if (!text.empty()) text.push_back(' ');
    text += pair.first + '=' + value_of(pair);
  }
  return text;
}

bool is_keyword(std::string_view keyword) {
  return !keyword.empty() && std::none_of(keyword.begin(), keyword.end(),
                                          [](char c) { return is_space(c) || c == '=' || c == '\0'; });
}

}  // namespace

Result<Conninfo> Conninfo::parse(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return malformed("it has a zero byte in it");
  Conninfo conninfo;
  ConninfoReader reader(text);
  while (!reader.at_end()) {
    const std::string keyword = TRY(reader.keyword());
    conninfo.set(keyword, TRY(reader.value()));
  }
  return conninfo;
}

std::optional<std::string> Conninfo::get(std::string_view keyword) const {
  for (const Pair& pair : pairs_) {
    if (pair.first == keyword) return pair.second;
  }
  return std::nullopt;
}

void Conninfo::set(std::string_view keyword, std::string_view value) {
  CHECK(is_keyword(keyword));
  CHECK(value.find('\0') == std::string_view::npos);
  for (Pair& pair : pairs_) {
    if (pair.first != keyword) continue;
    pair.second = std::string(value);
    return;
  }
  pairs_.emplace_back(keyword, value);
}

bool Conninfo::remove(std::string_view keyword) {
  return std::erase_if(pairs_, [&](const Pair& pair) { return pair.first == keyword; }) > 0;
}

std::string Conninfo::to_string() const {
  return join_pairs(pairs_, [](const Pair& pair) { return quote_conninfo_value(pair.second); });
}

std::string Conninfo::masked() const {
  return join_pairs(pairs_, [](const Pair& pair) {
    return is_secret_keyword(pair.first) ? std::string(kMask) : quote_conninfo_value(pair.second);
  });
}

bool is_secret_keyword(std::string_view keyword) {
  return std::find(kSecretKeywords.begin(), kSecretKeywords.end(), keyword) != kSecretKeywords.end();
}

std::string quote_conninfo_value(std::string_view value) {
  const auto needs_quotes = [](char c) { return is_space(c) || c == '\'' || c == '\\' || c == '='; };
  if (!value.empty() && std::none_of(value.begin(), value.end(), needs_quotes)) return std::string(value);
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted.push_back('\'');
  return quoted;
}

}  // namespace standfast::pg

#include "pg/format/conf_file.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

enum class TokenKind { kEnd, kId, kQualifiedId, kString, kUnquotedString, kInteger, kReal, kEquals, kJunk };

struct ConfToken {
  TokenKind kind = TokenKind::kEnd;
  std::size_t begin = 0;
  std::size_t size = 0;
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_letter(char c) {
  return is_ascii_letter(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_letter_or_digit(char c) {
  return is_letter(c) || is_digit(c);
}
bool is_unquoted_tail(char c) {
  return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_' || c == ':' || c == '/';
}

template <typename Predicate>
std::size_t run_of(std::string_view text, std::size_t from, Predicate predicate) {
  std::size_t end = from;
  while (end < text.size() && predicate(text[end])) ++end;
  return end - from;
}

// The matchers give the length of the longest match at the beginning of the text, 0 for none.

std::size_t match_id(std::string_view text) {
  return !text.empty() && is_letter(text[0]) ? run_of(text, 0, is_letter_or_digit) : 0;
}

std::size_t match_qualified_id(std::string_view text) {
  const std::size_t first = match_id(text);
  if (first == 0 || first >= text.size() || text[first] != '.') return 0;
  const std::size_t second = match_id(text.substr(first + 1));
  return second == 0 ? 0 : first + 1 + second;
}

std::size_t match_string(std::string_view text) {
  if (text.empty() || text[0] != '\'') return 0;
  std::size_t longest = 0;
  for (std::size_t i = 1; i < text.size();) {
    if (text[i] == '\\') {
      i += 2;
    } else if (text[i] == '\'') {
      longest = i + 1;
      if (i + 1 >= text.size() || text[i + 1] != '\'') break;
      i += 2;
    } else {
      ++i;
    }
  }
  return longest;
}

std::size_t match_unquoted_string(std::string_view text) {
  return !text.empty() && is_letter(text[0]) ? run_of(text, 0, is_unquoted_tail) : 0;
}

std::size_t sign_size(std::string_view text) {
  return !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
}

std::size_t match_integer(std::string_view text) {
  const std::size_t sign = sign_size(text);
  const std::size_t digits = run_of(text, sign, is_digit);
  if (digits == 0) return 0;
  std::size_t end = sign + digits;
  end += run_of(text, end, is_ascii_letter);
  if (text.substr(sign, 2) == "0x") {
    const std::size_t hex = run_of(text, sign + 2, is_hex_digit);
    if (hex > 0) end = std::max(end, sign + 2 + hex + run_of(text, sign + 2 + hex, is_ascii_letter));
  }
  return end;
}

std::size_t match_real(std::string_view text) {
  std::size_t end = sign_size(text);
  end += run_of(text, end, is_digit);
  if (end >= text.size() || text[end] != '.') return 0;
  ++end;
  end += run_of(text, end, is_digit);
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    const std::size_t sign = sign_size(text.substr(end + 1));
    const std::size_t digits = run_of(text, end + 1 + sign, is_digit);
    if (digits > 0) end += 1 + sign + digits;
  }
  return end;
}

/// The token at or after `position` of one line: the longest match, and of equals the first, as flex has it.
ConfToken next_token(std::string_view line, std::size_t position) {
  position += run_of(line, position, [](char c) { return c == ' ' || c == '\t' || c == '\r'; });
  if (position >= line.size() || line[position] == '#' || line[position] == '\n') {
    return {TokenKind::kEnd, position, 0};
  }
  const std::string_view rest = line.substr(position);
  ConfToken token{TokenKind::kJunk, position, 1};
  std::size_t longest = 0;
  const auto offer = [&](TokenKind kind, std::size_t size) {
    if (size <= longest) return;
    longest = size;
    token = {kind, position, size};
  };
  offer(TokenKind::kId, match_id(rest));
  offer(TokenKind::kQualifiedId, match_qualified_id(rest));
  offer(TokenKind::kString, match_string(rest));
  offer(TokenKind::kUnquotedString, match_unquoted_string(rest));
  offer(TokenKind::kInteger, match_integer(rest));
  offer(TokenKind::kReal, match_real(rest));
  offer(TokenKind::kEquals, rest[0] == '=' ? 1 : 0);
  return token;
}

bool is_value(TokenKind kind) {
  switch (kind) {
    case TokenKind::kId:
    case TokenKind::kString:
    case TokenKind::kUnquotedString:
    case TokenKind::kInteger:
    case TokenKind::kReal:
      return true;
    case TokenKind::kEnd:
    case TokenKind::kQualifiedId:
    case TokenKind::kEquals:
    case TokenKind::kJunk:
      break;
  }
  return false;
}

bool is_octal_digit(char c) {
  return c >= '0' && c <= '7';
}

/// The character after a backslash, octal numbers apart.
char unescape(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

/// `quoted` is a whole string token with its quotes.
std::string unquote(std::string_view quoted) {
  const std::string_view inner = quoted.substr(1, quoted.size() - 2);
  std::string value;
  value.reserve(inner.size());
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] == '\\' && i + 1 < inner.size()) {
      ++i;
      if (!is_octal_digit(inner[i])) {
        value.push_back(unescape(inner[i]));
        continue;
      }
      unsigned number = 0;
      std::size_t digits = 0;
      for (; digits < 3 && i + digits < inner.size() && is_octal_digit(inner[i + digits]); ++digits) {
        number = number * 8 + static_cast<unsigned>(inner[i + digits] - '0');
      }
      i += digits - 1;
      value.push_back(static_cast<char>(number & 0xFFU));
    } else {
      if (inner[i] == '\'') ++i;  // the first of two
      value.push_back(inner[i]);
    }
  }
  return value;
}

char fold(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// guc_name_compare(): without case, of ASCII letters only.
bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char left, char right) { return fold(left) == fold(right); });
}

ConfEntryKind kind_of(std::string_view name) {
  if (same_name(name, "include")) return ConfEntryKind::kInclude;
  if (same_name(name, "include_if_exists")) return ConfEntryKind::kIncludeIfExists;
  if (same_name(name, "include_dir")) return ConfEntryKind::kIncludeDir;
  return ConfEntryKind::kSetting;
}

Error syntax_error(std::size_t line_number, std::string_view what) {
  return Error(ErrorCode::kProtocol, fmt::format("line {}: {}", line_number, what),
               "Correct that line, PostgreSQL does not take it either.");
}

std::string_view line_end_of(std::string_view text) {
  if (text.ends_with("\r\n")) return "\r\n";
  return text.ends_with('\n') ? "\n" : "";
}

}  // namespace

Result<ConfFile::Line> ConfFile::parse_line(std::string_view text, std::size_t line_number) {
  Line line;
  line.text = std::string(text);
  const ConfToken name = next_token(text, 0);
  if (name.kind == TokenKind::kEnd) return line;
  if (name.kind != TokenKind::kId && name.kind != TokenKind::kQualifiedId) {
    return syntax_error(line_number, "a setting's name is expected");
  }
  ConfToken value = next_token(text, name.begin + name.size);
  if (value.kind == TokenKind::kEquals) value = next_token(text, value.begin + value.size);
  if (value.kind == TokenKind::kEnd) return syntax_error(line_number, "the setting has no value");
  if (!is_value(value.kind)) return syntax_error(line_number, "the value is not understood");
  if (next_token(text, value.begin + value.size).kind != TokenKind::kEnd) {
    return syntax_error(line_number, "more after the value than a comment");
  }

  const std::string_view raw = text.substr(value.begin, value.size);
  ConfEntry entry;
  entry.name = std::string(text.substr(name.begin, name.size));
  entry.value = value.kind == TokenKind::kString ? unquote(raw) : std::string(raw);
  entry.line_number = line_number;
  entry.kind = kind_of(entry.name);
  if (entry.value.find('\0') != std::string::npos) {
    return syntax_error(line_number, "the value has a zero byte in it");
  }
  line.entry = std::move(entry);
  line.value_begin = value.begin;
  line.value_size = value.size;
  return line;
}

Result<ConfFile> ConfFile::parse(std::string_view text) {
  if (text.size() > kMaxConfFileBytes) {
    return Error(ErrorCode::kProtocol, "the configuration file is too large to be one");
  }
  ConfFile file;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t newline = text.find('\n', begin);
    const std::size_t end = newline == std::string_view::npos ? text.size() : newline + 1;
    file.lines_.push_back(TRY(parse_line(text.substr(begin, end - begin), file.lines_.size() + 1)));
    begin = end;
  }
  file.rebuild_entries();
  return file;
}

std::optional<std::string> ConfFile::get(std::string_view name) const {
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(), [&](const ConfEntry& entry) {
    return entry.kind == ConfEntryKind::kSetting && same_name(entry.name, name);
  });
  if (found == entries_.rend()) return std::nullopt;
  return found->value;
}

void ConfFile::set(std::string_view name, std::string_view value) {
  CHECK(is_setting_name(name));
  const auto is_it = [&](const Line& line) { return line.entry && same_name(line.entry->name, name); };
  const auto last = std::find_if(lines_.rbegin(), lines_.rend(), is_it);
  if (last == lines_.rend()) {
    append(name, value);
  } else {
    const std::string quoted = quote_conf_value(value);
    last->text.replace(last->value_begin, last->value_size, quoted);
    last->value_size = quoted.size();
    last->entry->value = std::string(value);
    const auto kept = last.base() - 1;
    lines_.erase(std::remove_if(lines_.begin(), kept, is_it), kept);
  }
  rebuild_entries();
}

bool ConfFile::remove(std::string_view name) {
  const std::size_t erased = std::erase_if(lines_, [&](const Line& line) {
    return line.entry && line.entry->kind == ConfEntryKind::kSetting && same_name(line.entry->name, name);
  });
  rebuild_entries();
  return erased > 0;
}

std::string ConfFile::to_text() const {
  std::string text;
  for (const Line& line : lines_) text += line.text;
  return text;
}

void ConfFile::append(std::string_view name, std::string_view value) {
  std::string_view line_end = lines_.empty() ? "" : line_end_of(lines_.front().text);
  if (line_end.empty()) line_end = "\n";
  if (!lines_.empty() && line_end_of(lines_.back().text).empty()) lines_.back().text += line_end;
  auto line =
      parse_line(fmt::format("{} = {}{}", name, quote_conf_value(value), line_end), lines_.size() + 1);
  CHECK(line.has_value() && line->entry && line->entry->value == value);
  lines_.push_back(std::move(*line));
}

void ConfFile::rebuild_entries() {
  entries_.clear();
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (!lines_[i].entry) continue;
    lines_[i].entry->line_number = i + 1;
    entries_.push_back(*lines_[i].entry);
  }
}

bool is_setting_name(std::string_view name) {
  const bool is_name =
      !name.empty() && (match_id(name) == name.size() || match_qualified_id(name) == name.size());
  return is_name && kind_of(name) == ConfEntryKind::kSetting;
}

std::string quote_conf_value(std::string_view value) {
  CHECK(value.find('\0') == std::string_view::npos);
  std::string quoted = "'";
  for (const char c : value) {
    switch (c) {
      case '\'':
        quoted += "''";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      case '\n':
        quoted += "\\n";
        break;
      case '\r':
        quoted += "\\r";
        break;
      default:
        quoted.push_back(c);
    }
  }
  quoted.push_back('\'');
  return quoted;
}

}  // namespace standfast::pg

#include "pg/format/passfile.h"

#include <utility>

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Secret;

struct PassfileField {
  std::string text;
  bool is_any = false;
  bool ended_by_colon = false;
};

/// The field at the beginning of `rest`, which loses it and the colon after it.
PassfileField take_field(std::string_view& rest) {
  PassfileField field;
  if (rest.starts_with("*:")) {
    field.is_any = true;
    field.ended_by_colon = true;
    rest.remove_prefix(2);
    return field;
  }
  std::size_t i = 0;
  for (; i < rest.size() && rest[i] != ':'; ++i) {
    if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
    field.text.push_back(rest[i]);
  }
  field.ended_by_colon = i < rest.size();
  rest.remove_prefix(field.ended_by_colon ? i + 1 : i);
  return field;
}

void append_escaped(std::string& line, std::string_view text) {
  for (const char c : text) {
    if (c == ':' || c == '\\') line.push_back('\\');
    line.push_back(c);
  }
}

void append_field(std::string& line, const std::optional<std::string>& field) {
  if (!field) {
    line += "*:";
    return;
  }
  // A lone '*' would mean anything, and a line that begins with '#' is a comment.
  if (*field == "*" || (line.empty() && field->starts_with('#'))) line.push_back('\\');
  append_escaped(line, *field);
  line.push_back(':');
}

bool is_writable(std::string_view text) {
  return text.find_first_of(std::string_view("\n\r\0", 3)) == std::string_view::npos;
}

bool fits(const std::optional<std::string>& field, const std::string& wanted) {
  return !field || *field == wanted;
}

}  // namespace

Result<PassfileEntry> parse_passfile_line(std::string_view line) {
  if (!is_writable(line)) {
    return Error(ErrorCode::kProtocol, "password file: a line with a line end or zero byte in it");
  }
  PassfileEntry entry;
  std::string_view rest = line;
  for (std::optional<std::string>* field : {&entry.host, &entry.port, &entry.database, &entry.user}) {
    PassfileField taken = take_field(rest);
    if (!taken.ended_by_colon) {
      return Error(ErrorCode::kProtocol, "password file: a line without its five fields",
                   "Write each line as host:port:database:user:password.");
    }
    if (!taken.is_any) *field = std::move(taken.text);
  }
  // Here '*' is no wildcard, and what follows a further colon libpq leaves out.
  if (rest.starts_with("*:")) {
    entry.password = Secret("*");
  } else {
    entry.password = Secret(take_field(rest).text);
  }
  return entry;
}

Result<Secret> render_passfile_line(const PassfileEntry& entry) {
  for (const std::optional<std::string>* field : {&entry.host, &entry.port, &entry.database, &entry.user}) {
    if (*field && !is_writable(**field)) {
      return Error(ErrorCode::kUsage,
                   "a password file cannot hold a name with a line end or zero byte in it");
    }
  }
  if (!is_writable(entry.password.reveal())) {
    return Error(ErrorCode::kUsage,
                 "a password file cannot hold a password with a line end or zero byte in it",
                 "Choose another password.");
  }
  std::string line;
  append_field(line, entry.host);
  append_field(line, entry.port);
  append_field(line, entry.database);
  append_field(line, entry.user);
  append_escaped(line, entry.password.reveal());
  return Secret(std::move(line));
}

std::vector<PassfileEntry> parse_passfile(std::string_view text) {
  std::vector<PassfileEntry> entries;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    auto entry = parse_passfile_line(line);
    if (entry.has_value()) entries.push_back(std::move(*entry));
  }
  return entries;
}

std::optional<Secret> find_password(const std::vector<PassfileEntry>& entries, const PassfileKey& key) {
  for (const PassfileEntry& entry : entries) {
    if (!fits(entry.host, key.host) || !fits(entry.port, key.port) || !fits(entry.database, key.database) ||
        !fits(entry.user, key.user)) {
      continue;
    }
    if (entry.password.empty()) return std::nullopt;
    return entry.password;
  }
  return std::nullopt;
}

}  // namespace standfast::pg

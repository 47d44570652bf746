// Connection strings of the keyword=value kind (libpq/fe-connect.c conninfo_parse()). URIs, services and
// defaults are libpq's to read.
//
// Threading: values. Ownership: owns its pairs. A Conninfo may hold a password: it is printed with masked(),
// and to_string() goes to libpq or into a file that only its owner reads.
// Fails: kUsage for a string libpq would not take; the message never quotes a value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace standfast::pg {

class Conninfo {
 public:
  using Pair = std::pair<std::string, std::string>;

  static base::Result<Conninfo> parse(std::string_view text);

  std::optional<std::string> get(std::string_view keyword) const;
  /// Replaces the value in place, or appends the pair. Keywords are libpq's: lower case, no blanks, no '='.
  void set(std::string_view keyword, std::string_view value);
  bool remove(std::string_view keyword);
  /// In the order they were set, quoted only where libpq needs it.
  std::string to_string() const;
  /// The same with "********" for each password and key.
  std::string masked() const;
  const std::vector<Pair>& pairs() const { return pairs_; }
  bool operator==(const Conninfo&) const = default;

 private:
  std::vector<Pair> pairs_;
};

/// Whether the value of this keyword must not be seen.
bool is_secret_keyword(std::string_view keyword);
/// A value as it stands after '=': bare, or in single quotes with quotes and backslashes escaped.
std::string quote_conninfo_value(std::string_view value);

}  // namespace standfast::pg

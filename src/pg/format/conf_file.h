// postgresql.conf and postgresql.auto.conf, read and edited without touching the lines that stay
// (utils/misc/guc-file.l: its tokens, its quoting, one setting a line).
//
// Threading: values. Ownership: owns its text.
// Invariant: to_text() of a parsed file is the file, byte for byte: comments, CRLF and a missing last newline
// stay; set() and remove() change only the lines of their setting.
// Fails: a line PostgreSQL would not take gives kProtocol with its number; the file is then left alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace standfast::pg {

/// Larger than any configuration file a person keeps.
inline constexpr std::size_t kMaxConfFileBytes = std::size_t{16} << 20U;

enum class ConfEntryKind : std::uint8_t { kSetting, kInclude, kIncludeIfExists, kIncludeDir };

struct ConfEntry {
  std::string name;   ///< as written, or as set() was given it
  std::string value;  ///< without quotes and escapes; the path of an include
  std::size_t line_number = 0;
  ConfEntryKind kind = ConfEntryKind::kSetting;
};

class ConfFile {
 public:
  ConfFile() = default;
  static base::Result<ConfFile> parse(std::string_view text);

  /// The value in force as far as this file alone tells: the last setting of that name, without case.
  std::optional<std::string> get(std::string_view name) const;
  /// Replaces the last setting of that name in place, or appends a line, and takes out its other settings.
  /// The name must be one (is_setting_name()), the value free of zero bytes.
  void set(std::string_view name, std::string_view value);
  /// Takes out every setting of that name; says whether there was one.
  bool remove(std::string_view name);
  std::string to_text() const;
  /// Settings and includes in the order of the file.
  const std::vector<ConfEntry>& entries() const { return entries_; }

 private:
  struct Line {
    std::string text;                ///< with its line end, if it has one
    std::optional<ConfEntry> entry;  ///< none for comments and blank lines
    std::size_t value_begin = 0;     ///< where the value stands in the text, quotes and all
    std::size_t value_size = 0;
  };
  static base::Result<Line> parse_line(std::string_view text, std::size_t line_number);
  void append(std::string_view name, std::string_view value);
  void rebuild_entries();

  std::vector<Line> lines_;
  std::vector<ConfEntry> entries_;
};

/// Letters, digits, underscores, at most one dot as in "plpgsql.extra_errors"; not one of the include words.
bool is_setting_name(std::string_view name);
/// In single quotes, with quotes and backslashes doubled and line ends as \n and \r; reads back as `value`.
std::string quote_conf_value(std::string_view value);

}  // namespace standfast::pg

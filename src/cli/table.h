// Tables for people: aligned columns, and psql's expanded view (\x).
//
// Threading: values. Widths are those of a terminal's columns, so that Chinese text and combining marks line
// up; control characters are shown as '?', so that nothing a server says can move the cursor.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace standfast::cli {

/// Columns that `text` takes on a terminal.
int display_width(std::string_view text);
/// The text with every control character and every byte that is no UTF-8 replaced by '?'.
std::string printable(std::string_view text);

enum class Align { kLeft, kRight };

class Table {
 public:
  explicit Table(std::vector<std::pair<std::string, Align>> columns) : columns_(std::move(columns)) {}
  /// As many cells as there are columns.
  void add_row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// A header, a rule and the rows, two blanks between columns, each line ended.
  std::string to_string() const;

 private:
  std::vector<std::pair<std::string, Align>> columns_;
  std::vector<std::vector<std::string>> rows_;
};

using Record = std::vector<std::pair<std::string, std::string>>;
/// "-[ RECORD 1 ]---+---" and a line for each name and value. "(0 rows)" if there is none.
std::string expanded_view(const std::vector<Record>& records);

}  // namespace standfast::cli

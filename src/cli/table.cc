#include "cli/table.h"

#include <algorithm>
#include <clocale>
#include <cstdint>
#include <cwchar>
#include <optional>

#include <fmt/format.h>
#include <locale.h>

#include "base/check.h"

namespace standfast::cli {
namespace {

struct Decoded {
  char32_t code_point = 0;
  std::size_t bytes = 1;
};

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// The first code point of a text that is not empty; no value if it does not begin with well-formed UTF-8.
std::optional<Decoded> decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return Decoded{lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return std::nullopt;
  char32_t code_point = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_continuation(text[i])) return std::nullopt;
    code_point = (code_point << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code_point < kSmallest[bytes] || code_point > 0x10FFFF) return std::nullopt;
  return Decoded{code_point, bytes};
}

/// -1 for what is not printable. The locale is asked for by name, since the program's own may be "C".
int columns_of(char32_t code_point) {
  if (code_point < 0x80) return code_point < 0x20 || code_point == 0x7F ? -1 : 1;
  static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (utf8 == nullptr) return code_point < 0xA0 ? -1 : 1;
  const locale_t before = uselocale(utf8);
  const int columns = wcwidth(static_cast<wchar_t>(code_point));
  uselocale(before);
  return columns;
}

std::string padded(const std::string& text, int columns, Align align) {
  const std::string blanks(static_cast<std::size_t>(std::max(0, columns - display_width(text))), ' ');
  return align == Align::kLeft ? text + blanks : blanks + text;
}

std::string rule(int columns) {
  return std::string(static_cast<std::size_t>(std::max(0, columns)), '-');
}

void append_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

}  // namespace

int display_width(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const std::optional<Decoded> next = decode(text);
    columns += next ? std::max(0, columns_of(next->code_point)) : 1;
    text.remove_prefix(next ? next->bytes : 1);
  }
  return columns;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::optional<Decoded> next = decode(text);
    const std::size_t bytes = next ? next->bytes : 1;
    if (next && columns_of(next->code_point) >= 0) {
      out += text.substr(0, bytes);
    } else {
      out += '?';
    }
    text.remove_prefix(bytes);
  }
  return out;
}

void Table::add_row(std::vector<std::string> cells) {
  CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::to_string() const {
  std::vector<int> widths;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    int width = display_width(columns_[column].first);
    for (const auto& row : rows_) width = std::max(width, display_width(row[column]));
    widths.push_back(width);
  }
  std::string header, line, out;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    const std::string gap = column == 0 ? "" : "  ";
    header += gap + padded(columns_[column].first, widths[column], columns_[column].second);
    line += gap + rule(widths[column]);
  }
  append_line(out, header);
  append_line(out, line);
  for (const auto& row : rows_) {
    std::string text;
    for (std::size_t column = 0; column < row.size(); ++column) {
      text += (column == 0 ? "" : "  ") + padded(row[column], widths[column], columns_[column].second);
    }
    append_line(out, text);
  }
  return out;
}

std::string expanded_view(const std::vector<Record>& records) {
  if (records.empty()) return "(0 rows)\n";
  int name_width = 0;
  int value_width = 0;
  for (const Record& record : records) {
    for (const auto& [name, value] : record) {
      name_width = std::max(name_width, display_width(name));
      value_width = std::max(value_width, display_width(printable(value)));
    }
  }
  std::string out;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string title = fmt::format("-[ RECORD {} ]", i + 1);
    const int left = std::max(name_width + 1, static_cast<int>(title.size()));
    append_line(
        out, title + rule(left - static_cast<int>(title.size())) + "+" + rule(std::max(1, value_width + 1)));
    for (const auto& [name, value] : records[i]) {
      append_line(out, padded(name, left, Align::kLeft) + "| " + printable(value));
    }
  }
  return out;
}

}  // namespace standfast::cli

#include "pg/format/relation_file.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/number.h"

namespace standfast::pg {
namespace {

struct ForkSuffix {
  Fork fork;
  std::string_view suffix;
};
constexpr std::array<ForkSuffix, 3> kForks = {
    {{Fork::kFreeSpace, "_fsm"}, {Fork::kVisibility, "_vm"}, {Fork::kInit, "_init"}}};

bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

std::size_t count_digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

/// The number that `rest` begins with, taken off it: in 32 bits, without a leading zero, so that each has one
/// form.
std::optional<std::uint32_t> take_number(std::string_view& rest) {
  const std::string_view digits = rest.substr(0, count_digits(rest));
  if (digits.starts_with('0')) return std::nullopt;
  rest.remove_prefix(digits.size());
  return base::parse_number<std::uint32_t>(digits);
}

bool is_number(std::string_view text) {
  const auto number = take_number(text);
  return number && text.empty();
}

/// "PG_15_202209061": what the server's release calls its folder in a tablespace.
bool is_release_folder(std::string_view name) {
  if (!name.starts_with("PG_")) return false;
  name.remove_prefix(3);
  const std::size_t underscore = name.find('_');
  return underscore != std::string_view::npos && is_number(name.substr(0, underscore)) &&
         is_number(name.substr(underscore + 1));
}

/// Takes the first folder off `rest`; no value where there is only a name left.
std::optional<std::string_view> take_folder(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view folder = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  return folder;
}

}  // namespace

std::optional<RelationFile> parse_relation_file_name(std::string_view name) {
  RelationFile file;
  const auto relation = take_number(name);
  if (!relation) return std::nullopt;
  file.relation = *relation;
  for (const ForkSuffix& fork : kForks)
    if (name.starts_with(fork.suffix)) {
      file.fork = fork.fork;
      name.remove_prefix(fork.suffix.size());
      break;
    }
  if (name.empty()) return file;
  if (!name.starts_with('.')) return std::nullopt;
  name.remove_prefix(1);
  const auto segment = take_number(name);
  if (!segment || !name.empty()) return std::nullopt;
  file.segment = *segment;
  return file;
}

std::optional<RelationFile> parse_relation_path(std::string_view path) {
  auto folder = take_folder(path);
  if (folder == "global") return parse_relation_file_name(path);
  if (folder == "pg_tblspc") {
    if (const auto tablespace = take_folder(path); !tablespace || !is_number(*tablespace))
      return std::nullopt;
    folder = take_folder(path);
    if (folder == "base") return std::nullopt;
  }
  if (!folder || (*folder != "base" && !is_release_folder(*folder))) return std::nullopt;
  const auto database = take_folder(path);
  if (!database || !is_number(*database)) return std::nullopt;
  return parse_relation_file_name(path);
}

}  // namespace standfast::pg

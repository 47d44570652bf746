// postgresql.conf: a file that is read comes back byte for byte; set and remove do what they say and nothing
// to other settings. Input: name, newline, value up to a zero byte, then the file.
#include <algorithm>
#include <string>

#include "fuzz_input.h"
#include "pg/format/conf_file.h"

namespace {

using standfast::pg::ConfEntry;
using standfast::pg::ConfEntryKind;
using standfast::pg::ConfFile;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

/// All entries but the settings of that name.
std::string others(const ConfFile& file, const std::string& name) {
  std::string out;
  for (const ConfEntry& entry : file.entries()) {
    const bool is_it = entry.kind == ConfEntryKind::kSetting && lower(entry.name) == lower(name);
    if (!is_it) out += entry.name + '=' + entry.value + '\n';
  }
  return out;
}

void check_edits(const ConfFile& file, const std::string& name, const std::string& value) {
  const std::string before = others(file, name);
  ConfFile changed = file;
  changed.set(name, value);
  CHECK(changed.get(name) == value);
  const std::string text = changed.to_text();
  const auto again = ConfFile::parse(text);
  CHECK(again.has_value());
  CHECK(again->get(name) == value);
  CHECK(again->entries().size() == changed.entries().size());
  CHECK(others(*again, name) == before);
  changed.set(name, value);
  CHECK(changed.to_text() == text);
  CHECK(changed.remove(name));
  CHECK(!changed.get(name).has_value());
  CHECK(others(changed, name) == before);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = standfast::fuzz::as_text(data, size);
  const std::string name(standfast::fuzz::take_until(rest, '\n'));
  const std::string value(standfast::fuzz::take_until(rest, '\0'));
  const auto file = ConfFile::parse(rest);
  if (!file.has_value()) return 0;
  CHECK(file->to_text() == rest);
  if (standfast::pg::is_setting_name(name)) check_edits(*file, name, value);
  return 0;
}

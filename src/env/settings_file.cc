#include "env/settings_file.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace standfast::env {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

template <typename All>
auto find_named(const All& all, std::string_view name) {
  return std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
}

}  // namespace

struct SettingsFile::Content {
  std::string file;
  toml::table root;

  Error bad(const toml::node& node, std::string_view what, std::string hint) const {
    return {ErrorCode::kUsage, fmt::format("\"{}\" line {}: {}", file, node.source().begin.line, what),
            std::move(hint)};
  }
  /// Null: it is not set.
  const toml::node* find(std::string_view section, std::string_view key) const {
    const toml::table* table = root[section].as_table();
    return table == nullptr ? nullptr : table->get(key);
  }
  Result<void> check(const Form& form) const {
    const std::string see_help = fmt::format("See standfast help {} for what can be set.", form.command);
    for (const auto& [name, node] : root) {
      const auto section = find_named(form.sections, name.str());
      if (section == form.sections.end())
        return bad(node, fmt::format("unknown key \"{}\"", name.str()), see_help);
      const toml::table* table = node.as_table();
      if (table == nullptr) {
        return bad(node, fmt::format("\"{}\" is not a section", name.str()),
                   fmt::format("Write [{}] on a line of its own.", name.str()));
      }
      for (const auto& [key, value] : *table) {
        if (std::find(section->keys.begin(), section->keys.end(), key.str()) == section->keys.end())
          return bad(value, fmt::format("unknown key \"{}\" of [{}]", key.str(), name.str()), see_help);
      }
    }
    return base::ok();
  }
};

Result<SettingsFile> SettingsFile::parse(std::string_view text, std::string_view file, const Form& form) {
  auto content = std::make_shared<Content>();
  content->file = file;
  try {
    content->root = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return Error(ErrorCode::kUsage,
                 fmt::format("\"{}\" line {}: {}", file, error.source().begin.line, error.description()),
                 fmt::format("See standfast help {} for how it is written.", form.command));
  }
  TRY(content->check(form));
  return SettingsFile(std::move(content));
}

Result<std::optional<std::string>> SettingsFile::text(std::string_view section, std::string_view key) const {
  const toml::node* node = content_->find(section, key);
  if (node == nullptr) return std::optional<std::string>();
  if (const auto* value = node->as_string(); value != nullptr && !value->get().empty())
    return std::optional(value->get());
  return content_->bad(*node, fmt::format("{} must be a text", key), "Put it in double quotes.");
}

Result<std::vector<std::string>> SettingsFile::texts(std::string_view section, std::string_view key) const {
  std::vector<std::string> result;
  const toml::node* node = content_->find(section, key);
  if (node == nullptr) return result;
  const toml::array* list = node->as_array();
  if (list == nullptr)
    return content_->bad(*node, fmt::format("{} must be a list", key), "Write it as [\"one\", \"two\"].");
  for (const toml::node& each : *list) {
    if (!each.is_string())
      return content_->bad(each, fmt::format("{} must be a list of texts", key),
                           "Put each in double quotes.");
    result.push_back(each.as_string()->get());
  }
  return result;
}

Result<std::optional<bool>> SettingsFile::flag(std::string_view section, std::string_view key) const {
  const toml::node* node = content_->find(section, key);
  if (node == nullptr) return std::optional<bool>();
  if (const auto* value = node->as_boolean()) return std::optional(value->get());
  return content_->bad(*node, fmt::format("{} must be true or false", key), "Write it without quotes.");
}

Result<std::optional<std::uint32_t>> SettingsFile::count(std::string_view section, std::string_view key,
                                                         std::uint32_t most) const {
  const toml::node* node = content_->find(section, key);
  if (node == nullptr) return std::optional<std::uint32_t>();
  const auto* value = node->as_integer();
  if (value != nullptr && value->get() >= 1 && value->get() <= most)
    return std::optional(static_cast<std::uint32_t>(value->get()));
  return content_->bad(*node, fmt::format("{} must be a number from 1 to {}", key, most),
                       "Write it without quotes.");
}

Error SettingsFile::not_understood(std::string_view section, std::string_view key, std::string_view written,
                                   std::string_view example) const {
  return content_->bad(*content_->find(section, key),
                       fmt::format("{} \"{}\" is not understood", key, written),
                       fmt::format("Write it as \"{}\".", example));
}

}  // namespace standfast::env

// A configuration file in TOML, of sections with keys that are known: what all of ours have in common.
//
// Threading: a value; reading in any thread. Pure. Fails with kUsage, which names the file, the line and the
// key: a section or a key that is not known, a wrong type, a number out of bounds.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace standfast::env {

class SettingsFile {
 public:
  struct Section {
    std::string_view name;
    std::vector<std::string_view> keys;
  };
  struct Form {
    std::string_view command;  ///< whose help says what can be set
    std::vector<Section> sections;
  };
  /// `file` is for messages.
  static base::Result<SettingsFile> parse(std::string_view text, std::string_view file, const Form& form);

  // No value, or an empty list: it is not set.
  base::Result<std::optional<std::string>> text(std::string_view section, std::string_view key) const;
  base::Result<std::vector<std::string>> texts(std::string_view section, std::string_view key) const;
  base::Result<std::optional<bool>> flag(std::string_view section, std::string_view key) const;
  /// From 1 on.
  base::Result<std::optional<std::uint32_t>> count(std::string_view section, std::string_view key,
                                                   std::uint32_t most) const;
  /// A text that `value_of` makes a value of; `example` is one that it does.
  template <typename Value>
  base::Result<std::optional<Value>> measure(std::string_view section, std::string_view key,
                                             std::optional<Value> (*value_of)(std::string_view),
                                             std::string_view example) const {
    const auto written = TRY(text(section, key));
    if (!written) return std::optional<Value>();
    if (auto value = value_of(*written)) return value;
    return not_understood(section, key, *written, example);
  }

 private:
  struct Content;
  explicit SettingsFile(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
  base::Error not_understood(std::string_view section, std::string_view key, std::string_view written,
                             std::string_view example) const;

  std::shared_ptr<const Content> content_;
};

/// Of a file and of flags the flags win.
template <typename Value>
void take_if_set(std::optional<Value>& into, const std::optional<Value>& from) {
  if (from) into = from;
}

}  // namespace standfast::env

#include "witness/config.h"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "env/settings_file.h"

namespace standfast::witness {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

template <typename Number>
struct Unit {
  std::string_view name;
  Number factor;
};

template <typename Number, std::size_t kCount>
std::optional<Number> parse_with_unit(std::string_view text, const std::array<Unit<Number>, kCount>& units) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, factor] : units) {
    if (name == unit && number <= std::numeric_limits<Number>::max() / factor) return number * factor;
  }
  return std::nullopt;
}

env::SettingsFile::Form form() {
  return {.command = "witness",
          .sections = {{"primary", {"conninfo", "name", "slot"}},
                       {"store", {"folder", "keep_size", "keep_time", "slot_keep_size"}},
                       {"serve", {"listen", "users", "tls_certificate", "tls_key", "allow_cleartext"}}}};
}

constexpr std::uint64_t kKibi = 1024;
constexpr std::array<Unit<std::uint64_t>, 5> kSizeUnits = {{{"B", 1},
                                                            {"kB", kKibi},
                                                            {"MB", kKibi* kKibi},
                                                            {"GB", kKibi* kKibi* kKibi},
                                                            {"TB", kKibi* kKibi* kKibi* kKibi}}};
constexpr std::array<Unit<std::int64_t>, 4> kTimeUnits = {{{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}}};

/// In the largest unit that leaves no rest.
template <typename Number, std::size_t kCount>
std::string with_unit(Number number, const std::array<Unit<Number>, kCount>& units) {
  const Unit<Number>* best = &units.front();
  for (const Unit<Number>& unit : units) {
    if (number != 0 && number % unit.factor == 0) best = &unit;
  }
  return fmt::format("{}{}", number / best->factor, best->name);
}

/// A basic string of TOML.
std::string quoted(std::string_view text) {
  constexpr char kFirstPrintable = 0x20;
  constexpr char kDelete = 0x7f;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if ((c >= 0 && c < kFirstPrintable) || c == kDelete) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

class Writer {
 public:
  void section(std::string_view name) { section_ = name; }
  void set(std::string_view key, const std::string& value) {
    if (!section_.empty()) text_ += fmt::format("{}[{}]\n", text_.empty() ? "" : "\n", section_);
    section_ = {};
    text_ += fmt::format("{} = {}\n", key, value);
  }
  void set(std::string_view key, const std::optional<std::string>& text) {
    if (text) set(key, quoted(*text));
  }
  template <typename Number, std::size_t kCount>
  void set(std::string_view key, const std::optional<Number>& number,
           const std::array<Unit<Number>, kCount>& units) {
    if (number) set(key, quoted(with_unit(*number, units)));
  }
  std::string take() { return std::move(text_); }

 private:
  std::string_view section_;  ///< that has not been begun
  std::string text_;
};

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_unit(text, kSizeUnits);
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  return parse_with_unit(text, kTimeUnits);
}

Result<WitnessConfig> parse_witness_config(std::string_view text, std::string_view file) {
  const auto settings = TRY(env::SettingsFile::parse(text, file, form()));
  WitnessConfig config;
  config.conninfo = TRY(settings.text("primary", "conninfo"));
  config.name = TRY(settings.text("primary", "name"));
  config.slot = TRY(settings.text("primary", "slot"));
  config.folder = TRY(settings.text("store", "folder"));
  config.keep_bytes = TRY(settings.measure("store", "keep_size", parse_size, "10GB"));
  config.keep_seconds = TRY(settings.measure("store", "keep_time", parse_time, "7d"));
  config.slot_keep_bytes = TRY(settings.measure("store", "slot_keep_size", parse_size, "50GB"));
  config.listen = TRY(settings.texts("serve", "listen"));
  config.users = TRY(settings.text("serve", "users"));
  config.tls_certificate = TRY(settings.text("serve", "tls_certificate"));
  config.tls_key = TRY(settings.text("serve", "tls_key"));
  config.allow_cleartext = TRY(settings.flag("serve", "allow_cleartext"));
  return config;
}

std::string render_witness_config(const WitnessConfig& config) {
  Writer out;
  out.section("primary");
  out.set("conninfo", config.conninfo);
  out.set("name", config.name);
  out.set("slot", config.slot);
  out.section("store");
  out.set("folder", config.folder);
  out.set("keep_size", config.keep_bytes, kSizeUnits);
  out.set("keep_time", config.keep_seconds, kTimeUnits);
  out.set("slot_keep_size", config.slot_keep_bytes, kSizeUnits);
  out.section("serve");
  if (!config.listen.empty()) {
    std::string list;
    for (const std::string& address : config.listen) list += (list.empty() ? "" : ", ") + quoted(address);
    out.set("listen", "[" + list + "]");
  }
  out.set("users", config.users);
  out.set("tls_certificate", config.tls_certificate);
  out.set("tls_key", config.tls_key);
  if (config.allow_cleartext)
    out.set("allow_cleartext", std::string(*config.allow_cleartext ? "true" : "false"));
  return out.take();
}

std::vector<std::string_view> differing_keys(const WitnessConfig& one, const WitnessConfig& other) {
  std::vector<std::string_view> keys;
  const auto compare = [&](std::string_view key, auto WitnessConfig::*member) {
    if (one.*member != other.*member) keys.push_back(key);
  };
  compare("primary.conninfo", &WitnessConfig::conninfo);
  compare("primary.name", &WitnessConfig::name);
  compare("primary.slot", &WitnessConfig::slot);
  compare("store.folder", &WitnessConfig::folder);
  compare("store.keep_size", &WitnessConfig::keep_bytes);
  compare("store.keep_time", &WitnessConfig::keep_seconds);
  compare("store.slot_keep_size", &WitnessConfig::slot_keep_bytes);
  compare("serve.listen", &WitnessConfig::listen);
  compare("serve.users", &WitnessConfig::users);
  compare("serve.tls_certificate", &WitnessConfig::tls_certificate);
  compare("serve.tls_key", &WitnessConfig::tls_key);
  compare("serve.allow_cleartext", &WitnessConfig::allow_cleartext);
  return keys;
}

WitnessConfig merge(const WitnessConfig& file, const WitnessConfig& flags) {
  WitnessConfig config = file;
  env::take_if_set(config.conninfo, flags.conninfo);
  env::take_if_set(config.name, flags.name);
  env::take_if_set(config.slot, flags.slot);
  env::take_if_set(config.folder, flags.folder);
  env::take_if_set(config.keep_bytes, flags.keep_bytes);
  env::take_if_set(config.slot_keep_bytes, flags.slot_keep_bytes);
  env::take_if_set(config.keep_seconds, flags.keep_seconds);
  if (!flags.listen.empty()) config.listen = flags.listen;
  env::take_if_set(config.users, flags.users);
  env::take_if_set(config.tls_certificate, flags.tls_certificate);
  env::take_if_set(config.tls_key, flags.tls_key);
  env::take_if_set(config.allow_cleartext, flags.allow_cleartext);
  return config;
}

}  // namespace standfast::witness

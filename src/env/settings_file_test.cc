#include "env/settings_file.h"

#include <charconv>

#include <gtest/gtest.h>

namespace standfast::env {
namespace {

std::optional<int> parse_length(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_length =
      error == std::errc() &&
      std::string_view(end, static_cast<std::size_t>(text.data() + text.size() - end)) == "m";
  return is_length ? std::optional(value) : std::nullopt;
}

const SettingsFile::Form kForm{
    .command = "boat", .sections = {{"hull", {"name", "length", "ports", "crew"}}, {"sail", {"is_up"}}}};

base::Result<SettingsFile> parse(std::string_view text) {
  return SettingsFile::parse(text, "boat.toml", kForm);
}

TEST(SettingsFile, EachTypeIsRead) {
  const auto file = parse(
      "[hull]\nname = \"x\"\nlength = \"12m\"\nports = [\"a\", \"b\"]\ncrew = 3\n[sail]\nis_up = true\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->text("hull", "name"), "x");
  EXPECT_EQ(*file->measure("hull", "length", parse_length, "1m"), 12);
  EXPECT_EQ(*file->texts("hull", "ports"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*file->count("hull", "crew", 3), 3U);
  EXPECT_EQ(*file->flag("sail", "is_up"), true);
}

TEST(SettingsFile, WhatIsNotSetHasNoValue) {
  for (const char* text : {"", "[hull]\n", "# nothing\n[sail]\n"}) {
    const auto file = parse(text);
    ASSERT_TRUE(file);
    EXPECT_FALSE(file->text("hull", "name")->has_value());
    EXPECT_FALSE(file->measure("hull", "length", parse_length, "1m")->has_value());
    EXPECT_TRUE(file->texts("hull", "ports")->empty());
    EXPECT_FALSE(file->count("hull", "crew", 3)->has_value());
    EXPECT_FALSE(file->flag("sail", "is_up")->has_value());
  }
}

void expect_refused(const base::Error& error, std::string_view message, std::string_view hint) {
  EXPECT_EQ(error.code, base::ErrorCode::kUsage);
  EXPECT_EQ(error.message, message);
  EXPECT_EQ(error.hint, hint);
}

TEST(SettingsFile, WhatIsNotKnownIsNamedWithItsLine) {
  const std::string help = "See standfast help boat for what can be set.";
  expect_refused(parse("[hull]\nname = \"x\"\nnmae = 1\n").error(),
                 "\"boat.toml\" line 3: unknown key \"nmae\" of [hull]", help);
  expect_refused(parse("\n[keel]\n").error(), "\"boat.toml\" line 2: unknown key \"keel\"", help);
  expect_refused(parse("sail = 1\n").error(), "\"boat.toml\" line 1: \"sail\" is not a section",
                 "Write [sail] on a line of its own.");
  const auto broken = parse("[hull\n");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().hint, "See standfast help boat for how it is written.");
}

TEST(SettingsFile, WrongTypesAndValuesAreRefused) {
  const auto file =
      parse("[hull]\nname = \"\"\nlength = \"12\"\nports = [1]\ncrew = 4\n[sail]\nis_up = \"yes\"\n");
  ASSERT_TRUE(file) << file.error().message;
  expect_refused(file->text("hull", "name").error(), "\"boat.toml\" line 2: name must be a text",
                 "Put it in double quotes.");
  expect_refused(file->measure("hull", "length", parse_length, "1m").error(),
                 "\"boat.toml\" line 3: length \"12\" is not understood", "Write it as \"1m\".");
  expect_refused(file->texts("hull", "ports").error(), "\"boat.toml\" line 4: ports must be a list of texts",
                 "Put each in double quotes.");
  expect_refused(file->texts("hull", "crew").error(), "\"boat.toml\" line 5: crew must be a list",
                 "Write it as [\"one\", \"two\"].");
  expect_refused(file->count("hull", "crew", 3).error(),
                 "\"boat.toml\" line 5: crew must be a number from 1 to 3", "Write it without quotes.");
  expect_refused(file->flag("sail", "is_up").error(), "\"boat.toml\" line 7: is_up must be true or false",
                 "Write it without quotes.");
}

TEST(SettingsFile, FlagsWin) {
  std::optional<int> value = 1;
  take_if_set<int>(value, std::nullopt);
  EXPECT_EQ(value, 1);
  take_if_set<int>(value, 2);
  EXPECT_EQ(value, 2);
}

}  // namespace
}  // namespace standfast::env

#include "cli/man_page.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include <fmt/format.h>

namespace standfast::cli {
namespace {

constexpr std::size_t kTextWidth = 76;
/// Of an example; a longer one goes on behind a backslash, as a shell takes it.
constexpr std::size_t kExampleWidth = 66;

/// How many bytes follow the first one of a UTF-8 character; none for what begins no character.
std::size_t following_bytes(unsigned char first) {
  if (first >= 0xF0 && first < 0xF8) return 3;
  if (first >= 0xE0 && first < 0xF0) return 2;
  return first >= 0xC0 && first < 0xE0 ? 1 : 0;
}

/// The character at the beginning of `text` as roff's \[uXXXX]; "?" for broken bytes. Takes it away.
std::string take_wide_character(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t count = following_bytes(first);
  if (count == 0 || count >= text.size()) {
    text.remove_prefix(1);
    return "?";
  }
  std::uint32_t code = first & (0x3FU >> count);
  for (std::size_t i = 1; i <= count; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0U) != 0x80U) {
      text.remove_prefix(1);
      return "?";
    }
    code = (code << 6U) | (byte & 0x3FU);
  }
  text.remove_prefix(count + 1);
  return fmt::format("\\[u{:04X}]", code);
}

std::string_view escape_of(char c) {
  switch (c) {
    case '\\':
      return "\\e";
    case '-':
      return "\\-";
    case '\'':
      return "\\(aq";
    case '"':
      return "\\(dq";
    case '`':
      return "\\(ga";
    case '^':
      return "\\(ha";
    case '~':
      return "\\(ti";
    default:
      return {};
  }
}

std::string bold(std::string_view text) {
  return "\\fB" + roff_escaped(text) + "\\fR";
}

std::string italic(std::string_view text) {
  return "\\fI" + roff_escaped(text) + "\\fR";
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string header(std::string_view name, std::string_view summary, const ManEdition& edition) {
  return fmt::format(".TH \"{}\" 1 \"{}\" \"Standfast {}\" \"Standfast\"\n.SH NAME\n{}",
                     roff_escaped(upper(std::string(name))), edition.date, roff_escaped(edition.version),
                     roff_paragraph(fmt::format("{} - {}", name, summary)));
}

std::string reference(std::string_view page) {
  return fmt::format("\\fB{}\\fR(1)", roff_escaped(page));
}

/// A tagged paragraph: what, and below it what that is.
std::string entry(std::string_view tag, std::string_view text) {
  return fmt::format(".TP\n{}\n{}", tag, roff_paragraph(text));
}

std::string option_tag(const OptionManual& option) {
  std::string tag;
  for (const std::string& name : option.names) tag += (tag.empty() ? "" : ", ") + bold(name);
  if (option.value.empty()) return tag;
  if (option.names.empty()) return italic(option.value);
  const bool has_long = option.names.back().starts_with("--");
  const std::string value = (has_long ? "=" : "") + italic(option.value);
  if (option.value_may_be_missing) return tag + "[" + value + "]";
  return tag + (has_long ? "" : " ") + value;
}

std::string options_section(const CommandManual& manual) {
  std::string text = ".SH OPTIONS\n";
  for (const OptionManual& argument : manual.arguments) {
    text += entry(option_tag(argument), argument.description);
  }
  for (const OptionGroup& group : manual.groups) {
    text += fmt::format(".SS \"{}\"\n", roff_escaped(group.title));
    for (const OptionManual& option : group.options) text += entry(option_tag(option), option.description);
  }
  return text;
}

std::string exit_status_section(std::span<const base::ErrorCode> codes) {
  std::string text = ".SH EXIT STATUS\n" + entry(bold("0"), "all is well");
  for (const base::ErrorCode code : codes) {
    text += entry(bold(std::to_string(base::exit_code_of(code))), base::description_of(code));
  }
  return text;
}

/// Broken where a shell reads on behind a backslash.
std::string example_section(std::string_view example) {
  std::string text = ".SH EXAMPLES\n.RS 4\n.EX\n";
  std::string line;
  while (!example.empty()) {
    const std::size_t end = std::min(example.find(' '), example.size());
    const std::string_view word = example.substr(0, end);
    if (!line.empty() && line.size() + 1 + word.size() > kExampleWidth) {
      text += roff_escaped(line + " \\") + "\n";
      line = "   ";
    }
    line += (line.empty() ? "" : " ") + std::string(word);
    example.remove_prefix(std::min(example.size(), end + 1));
  }
  return text + roff_escaped(line) + "\n.EE\n.RE\n";
}

std::string environment_section() {
  return ".SH ENVIRONMENT\n" + entry(bold("PGDATA"), "The data directory, where -D is not given.") +
         entry(bold("STANDFAST_HOME"),
               "The folder of passfiles, tokens and certificates; ~/.standfast of the "
               "server's user otherwise.") +
         entry(bold("NO_COLOR"), "If it is set and not empty, nothing is shown in colour.") + ".PP\n" +
         roff_paragraph(
             "What is not said by an option about a connection comes from libpq's environment variables, "
             "from .pgpass and from pg_service.conf, as with PostgreSQL's own tools.");
}

std::vector<base::ErrorCode> all_exit_codes() {
  return {
#define STANDFAST_CODE(code, exit_code, name, text) base::ErrorCode::code,
      STANDFAST_ERROR_TABLE(STANDFAST_CODE)
#undef STANDFAST_CODE
  };
}

}  // namespace

std::string roff_escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const char c = text.front();
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      out += take_wide_character(text);
      continue;
    }
    const std::string_view escape = escape_of(c);
    if (!escape.empty()) {
      out += escape;
    } else {
      out += byte < 0x20 || byte == 0x7F ? ' ' : c;
    }
    text.remove_prefix(1);
  }
  return out;
}

std::string roff_paragraph(std::string_view text) {
  std::string out;
  const std::string lines = wrapped(roff_escaped(text), 0, kTextWidth);
  for (std::string_view rest = lines; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    // A dot would begin a request; the other character that does, an apostrophe, has an escape of its own.
    if (!line.empty()) out += fmt::format("{}{}\n", line.front() == '.' ? "\\&" : "", line);
    rest.remove_prefix(end + 1);
  }
  return out;
}

std::string man_page_name(std::string_view path) {
  std::string name(kProgram);
  if (!path.empty()) name += "-" + std::string(path);
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::string man_page(const CommandManual& manual, const ManEdition& edition) {
  std::string text = header(man_page_name(manual.path), manual.summary, edition);
  text += fmt::format(".SH SYNOPSIS\n{} [{}]...\n", bold(fmt::format("{} {}", kProgram, manual.path)),
                      italic("OPTION"));
  for (const OptionManual& argument : manual.arguments) {
    const std::string value = italic(argument.value);
    text += argument.value_may_be_missing ? fmt::format("[{}]\n", value) : value + "\n";
  }
  text += ".SH DESCRIPTION\n" + roff_paragraph(manual.description);
  text += options_section(manual) + exit_status_section(manual.exit_codes) + environment_section();
  text += example_section(manual.example);
  return text + fmt::format(".SH SEE ALSO\n{}\n", reference(kProgram));
}

std::string man_page_of_program(std::span<const CommandManual> manuals, const ManEdition& edition) {
  std::string text =
      header(kProgram, "PostgreSQL primaries and hot standbys, and proof that they replicate", edition);
  text += fmt::format(".SH SYNOPSIS\n{} {} [{}]...\n", bold(kProgram), italic("COMMAND"), italic("OPTION"));
  text += ".SH DESCRIPTION\n" +
          roff_paragraph(
              "Standfast turns plain PostgreSQL servers (12 to 18) into a primary and its hot standbys, "
              "joined by "
              "streaming replication, and proves that they replicate. PostgreSQL itself stays the database.");
  text += ".SH COMMANDS\n";
  for (const CommandManual& manual : manuals) {
    text += entry(reference(man_page_name(manual.path)), manual.summary);
  }
  text += ".SH OPTIONS\n" +
          entry(bold("-?") + ", " + bold("--help"), "show the commands, or what a command takes") +
          entry(bold("-V") + ", " + bold("--version"), "show the version");
  text += exit_status_section(all_exit_codes()) + environment_section();
  text += ".SH FILES\n" + entry(bold("~/.standfast"),
                                "Passfiles, tokens and certificates of the server's user, by the "
                                "system identifier of the cluster; readable by him alone.");
  return text + ".SH SEE ALSO\n" + bold("pg_basebackup") + "(1),\n" + bold("psql") + "(1)\n";
}

}  // namespace standfast::cli

#include "cli/completion.h"

#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace standfast::cli {
namespace {

/// The first words of commands, and behind each the second ones there are.
std::map<std::string, std::vector<std::string>> words_of_commands(std::span<const CommandManual> manuals) {
  std::map<std::string, std::vector<std::string>> words;
  for (const CommandManual& manual : manuals) {
    const std::size_t blank = manual.path.find(' ');
    auto& second = words[manual.path.substr(0, blank)];
    if (blank != std::string::npos) second.push_back(manual.path.substr(blank + 1));
  }
  return words;
}

std::vector<std::string> keys_of(const std::map<std::string, std::vector<std::string>>& words) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : words) keys.push_back(key);
  return keys;
}

std::vector<const OptionManual*> options_of(const CommandManual& manual) {
  std::vector<const OptionManual*> options;
  for (const OptionGroup& group : manual.groups) {
    for (const OptionManual& option : group.options) options.push_back(&option);
  }
  return options;
}

// ---------------------------------------------------------------- bash

/// What bash completes as a value: a kind that the script knows, or the words.
std::string bash_value(const OptionManual& option) {
  switch (option.kind) {
    case ValueKind::kFile:
      return "file";
    case ValueKind::kDirectory:
      return "directory";
    case ValueKind::kChoice:
      return fmt::format("words {}", fmt::join(option.choices, " "));
    case ValueKind::kNone:
    case ValueKind::kText:
    case ValueKind::kTopic:
      break;
  }
  return "nothing";
}

/// Options that may be shown: with the sign of a value where one must follow, so that no blank is put there.
std::string bash_options(const CommandManual& manual) {
  std::vector<std::string> words;
  for (const OptionManual* option : options_of(manual)) {
    for (const std::string& name : option->names) {
      if (name == "-?") continue;  // a pattern to the shell; --help is the same
      const bool takes_value = !option->value.empty() && !option->value_may_be_missing;
      words.push_back(name + (takes_value && name.starts_with("--") ? "=" : ""));
    }
  }
  return fmt::format("{}", fmt::join(words, " "));
}

/// "  'join -D' | 'join --pgdata') _standfast_kind='directory' ;;": a line for each kind of value.
std::string bash_values(const CommandManual& manual) {
  std::map<std::string, std::vector<std::string>> names_by_value;
  for (const OptionManual* option : options_of(manual)) {
    if (option->value.empty()) continue;
    for (const std::string& name : option->names) {
      names_by_value[bash_value(*option)].push_back(shell_single_quoted(manual.path + " " + name));
    }
  }
  std::string text;
  for (const auto& [value, names] : names_by_value) {
    text += fmt::format("    {}) kind={} ;;\n", fmt::join(names, " | "), shell_single_quoted(value));
  }
  return text;
}

std::string bash_argument(const CommandManual& manual) {
  for (const OptionManual& argument : manual.arguments) {
    if (argument.kind != ValueKind::kChoice) continue;
    return fmt::format("    {}) words={} ;;\n", shell_single_quoted(manual.path),
                       shell_single_quoted(fmt::format("{}", fmt::join(argument.choices, " "))));
  }
  return "";
}

constexpr std::string_view kBashHead =
    R"(# bash completion for standfast(1). Made by "standfast completion bash".

# Puts what matches the present word into COMPREPLY: $1 is the kind (file, directory, nothing, or words and the words),
# $2 the part of the word to match, $3 what of the word stands before it.
_standfast_reply() {
  local line
  COMPREPLY=()
  case $1 in
    file | directory)
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$3$line"); done < <(
        if [[ $1 == file ]]; then compgen -f -- "$2"; else compgen -d -- "$2"; fi
      )
      ;;
    words*)
      while IFS= read -r line; do COMPREPLY+=("$3$line"); done < <(compgen -W "${1#words}" -- "$2")
      [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
      ;;
  esac
}

# The kind of the value of option $2 of command $1; fails where that option has none.
_standfast_kind() {
  local kind
  case "$1 $2" in
)";

constexpr std::string_view kBashBody = R"(    *) return 1 ;;
  esac
  printf '%s\n' "$kind"
}

_standfast() {
  local current=${COMP_WORDS[COMP_CWORD]} previous='' first=1 command kind words=''
  ((COMP_CWORD > 0)) && previous=${COMP_WORDS[COMP_CWORD - 1]}
  # "=" is a word of its own to most shells: --output = json.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]] && ((COMP_CWORD > 1)); then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi

  # "help" goes on with the name of a command.
  [[ ${COMP_WORDS[1]} == help ]] && ((COMP_CWORD > 1)) && first=2
  command=${COMP_WORDS[first]}
  if ((COMP_CWORD == first)) && [[ $current != -* || $first == 1 ]]; then
    words=$_standfast_first
    if ((first == 2)); then words+=' exit-codes'; else words+=' --help --version'; fi
    _standfast_reply "words $words" "$current" ''
    return
  fi
  case $command in
)";

constexpr std::string_view kBashTail = R"(  esac
  if [[ -n $words ]]; then
    if ((COMP_CWORD == first + 1)); then
      _standfast_reply "words $words" "$current" ''
      return
    fi
    command+=" ${COMP_WORDS[first + 1]}"
  fi
  if ((first == 2)); then
    [[ $current == -* ]] || { COMPREPLY=() && return; }
    command=help
  fi

  if kind=$(_standfast_kind "$command" "$previous"); then
    _standfast_reply "$kind" "$current" ''
    return
  fi
  # -Xstream, and --output=json where "=" does not part words
  if [[ $current == --*=* ]] && kind=$(_standfast_kind "$command" "${current%%=*}"); then
    _standfast_reply "$kind" "${current#*=}" "${current%%=*}="
    return
  fi
  if [[ $current == -[!-]?* ]] && kind=$(_standfast_kind "$command" "${current:0:2}"); then
    _standfast_reply "$kind" "${current:2}" "${current:0:2}"
    return
  fi

  words=''
  case $command in
)";

constexpr std::string_view kBashEnd = R"(  esac
  _standfast_reply "words $words" "$current" ''
}

complete -F _standfast standfast
)";

// ---------------------------------------------------------------- zsh

std::string zsh_action(const OptionManual& option) {
  const std::string name = zsh_spec_escaped(option.kind == ValueKind::kChoice ? "value" : option.value);
  switch (option.kind) {
    case ValueKind::kFile:
      return name + ":_files";
    case ValueKind::kDirectory:
      return name + ":_directories";
    case ValueKind::kChoice:
      return fmt::format("{}:({})", name, fmt::join(option.choices, " "));
    case ValueKind::kTopic:
      return name + ":_standfast_topics";
    case ValueKind::kNone:
    case ValueKind::kText:
      break;
  }
  return name + ": ";
}

/// A spec for each name, which excludes the other names.
std::string zsh_option(const OptionManual& option) {
  std::string text;
  for (const std::string& name : option.names) {
    const bool is_long = name.starts_with("--");
    std::string spec = option.names.size() > 1 ? fmt::format("({})", fmt::join(option.names, " ")) : "";
    spec += name;
    if (!option.value.empty()) spec += is_long ? (option.value_may_be_missing ? "=-" : "=") : "+";
    spec += "[" + zsh_spec_escaped(option.description) + "]";
    if (!option.value.empty()) {
      spec += (option.value_may_be_missing ? "::" : ":") + zsh_action(option);
    }
    text += " \\\n        " + shell_single_quoted(spec);
  }
  return text;
}

std::string zsh_command(const CommandManual& manual) {
  std::string text = fmt::format("    {})\n      _arguments -s -S", shell_single_quoted(manual.path));
  for (const OptionManual* option : options_of(manual)) text += zsh_option(*option);
  for (const OptionManual& argument : manual.arguments) {
    const char* place = argument.kind == ValueKind::kTopic ? "*::" : "1:";
    text += " \\\n        " + shell_single_quoted(place + zsh_action(argument));
  }
  return text + "\n      ;;\n";
}

/// Words with what they mean, as _describe takes them.
std::string zsh_described(std::span<const CommandManual> manuals, std::string_view first_word) {
  std::string text;
  std::vector<std::string> seen;
  for (const CommandManual& manual : manuals) {
    const std::size_t blank = manual.path.find(' ');
    const std::string first = manual.path.substr(0, blank);
    std::string word = first;
    std::string meaning = manual.summary;
    if (!first_word.empty()) {
      if (first != first_word || blank == std::string::npos) continue;
      word = manual.path.substr(blank + 1);
    } else if (blank != std::string::npos) {
      meaning = "...";
    }
    if (std::find(seen.begin(), seen.end(), word) != seen.end()) continue;
    seen.push_back(word);
    std::string escaped;  // of _describe only the colon parts
    for (const char c : meaning) escaped += c == ':' ? std::string("\\:") : std::string(1, c);
    text += "\n    " + shell_single_quoted(fmt::format("{}:{}", word, escaped));
  }
  return text;
}

constexpr std::string_view kZshHead = R"(#compdef standfast
# zsh completion for standfast(1). Made by "standfast completion zsh".

# The words of a command's name, from the word at place $1 on.
_standfast_words() {
  local -a commands
  if (( CURRENT == $1 )); then
    commands=()";

constexpr std::string_view kZshTopics = R"(}

_standfast_topics() {
  local -a topics
  topics=('exit-codes:what the exit codes mean')
  (( CURRENT == 1 )) && _describe -t topics topic topics
  _standfast_words 1
}

_standfast() {
  local command=$words[2] first=2
  case $command in
)";

}  // namespace

std::string shell_single_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string zsh_spec_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("[]:\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string bash_completion(std::span<const CommandManual> manuals) {
  const auto words = words_of_commands(manuals);
  std::string text(kBashHead);
  for (const CommandManual& manual : manuals) text += bash_values(manual);
  text += kBashBody;
  for (const auto& [first, second] : words) {
    if (!second.empty()) text += fmt::format("    {}) words='{}' ;;\n", first, fmt::join(second, " "));
  }
  text += kBashTail;
  for (const CommandManual& manual : manuals) {
    text += fmt::format("    {}) words={} ;;\n", shell_single_quoted(manual.path),
                        shell_single_quoted(bash_options(manual)));
  }
  text += "  esac\n  [[ $current == -* ]] || case $command in\n";
  std::string arguments;
  for (const CommandManual& manual : manuals) arguments += bash_argument(manual);
  text += arguments + std::string(kBashEnd);
  const std::string first_words = fmt::format("{}", fmt::join(keys_of(words), " "));
  const std::string mark = "$_standfast_first";
  text.replace(text.find(mark), mark.size(), shell_single_quoted(first_words));
  return text;
}

std::string zsh_completion(std::span<const CommandManual> manuals) {
  const auto words = words_of_commands(manuals);
  std::string text(kZshHead);
  text +=
      zsh_described(manuals, "") + "\n    )\n    _describe -t commands command commands\n    return\n  fi\n";
  text += "  case $words[$1] in\n";
  std::string two_words;
  for (const auto& [first, second] : words) {
    if (second.empty()) continue;
    text += fmt::format("    {}) commands=({}\n    ) ;;\n", first, zsh_described(manuals, first));
    two_words += fmt::format("{}{}", two_words.empty() ? "" : " | ", first);
  }
  text += "    *) return 1 ;;\n  esac\n  (( CURRENT == $1 + 1 )) && _describe -t commands command commands\n";
  text += kZshTopics;
  text += fmt::format("    {}) command+=\" $words[3]\" first=3 ;;\n  esac\n", two_words);
  text += "  if (( CURRENT <= first )); then\n    _standfast_words 2\n    return\n  fi\n";
  text += "  (( CURRENT -= first - 1 ))\n  shift $(( first - 1 )) words\n  case $command in\n";
  for (const CommandManual& manual : manuals) text += zsh_command(manual);
  return text + "  esac\n}\n\n_standfast \"$@\"\n";
}

}  // namespace standfast::cli

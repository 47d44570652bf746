#include "setup/icu_version.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <dlfcn.h>

#include "env/process.h"

namespace standfast::setup {
namespace {

/// The program that runs, even where its file has been replaced since.
constexpr const char* kThisProgram = "/proc/self/exe";
/// No word of the command line; followed by the folder of the build's own libraries, and the number.
constexpr std::string_view kQuestion = "--icu-collator-version-of";
constexpr std::size_t kQuestionWords = 4;

constexpr base::Seconds kAnswerTimeout{20};
constexpr std::uint64_t kMaxProgramBytes = std::uint64_t{256} << 20U;
constexpr std::string_view kIcuLibrary = "libicui18n.so.";
constexpr std::size_t kMaxVersionText = 20;  // ICU's U_MAX_VERSION_STRING_LENGTH
constexpr std::size_t kVersionParts = 4;     // and U_MAX_VERSION_LENGTH

/// Never closed: ICU keeps memory that only its own variables lead to.
using Library = void*;

/// A build may bring its own beside its programs; else it is the system's.
Library open_library(const std::string& directory, const std::string& name) {
  for (const std::string& path : {directory + "/" + name, name}) {
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) return library;
  }
  return nullptr;
}

template <typename Function>
Function* symbol(Library library, const std::string& name) {
  return reinterpret_cast<Function*>(dlsym(library, name.c_str()));
}

std::optional<std::string> ask_library(const std::string& directory, const std::string& number) {
  // The one that is asked needs the others, and may not know where they are.
  std::vector<Library> libraries;
  for (const char* name : {"libicudata.so.", "libicuuc.so.", "libicui18n.so."}) {
    libraries.push_back(open_library(directory, name + number));
    if (libraries.back() == nullptr) return std::nullopt;
  }
  const Library collation = libraries.back();
  const Library common = libraries[1];
  auto* open = symbol<void*(const char*, int*)>(collation, "ucol_open_" + number);
  auto* close = symbol<void(void*)>(collation, "ucol_close_" + number);
  auto* get_version = symbol<void(const void*, std::uint8_t*)>(collation, "ucol_getVersion_" + number);
  auto* to_text = symbol<void(const std::uint8_t*, char*)>(common, "u_versionToString_" + number);
  if (open == nullptr || close == nullptr || get_version == nullptr || to_text == nullptr)
    return std::nullopt;
  int status = 0;  // U_ZERO_ERROR; a warning is below it, an error above
  void* collator = open("und", &status);
  if (collator == nullptr || status > 0) return std::nullopt;
  std::array<std::uint8_t, kVersionParts> version{};
  std::array<char, kMaxVersionText> text{};
  get_version(collator, version.data());
  to_text(version.data(), text.data());
  close(collator);
  return std::string(text.data(), strnlen(text.data(), text.size()));
}

}  // namespace

std::string icu_number(std::string_view program) {
  const std::size_t at = program.find(kIcuLibrary);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = program.substr(at + kIcuLibrary.size());
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789")));
}

std::optional<std::string> parse_icu_answer(std::string_view output) {
  if (!output.ends_with('\n')) return std::nullopt;
  output.remove_suffix(1);
  const bool is_version = !output.empty() && output.size() < kMaxVersionText &&
                          output.find_first_not_of("0123456789.") == std::string_view::npos;
  return is_version ? std::optional<std::string>(output) : std::nullopt;
}

std::optional<std::string> icu_collator_version(env::FileSystem& files,
                                                const server::Installation& installation,
                                                const env::Wait& wait) {
  const auto program = env::read_whole_file(files, installation.program("postgres"), kMaxProgramBytes);
  const std::string number = program ? icu_number(*program) : "";
  if (number.empty()) return std::nullopt;
  const auto answer = env::run_command(
      {.argv = {kThisProgram, std::string(kQuestion), installation.bin_directory + "/../lib", number},
       .environment = env::ChildEnvironment::kEmpty},
      {wait.deadline.earlier(base::Deadline::after(kAnswerTimeout)), wait.stop});
  if (!answer || answer->exit_code != 0) return std::nullopt;
  return parse_icu_answer(answer->output);
}

std::optional<int> answer_icu_question(std::span<const char* const> arguments) {
  if (arguments.size() != kQuestionWords || arguments[1] != kQuestion) return std::nullopt;
  const auto version = ask_library(arguments[2], arguments[3]);
  if (!version) return 1;
  std::puts(version->c_str());
  return 0;
}

}  // namespace standfast::setup

#include "setup/collations.h"

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <fmt/format.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

namespace standfast::setup {
namespace {

using base::Result;

// C, POSIX and C.* sort by bytes whatever the library. Without a database's own version, any collation of
// the library that has one tells it.
constexpr std::string_view kNotByBytes = "NOT (lower({0}) IN ('c', 'posix') OR lower({0}) LIKE 'c.%')";

std::string first_version(std::string_view condition) {
  return fmt::format(
      "SELECT pg_collation_actual_version(oid) FROM pg_collation WHERE {} AND "
      "pg_collation_actual_version(oid) IS NOT NULL ORDER BY collname LIMIT 1",
      condition);
}

Result<std::optional<std::string>> optional_value(client::Connection& server, const std::string& sql,
                                                  const env::Wait& wait) {
  const auto rows = TRY(server.query(sql, wait));
  if (rows.count() == 0 || rows.is_null(0, 0)) return std::optional<std::string>();
  return std::optional(std::string(rows.text(0, 0)));
}

Result<std::vector<std::string>> names(client::Connection& server, const std::string& sql,
                                       const env::Wait& wait) {
  const auto rows = TRY(server.query(sql, wait));
  std::vector<std::string> found;
  for (int row = 0; row < rows.count(); ++row) found.emplace_back(rows.text(row, 0));
  return found;
}

// ---------------------------------------------------------------- the ICU of this host

constexpr std::uint64_t kMaxProgramBytes = std::uint64_t{256} << 20U;
constexpr std::string_view kIcuLibrary = "libicui18n.so.";
constexpr std::size_t kMaxVersionText = 20;  // ICU's U_MAX_VERSION_STRING_LENGTH
constexpr std::size_t kVersionParts = 4;     // and U_MAX_VERSION_LENGTH

/// Never closed: ICU keeps memory that only its own variables lead to.
using Library = void*;

/// The number in "libicui18n.so.72", which stands in the program as the name of a library it needs.
std::string icu_number(std::string_view program) {
  const std::size_t at = program.find(kIcuLibrary);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = program.substr(at + kIcuLibrary.size());
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789")));
}

/// A build may bring its own beside its programs; else it is the system's.
Library open_library(const server::Installation& installation, const std::string& name) {
  for (const std::string& path : {installation.bin_directory + "/../lib/" + name, name}) {
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) return library;
  }
  return nullptr;
}

template <typename Function>
Function* symbol(Library library, const std::string& name) {
  return reinterpret_cast<Function*>(dlsym(library, name.c_str()));
}

std::optional<std::string> icu_collator_version(const server::Installation& installation,
                                                const std::string& number) {
  // The one that is asked needs the others, and may not know where they are.
  std::vector<Library> libraries;
  for (const std::string_view name : {"libicudata.so.", "libicuuc.so.", "libicui18n.so."}) {
    libraries.push_back(open_library(installation, std::string(name) + number));
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

Result<CollationFacts> read_collations(client::Connection& server, const env::Wait& wait) {
  const pg::Version version = server.server_version();
  const bool by_database = version.databases_have_collation_versions();
  const std::string by_libc = by_database ? "datlocprovider = 'c' AND " : "";
  const std::string databases_by_libc =
      " FROM pg_database WHERE datallowconn AND " + by_libc + fmt::format(kNotByBytes, "datcollate");
  CollationFacts facts;
  facts.libc_databases = TRY(names(server, "SELECT datname" + databases_by_libc + " ORDER BY 1", wait));
  if (by_database) {
    facts.libc = TRY(optional_value(
        server, "SELECT pg_database_collation_actual_version(oid)" + databases_by_libc + " LIMIT 1", wait));
    facts.icu_databases = TRY(names(
        server, "SELECT datname FROM pg_database WHERE datallowconn AND datlocprovider = 'i' ORDER BY 1",
        wait));
  }
  if (!facts.libc && version.tells_libc_collation_versions()) {
    facts.libc = TRY(optional_value(server, first_version("collprovider = 'c'"), wait));
  }
  facts.icu =
      TRY(optional_value(server, first_version("collprovider = 'i' AND collname = 'und-x-icu'"), wait));
  return facts;
}

CollationFacts collations_of_host(env::FileSystem& files, const server::Installation& installation) {
  CollationFacts facts;
#ifdef __GLIBC__
  facts.libc = gnu_get_libc_version();
#endif
  const auto program = env::read_whole_file(files, installation.program("postgres"), kMaxProgramBytes);
  const std::string number = program ? icu_number(*program) : "";
  if (!number.empty()) facts.icu = icu_collator_version(installation, number);
  return facts;
}

}  // namespace standfast::setup

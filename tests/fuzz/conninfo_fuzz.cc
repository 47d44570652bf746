// Connection strings and password files: what is written reads back; where libpq takes a string, ours takes
// it with the same values, and where only ours does, it is for a keyword that libpq does not know.
#include <memory>
#include <string>

#include <libpq-fe.h>

#include "fuzz_input.h"
#include "pg/format/conninfo.h"
#include "pg/format/passfile.h"

namespace {

using standfast::pg::Conninfo;

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

void compare_with_libpq(const std::string& text, const standfast::base::Result<Conninfo>& ours) {
  if (text.starts_with("postgres://") || text.starts_with("postgresql://")) return;
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeOptions> options(PQconninfoParse(text.c_str(), &message));
  const std::string error = message == nullptr ? "" : message;
  PQfreemem(message);
  if (options == nullptr) {
    CHECK(!ours.has_value() || error.find("invalid connection option") != std::string::npos);
    return;
  }
  CHECK(ours.has_value());
  std::size_t values = 0;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    ++values;
    const auto value = ours->get(option->keyword);
    // libpq knows "requiressl" as another word for sslmode, and drops it.
    if (ours->get("requiressl").has_value()) return;
    CHECK(value == option->val);
  }
  CHECK(ours->get("requiressl").has_value() || values == ours->pairs().size());
}

void check_conninfo(std::string_view text) {
  const auto parsed = Conninfo::parse(text);
  if (text.find('\0') == std::string_view::npos) compare_with_libpq(std::string(text), parsed);
  if (!parsed.has_value()) return;
  const auto again = Conninfo::parse(parsed->to_string());
  CHECK(again.has_value());
  CHECK(*again == *parsed);
  const auto masked = Conninfo::parse(parsed->masked());
  CHECK(masked.has_value());
  for (const Conninfo::Pair& pair : masked->pairs()) {
    CHECK(pair.second ==
          (standfast::pg::is_secret_keyword(pair.first) ? "********" : parsed->get(pair.first)));
  }
}

void check_passfile(std::string_view text) {
  const auto entries = standfast::pg::parse_passfile(text);
  std::string rendered;
  for (const auto& entry : entries)
    rendered += standfast::pg::render_passfile_line(entry).value().reveal() + '\n';
  CHECK(standfast::pg::parse_passfile(rendered) == entries);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  check_conninfo(text);
  check_passfile(text);
  return 0;
}

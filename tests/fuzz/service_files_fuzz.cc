// What systemd's unit files and systemctl say, and the names of Debian's clusters: whatever is read keeps its
// promises.
#include <string>

#include "fuzz_input.h"
#include "pg/server/cluster_search.h"
#include "pg/server/debian.h"
#include "pg/server/systemd.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace server = standfast::server;
  const std::string_view text = standfast::fuzz::as_text(data, size);
  if (const auto directory = server::data_directory_in_unit(text)) {
    CHECK(directory->starts_with('/') && directory->find('\n') == std::string::npos);
    CHECK(text.find(*directory) != std::string_view::npos);
  }
  const auto state = server::parse_unit_state(text);
  if (state.start_timeout) CHECK(state.start_timeout->count() > 0);
  if (const auto span = server::parse_time_span(text)) CHECK(span->count() > 0);
  if (const auto name = server::parse_debian_name(text)) {
    CHECK(name->name.find('/') == std::string::npos && name->major >= 10);
    CHECK(server::parse_debian_name(name->to_string()) == name);
  }
  static_cast<void>(server::data_directory_in_environment(text));
  if (const auto major = server::major_of_unit(text)) CHECK(*major >= 0 && text.starts_with("postgresql"));
  return 0;
}

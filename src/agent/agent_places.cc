// The half of membership_files.h that reads and writes agent.json.
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "agent/membership_files.h"
#include "net/listener.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using Json = nlohmann::json;

constexpr int kFormat = 1;

Error bad(std::string_view what) {
  return {ErrorCode::kProtocol, std::string(what),
          "Run the command again that set this host's agent up, with --agent."};
}

Result<std::vector<net::HostPort>> read_list(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return bad(fmt::format("\"{}\" is no list", key));
  if (found->size() > kMaxAgentAddresses) return bad(fmt::format("\"{}\" has too many entries", key));
  std::vector<net::HostPort> list;
  for (const Json& entry : *found) {
    if (!entry.is_string()) return bad(fmt::format("\"{}\" has an entry that is no text", key));
    const auto address = net::parse_listen_address(entry.get_ref<const std::string&>(), kDefaultAgentPort);
    if (!address) return bad(fmt::format("\"{}\" has an entry that is no address", key));
    list.push_back({address->host, address->port});
  }
  return list;
}

std::vector<std::string> texts_of(const std::vector<net::HostPort>& list) {
  std::vector<std::string> texts;
  for (const net::HostPort& each : list) texts.push_back(net::to_string({each.host, each.port}));
  return texts;
}

}  // namespace

Result<AgentPlaces> parse_agent_places(std::string_view text) {
  const Json object = Json::parse(text, nullptr, false);
  if (!object.is_object()) return bad("it is no JSON object");
  const auto format = object.find("format");
  if (format == object.end() || !format->is_number_unsigned()) return bad("\"format\" is missing");
  if (format->get<std::uint64_t>() != kFormat) {
    return Error(ErrorCode::kVersion, "its format is not known",
                 "Use the newest standfast that was used on this host.");
  }
  AgentPlaces places;
  places.listen = TRY(read_list(object, "listen"));
  places.authority = TRY(read_list(object, "authority"));
  return places;
}

std::string text_of(const AgentPlaces& places) {
  nlohmann::ordered_json object;
  object["format"] = kFormat;
  object["listen"] = texts_of(places.listen);
  object["authority"] = texts_of(places.authority);
  return object.dump(1) + "\n";
}

}  // namespace standfast::agent

#include "cli/agent_arguments.h"

#include <charconv>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/membership_files.h"
#include "net/listener.h"

namespace standfast::cli {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::size_t kMaxStreams = 32;

Result<clone::CopyWay> parse_way(const std::string& text) {
  if (text == "auto") return clone::CopyWay::kAuto;
  if (text == "agent") return clone::CopyWay::kAgent;
  if (text == "protocol") return clone::CopyWay::kProtocol;
  return Error(ErrorCode::kUsage, fmt::format("--from: \"{}\" is none of agent, protocol and auto", text),
               "Leave it out: the agent is used where there is one.");
}

}  // namespace

void AgentArguments::declare(CLI::App& app, const std::string& group, Place place, Ways ways) {
  const auto in_group = [&group](CLI::Option* option) {
    if (!group.empty()) option->group(group);
  };
  if (ways == Ways::kAll) {
    in_group(app.add_option("--from", way_,
                            "how the files come: from the source's agent, by the protocol, or auto")
                 ->type_name("agent|protocol|auto"));
  }
  if (place == Place::kAsked) {
    in_group(
        app.add_option("--agent", address_, "where the source's agent listens, if not at the source's host")
            ->type_name("HOST[:PORT]"));
  }
  in_group(app.add_option("-j,--jobs", streams_,
                          "streams from the agent at once, 1 to 32; else two for each core, 2 to 8, and up "
                          "to 16 on a long way")
               ->type_name("N"));
  in_group(
      app.add_flag("--allow-damage", allow_damage_, "copy pages that are damaged at the source as they are"));
}

Result<clone::AgentUse> AgentArguments::read() const {
  clone::AgentUse use;
  use.way = TRY(parse_way(way_));
  if (!address_.empty()) {
    const net::ListenAddress address = TRY(net::parse_listen_address(address_, agent::kDefaultAgentPort));
    use.address = net::HostPort{.host = address.host, .port = address.port};
  }
  if (!streams_.empty()) {
    std::size_t streams = 0;
    const char* const end = streams_.data() + streams_.size();
    const auto parsed = std::from_chars(streams_.data(), end, streams);
    if (parsed.ec != std::errc() || parsed.ptr != end || streams == 0 || streams > kMaxStreams) {
      return Error(ErrorCode::kUsage, fmt::format("-j: \"{}\" is no number of streams", streams_),
                   fmt::format("Give one from 1 to {}.", kMaxStreams));
    }
    use.streams = streams;
  }
  if (allow_damage_) use.damaged_pages = clone::DamagedPages::kAllowed;
  return use;
}

}  // namespace standfast::cli

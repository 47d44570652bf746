#include "cli/copy_view.h"

#include <fmt/format.h>

#include "base/time.h"

namespace standfast::cli {

nlohmann::ordered_json agent_as_json(const clone::AgentFacts& facts) {
  nlohmann::ordered_json json = {{"member", facts.member},
                                 {"streams", facts.streams},
                                 {"fetched_bytes", facts.fetched_bytes},
                                 {"equal_bytes", facts.equal_bytes},
                                 {"pages_checked", facts.pages_checked},
                                 {"manifest_written", facts.manifest_written},
                                 {"damaged_pages", facts.damaged_count}};
  json["damaged"] = nlohmann::ordered_json::array();
  for (const clone::DamagedPage& page : facts.damaged)
    json["damaged"].push_back({{"file", page.path}, {"block", page.block}, {"lsn", page.lsn.to_string()}});
  return json;
}

std::string text_of_agent(const clone::AgentFacts& facts) {
  std::string text = fmt::format(
      "through the agent of member \"{}\", {} streams: {} came, {} was there already\n", facts.member,
      facts.streams, base::format_bytes(facts.fetched_bytes), base::format_bytes(facts.equal_bytes));
  if (facts.damaged_count > 0) {
    text += fmt::format("{} damaged page{} of the source {} copied as {}\n", facts.damaged_count,
                        facts.damaged_count == 1 ? "" : "s", facts.damaged_count == 1 ? "was" : "were",
                        facts.damaged_count == 1 ? "it is" : "they are");
  } else if (facts.pages_checked) {
    text += "every page that came fits its checksum\n";
  }
  if (facts.manifest_written) text += "backup_manifest names every file, for pg_verifybackup\n";
  return text;
}

}  // namespace standfast::cli

#include "cli/status_view.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/time.h"
#include "cli/table.h"
#include "pg/format/conninfo.h"

namespace standfast::cli {
namespace {

using nlohmann::ordered_json;
using setup::Member;

constexpr std::string_view kNothing = "-";

std::string or_nothing(const std::string& text) {
  return text.empty() ? std::string(kNothing) : text;
}

std::string lsn_text(const std::optional<pg::Lsn>& lsn) {
  return lsn ? lsn->to_string() : std::string(kNothing);
}

std::string held_text(const std::optional<setup::SlotUse>& slot) {
  if (!slot) return std::string(kNothing);
  if (slot->wal_status == "lost") return "lost";
  std::string text = slot->held_bytes ? base::format_bytes(*slot->held_bytes) : "nothing";
  // "reserved" is how it should be; the others say that WAL is kept beyond max_wal_size, or about to go.
  if (!slot->wal_status.empty() && slot->wal_status != "reserved")
    text += fmt::format(" ({})", slot->wal_status);
  return text;
}

Record row_of(const Member& member) {
  const bool is_primary = member.role == setup::MemberRole::kPrimary;
  return {{"name", or_nothing(member.name)},
          {"host", or_nothing(member.host)},
          {"role", std::string(setup::describe(member.role))},
          {"from", or_nothing(member.from)},
          {"state", or_nothing(member.state)},
          {"timeline", member.timeline ? std::to_string(member.timeline->value()) : std::string(kNothing)},
          {"sent", lsn_text(member.sent)},
          {"write", lsn_text(member.write)},
          {"flush", lsn_text(member.flush)},
          {"replay", lsn_text(member.replay)},
          {"lag",
           member.lag_bytes && !is_primary ? base::format_bytes(*member.lag_bytes) : std::string(kNothing)},
          {"lag time",
           member.lag_time && !is_primary ? base::format_duration(*member.lag_time) : std::string(kNothing)},
          {"sync", or_nothing(member.sync_state)},
          {"slot", member.slot ? member.slot->name : std::string(kNothing)},
          {"slot holds", held_text(member.slot)}};
}

bool is_number(std::string_view column) {
  constexpr std::string_view kRightAligned[] = {"timeline", "sent", "write",    "flush",
                                                "replay",   "lag",  "lag time", "slot holds"};
  return std::find(std::begin(kRightAligned), std::end(kRightAligned), column) != std::end(kRightAligned);
}

int width_of(std::string_view lines) {
  int width = 0;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    width = std::max(width, display_width(lines.substr(0, end)));
    lines.remove_prefix(std::min(lines.size(), end + 1));
  }
  return width;
}

ordered_json lsn_json(const std::optional<pg::Lsn>& lsn) {
  return lsn ? ordered_json(lsn->to_string()) : ordered_json();
}

template <typename T>
ordered_json number_json(const std::optional<T>& number) {
  return number ? ordered_json(*number) : ordered_json();
}

ordered_json member_json(const Member& member) {
  ordered_json object = {
      {"name", member.name},
      {"host", member.host},
      {"role", setup::describe(member.role)},
      {"from", member.from.empty() ? ordered_json() : ordered_json(member.from)},
      {"state", member.state},
      {"timeline", member.timeline ? ordered_json(member.timeline->value()) : ordered_json()},
      {"sent_lsn", lsn_json(member.sent)},
      {"write_lsn", lsn_json(member.write)},
      {"flush_lsn", lsn_json(member.flush)},
      {"replay_lsn", lsn_json(member.replay)},
      {"lag_bytes", number_json(member.lag_bytes)},
      {"lag_ms", member.lag_time ? ordered_json(member.lag_time->count()) : ordered_json()},
      {"sync_state", member.sync_state.empty() ? ordered_json() : ordered_json(member.sync_state)},
      {"slot", ordered_json()}};
  if (member.slot) {
    object["slot"] = {{"name", member.slot->name},
                      {"active", member.slot->is_active},
                      {"held_bytes", number_json(member.slot->held_bytes)},
                      {"wal_status", member.slot->wal_status.empty() ? ordered_json()
                                                                     : ordered_json(member.slot->wal_status)},
                      {"safe_wal_bytes", number_json(member.slot->safe_wal_bytes)}};
  }
  return object;
}

ordered_json server_json(const setup::ServerFacts& server) {
  ordered_json object = {
      {"host", server.host},
      {"port", server.port},
      {"version", server.version.to_string()},
      {"in_recovery", server.is_in_recovery},
      {"system_identifier", server.system_id.to_string()},
      {"timeline", server.timeline ? ordered_json(server.timeline->value()) : ordered_json()},
      {"lsn", server.head.to_string()}};
  if (server.is_in_recovery) {
    object["replay_lsn"] = lsn_json(server.replay);
    object["receiver"] = server.receiver ? ordered_json(server.receiver->status) : ordered_json();
    object["replay_paused"] = server.is_replay_paused;
    object["apply_delay_ms"] = server.apply_delay.count();
  }
  return object;
}

std::string_view kind_of(const clone::Unfinished& copy) {
  return copy.kind == clone::Unfinished::Kind::kRejoin ? "rejoin" : "copy";
}

std::string_view name_of(clone::NextRun next) {
  switch (next) {
    case clone::NextRun::kGoesOn:
      return "goes_on";
    case clone::NextRun::kBeginsAnew:
      return "begins_anew";
    case clone::NextRun::kRenamesBack:
      break;
  }
  return "renames_back";
}

/// Of a conninfo what a person looks for.
std::string place_in(const std::string& conninfo) {
  const auto parsed = pg::Conninfo::parse(conninfo);
  if (!parsed) return conninfo;
  std::string text = parsed->get("host").value_or(std::string(kNothing));
  if (const auto port = parsed->get("port")) text += fmt::format(" port {}", *port);
  return text;
}

ordered_json unfinished_json(const setup::UnfinishedCopy& copy) {
  const clone::Unfinished& facts = copy.facts;
  ordered_json object = {
      {"kind", kind_of(facts)},
      {"data_directory", facts.target},
      {"at_work", facts.is_at_work},
      {"next_run", name_of(facts.next)},
      {"in_pieces", facts.is_in_pieces},
      {"begun", facts.begun ? ordered_json(*facts.begun) : ordered_json()},
      {"source", facts.source ? ordered_json(*facts.source) : ordered_json()},
      {"system_identifier", facts.system_id ? ordered_json(facts.system_id->to_string()) : ordered_json()},
      {"folders", facts.folders},
      {"bytes", number_json(facts.bytes)},
      {"slot", ordered_json()}};
  if (facts.slot) {
    object["slot"] = {
        {"name", *facts.slot},
        {"made_by_it", facts.made_slot},
        {"held_bytes", number_json(copy.held_bytes)},
        {"why_not_known", copy.why_not_known.empty() ? ordered_json() : ordered_json(copy.why_not_known)}};
  }
  return object;
}

}  // namespace

std::string render_members(const setup::StatusReport& report, std::optional<int> width_columns) {
  std::vector<Record> records;
  for (const Member& member : report.members) records.push_back(row_of(member));
  std::string text;
  if (!records.empty()) {
    std::vector<std::pair<std::string, Align>> columns;
    for (const auto& [name, value] : records.front()) {
      columns.emplace_back(name, is_number(name) ? Align::kRight : Align::kLeft);
    }
    Table table(std::move(columns));
    for (const Record& record : records) {
      std::vector<std::string> cells;
      for (const auto& [name, value] : record) cells.push_back(value);
      table.add_row(std::move(cells));
    }
    text = table.to_string();
    if (width_columns && width_of(text) > *width_columns) text = expanded_view(records);
  }
  for (const std::string& note : report.notes) text += fmt::format("note: {}\n", printable(note));
  return text;
}

std::string render_unfinished(const std::vector<setup::UnfinishedCopy>& unfinished) {
  std::vector<Record> records;
  for (const setup::UnfinishedCopy& copy : unfinished) {
    const clone::Unfinished& facts = copy.facts;
    Record& record = records.emplace_back();
    record = {{"unfinished", std::string(kind_of(facts))},
              {"directory", facts.target},
              {"from", facts.source ? place_in(*facts.source) : std::string(kNothing)},
              {"begun", facts.begun.value_or(std::string(kNothing))}};
    if (facts.bytes) {
      record.emplace_back(
          "there", fmt::format("{} in {}", base::format_bytes(*facts.bytes), fmt::join(facts.folders, ", ")));
    }
    record.emplace_back("slot", !facts.slot       ? std::string(kNothing)
                                : facts.made_slot ? fmt::format("{}, made by it", *facts.slot)
                                                  : *facts.slot);
    if (facts.slot) {
      record.emplace_back("slot holds", copy.held_bytes ? base::format_bytes(*copy.held_bytes)
                                                        : fmt::format("not known: {}", copy.why_not_known));
    }
  }
  return expanded_view(records);
}

std::string render_views(const std::vector<setup::ViewRows>& views) {
  std::string text;
  for (const setup::ViewRows& view : views) {
    std::vector<Record> records;
    for (const auto& row : view.rows) {
      Record& record = records.emplace_back();
      for (const auto& [name, value] : row) record.emplace_back(name, value.value_or(""));
    }
    text += fmt::format("{}{}, {}\n{}", text.empty() ? "" : "\n", view.view, printable(view.server),
                        expanded_view(records));
  }
  return text;
}

std::string render_findings(const setup::StatusReport& report) {
  if (report.findings.empty()) return "all is well\n";
  std::string text;
  for (const setup::Finding& finding : report.findings) {
    text += fmt::format("{}: {}\n", base::name_of(finding.code), printable(finding.message));
    if (!finding.hint.empty()) text += fmt::format("hint: {}\n", printable(finding.hint));
  }
  return text;
}

ordered_json status_as_json(const setup::StatusReport& report) {
  ordered_json object;
  object["verdict"] = report.findings.empty() ? "ok" : base::name_of(report.findings.front().code);
  object["exit_code"] = report.exit_code();
  object["findings"] = ordered_json::array();
  for (const setup::Finding& finding : report.findings) {
    object["findings"].push_back({{"code", base::name_of(finding.code)},
                                  {"exit_code", base::exit_code_of(finding.code)},
                                  {"message", finding.message},
                                  {"hint", finding.hint}});
  }
  object["notes"] = report.notes;
  object["members"] = ordered_json::array();
  for (const Member& member : report.members) object["members"].push_back(member_json(member));
  object["servers"] = ordered_json::array();
  for (const setup::ServerFacts& server : report.servers) object["servers"].push_back(server_json(server));
  object["unfinished"] = ordered_json::array();
  for (const setup::UnfinishedCopy& copy : report.unfinished)
    object["unfinished"].push_back(unfinished_json(copy));
  if (report.views.empty()) return object;
  object["views"] = ordered_json::array();
  for (const setup::ViewRows& view : report.views) {
    ordered_json rows = ordered_json::array();
    for (const auto& row : view.rows) {
      ordered_json record = ordered_json::object();
      for (const auto& [name, value] : row) record[name] = value ? ordered_json(*value) : ordered_json();
      rows.push_back(std::move(record));
    }
    object["views"].push_back({{"server", view.server}, {"view", view.view}, {"rows", std::move(rows)}});
  }
  return object;
}

}  // namespace standfast::cli

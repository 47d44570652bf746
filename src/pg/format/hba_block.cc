#include "pg/format/hba_block.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "pg/format/sql_text.h"

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kBegin = "# BEGIN standfast";
constexpr std::string_view kBeginRest =
    ": written by \"standfast primary setup\"; do not edit inside, the next run rewrites it";
constexpr std::string_view kEnd = "# END standfast";
constexpr std::string_view kSlotLabel = "# slot ";
constexpr std::string_view kWitnessLabel = "# witness ";
constexpr std::string_view kProbeLabel = "# probe, from where setup tries these logins itself";
constexpr std::string_view kMethod = "scram-sha-256";

Error bad_block(std::size_t line_number, std::string_view what) {
  return Error(
      ErrorCode::kPrecondition, fmt::format("pg_hba.conf line {}: {}", line_number, what),
      fmt::format("Take the lines from \"{}\" to \"{}\" out by hand and run this again.", kBegin, kEnd));
}

std::string_view without_line_end(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// The marker alone, or with more after it that does not make it another word.
bool is_marker(std::string_view line, std::string_view marker) {
  if (!line.starts_with(marker)) return false;
  const std::string_view rest = without_line_end(line.substr(marker.size()));
  return rest.empty() || rest[0] == ':' || rest[0] == ' ' || rest[0] == '\t';
}

/// The line at the beginning of `text`, with its line end.
std::string_view first_line(std::string_view text) {
  const std::size_t newline = text.find('\n');
  return newline == std::string_view::npos ? text : text.substr(0, newline + 1);
}

/// Where the block stands: from the beginning of its first line up to the end of its last.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t line_number = 0;
};

Result<std::optional<Span>> locate(std::string_view text) {
  std::optional<Span> span;
  bool is_open = false;
  std::size_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::string_view line = first_line(text.substr(begin));
    ++line_number;
    if (is_marker(line, kBegin)) {
      if (is_open) return bad_block(line_number, "a block of Standfast begins inside of another one");
      if (span) return bad_block(line_number, "a second block of Standfast");
      span = Span{begin, 0, line_number};
      is_open = true;
    } else if (is_marker(line, kEnd)) {
      if (!is_open) return bad_block(line_number, "the end of a block of Standfast that does not begin");
      span->end = begin + line.size();
      is_open = false;
    }
    begin += line.size();
  }
  if (is_open) return bad_block(span->line_number, "a block of Standfast that does not end");
  return span;
}

std::string cut_out(std::string_view text, const Span& span) {
  const std::string_view after = text.substr(span.end);
  std::string_view before = text.substr(0, span.begin);
  const bool lacks_last_newline = after.empty() && !text.ends_with('\n');
  if (lacks_last_newline && !before.empty()) before.remove_suffix(1);  // the one with_block() had to add
  return std::string(before) + std::string(after);
}

void append_rules(std::string& out, const HbaBlock& block, std::string_view address, HbaMember kind) {
  const std::string_view type = block.encryption == Encryption::kTls ? "hostssl" : "host";
  out += fmt::format("{} replication {} {} {}\n", type, quote_hba_name(block.replication_role), address,
                     kMethod);
  if (kind == HbaMember::kWitness) return;
  out += fmt::format("{} {} {} {} {}\n", type, quote_hba_name(block.monitor_database),
                     quote_hba_name(block.monitor_role), address, kMethod);
}

/// A role or database in quotes means itself, but for a regular expression and what a line cannot hold.
bool is_writable_name(std::string_view name) {
  return !name.empty() && !name.starts_with('/') &&
         std::none_of(name.begin(), name.end(), [](char c) { return c == '\n' || c == '\r' || c == '\0'; });
}

bool is_canonical_address(std::string_view cidr) {
  const auto parsed = parse_standby_address(cidr);
  return parsed.has_value() && parsed->cidr == cidr;
}

Result<void> check_writable(const HbaBlock& block) {
  for (const std::string* name : {&block.replication_role, &block.monitor_role, &block.monitor_database}) {
    if (!is_writable_name(*name)) {
      return Error(ErrorCode::kUsage, "a role or database that cannot be named in pg_hba.conf",
                   "Choose a name that does not begin with a slash and has no line end in it.");
    }
  }
  for (const HbaBlockEntry& member : block.members) {
    TRY(valid_slot_name(member.slot_name));
    if (!is_canonical_address(member.address_cidr)) {
      return Error(ErrorCode::kUsage, fmt::format("no address for the slot {}", member.slot_name));
    }
  }
  if (block.probe_address_cidr && !is_canonical_address(*block.probe_address_cidr)) {
    return Error(ErrorCode::kUsage, "no address to try the logins from");
  }
  return base::ok();
}

/// Takes in one rule of a block; `label` is what stands above it, none for the probe's.
void take_rule(HbaBlock& block, const HbaRule& rule, const std::optional<HbaBlockEntry>& label) {
  block.encryption = rule.type == HbaRuleType::kHostSsl ? Encryption::kTls : Encryption::kPlain;
  const HbaToken& database = rule.databases[0];
  if (database.quoted || database.text != "replication") {
    block.monitor_database = database.text;
    block.monitor_role = rule.users[0].text;
    return;
  }
  block.replication_role = rule.users[0].text;
  if (label) {
    block.members.push_back({label->slot_name, rule.address.text, label->kind});
  } else {
    block.probe_address_cidr = rule.address.text;
  }
}

/// Reads the lines between the markers without judging them: the caller compares with what it would write.
Result<HbaBlock> read_body(std::string_view body) {
  HbaBlock block;
  std::optional<HbaBlockEntry> label;
  while (!body.empty()) {
    const std::string_view with_end = first_line(body);
    body.remove_prefix(with_end.size());
    const std::string_view line = without_line_end(with_end);
    if (line.starts_with(kSlotLabel)) {
      label = {std::string(line.substr(kSlotLabel.size())), "", HbaMember::kStandby};
    } else if (line.starts_with(kWitnessLabel)) {
      label = {std::string(line.substr(kWitnessLabel.size())), "", HbaMember::kWitness};
    }
    if (line == kProbeLabel) label.reset();
    const HbaFile rules = TRY(parse_hba(line));
    for (const HbaRule& rule : rules.rules) {
      if (rule.databases.empty() || rule.users.empty()) continue;
      take_rule(block, rule, label);
    }
  }
  return block;
}

std::string without_carriage_returns(std::string_view text) {
  std::string out(text);
  std::erase(out, '\r');
  return out;
}

/// What stands between the markers.
std::string_view body_of(std::string_view block_text) {
  block_text.remove_prefix(first_line(block_text).size());
  const std::size_t end = block_text.rfind(kEnd);
  return block_text.substr(0, end);
}

/// Where the block has to stand so that nothing takes its connections before it.
std::size_t place_for(const HbaFile& file, const HbaBlock& block, std::size_t end_of_file) {
  std::size_t place = end_of_file;
  for (const HbaConnection& connection : block.connections()) {
    const auto hit = first_rule_for(file, connection);
    if (hit) place = std::min(place, file.rules[hit->index].comment_begin);
  }
  return place;
}

/// Whether a further line would be joined to the last one.
bool ends_with_continuation(std::string_view text, HbaDialect dialect) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  while (text.ends_with('\r')) text.remove_suffix(1);
  return dialect == HbaDialect::kWithContinuation && text.ends_with('\\');
}

/// Whether the block is left where it is, in front of other lines: lines that were added behind it are no
/// reason to move it. What stands before it has the same offsets with it and without it.
bool stays(const Span& span, std::string_view file_text, std::size_t latest_place, HbaDialect dialect) {
  return span.end < file_text.size() && span.begin <= latest_place &&
         !ends_with_continuation(file_text.substr(0, span.begin), dialect);
}

Result<std::string> appended(const std::string& text, std::string rendered, HbaDialect dialect) {
  if (ends_with_continuation(text, dialect)) {
    return Error(ErrorCode::kPrecondition, "pg_hba.conf ends with a backslash, in the middle of a line",
                 "Take the backslash at its end away, or put an empty line after it.");
  }
  if (!text.empty() && !text.ends_with('\n')) {
    rendered.pop_back();
    return text + '\n' + rendered;
  }
  return text + rendered;
}

}  // namespace

std::string HbaBlock::render() const {
  std::string out = fmt::format("{}{}\n", kBegin, kBeginRest);
  for (const HbaBlockEntry& member : members) {
    const bool is_witness = member.kind == HbaMember::kWitness;
    out += fmt::format("{}{}\n", is_witness ? kWitnessLabel : kSlotLabel, member.slot_name);
    append_rules(out, *this, member.address_cidr, member.kind);
  }
  if (probe_address_cidr) {
    out += fmt::format("{}\n", kProbeLabel);
    append_rules(out, *this, *probe_address_cidr, HbaMember::kStandby);
  }
  return out + fmt::format("{}\n", kEnd);
}

std::vector<HbaConnection> HbaBlock::connections() const {
  std::vector<HbaConnection> connections;
  const auto add = [&](const std::string& address, HbaMember kind) {
    connections.push_back({std::nullopt, replication_role, address, encryption});
    if (kind == HbaMember::kWitness) return;
    connections.push_back({monitor_database, monitor_role, address, encryption});
  };
  for (const HbaBlockEntry& member : members) add(member.address_cidr, member.kind);
  if (probe_address_cidr) add(*probe_address_cidr, HbaMember::kStandby);
  return connections;
}

Result<std::optional<HbaBlock>> find_block(std::string_view file_text) {
  const auto span = TRY(locate(file_text));
  if (!span) return std::optional<HbaBlock>();
  const std::string body =
      without_carriage_returns(body_of(file_text.substr(span->begin, span->end - span->begin)));
  auto block = read_body(body);
  if (!block.has_value() || body_of(block->render()) != body) {
    return bad_block(span->line_number, "the block of Standfast has lines in it that it did not write");
  }
  return std::optional<HbaBlock>(std::move(*block));
}

Result<std::string> with_block(std::string_view file_text, const HbaBlock& block, HbaDialect dialect) {
  std::string text = TRY(without_block(file_text));
  if (block.connections().empty()) return text;
  TRY(check_writable(block));
  const HbaFile file = TRY(parse_hba(text, dialect));
  std::size_t place = place_for(file, block, text.size());
  const auto span = TRY(locate(file_text));
  if (span && stays(*span, file_text, place, dialect)) place = span->begin;
  if (place == text.size()) return appended(text, block.render(), dialect);
  return text.insert(place, block.render());
}

Result<std::string> without_block(std::string_view file_text) {
  const auto span = TRY(locate(file_text));
  return span ? cut_out(file_text, *span) : std::string(file_text);
}

std::string with_block_at_margin(std::string_view file_text) {
  std::string text;
  bool is_inside = false;
  while (!file_text.empty()) {
    const std::string_view line = first_line(file_text);
    file_text.remove_prefix(line.size());
    const std::string_view unindented = line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
    is_inside = is_inside || is_marker(unindented, kBegin);
    text += is_inside ? unindented : line;
    is_inside = is_inside && !is_marker(unindented, kEnd);
  }
  return text;
}

}  // namespace standfast::pg

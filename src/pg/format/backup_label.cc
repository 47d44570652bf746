#include "pg/format/backup_label.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t kWalFileNameBytes = 24;

Error bad_label(std::string_view what) {
  return Error(ErrorCode::kProtocol, fmt::format("backup_label: {}", what));
}

Error bad_map(std::string_view what) {
  return Error(ErrorCode::kProtocol, fmt::format("tablespace_map: {}", what));
}

/// The values of the label's lines by their keys. A line with no known key is passed over; a key may stand
/// once.
class LabelLines {
 public:
  static Result<LabelLines> parse(std::string_view text) {
    LabelLines lines;
    while (!text.empty()) {
      const std::size_t newline = text.find('\n');
      const std::string_view line = text.substr(0, newline);
      text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
      const std::size_t colon = line.find(": ");
      if (colon == std::string_view::npos) continue;
      const std::string_view key = line.substr(0, colon);
      if (lines.find(key)) return bad_label("a line stands in it twice");
      lines.pairs_.emplace_back(key, line.substr(colon + 2));
      if (lines.pairs_.size() > kMaxLines) return bad_label("too many lines");
    }
    return lines;
  }

  std::optional<std::string_view> find(std::string_view key) const {
    for (const auto& [name, value] : pairs_) {
      if (name == key) return value;
    }
    return std::nullopt;
  }

  Result<std::string_view> need(std::string_view key) const {
    const auto value = find(key);
    if (!value) return bad_label(fmt::format("it has no line {}", key));
    return *value;
  }

 private:
  static constexpr std::size_t kMaxLines = 64;
  std::vector<std::pair<std::string_view, std::string_view>> pairs_;
};

Result<Lsn> need_lsn(const LabelLines& lines, std::string_view key) {
  const auto lsn = Lsn::parse(TRY(lines.need(key)));
  if (!lsn || !lsn->is_valid()) return bad_label(fmt::format("{} is no position", key));
  return *lsn;
}

bool is_wal_file_name(std::string_view name) {
  return name.size() == kWalFileNameBytes &&
         name.find_first_not_of("0123456789ABCDEF") == std::string_view::npos;
}

/// "0/2000028 (file 000000010000000000000002)"
Result<void> read_start(const LabelLines& lines, BackupLabel& label) {
  constexpr std::string_view kBeforeFile = " (file ";
  const std::string_view start = TRY(lines.need("START WAL LOCATION"));
  const std::size_t space = start.find(kBeforeFile);
  const auto lsn = Lsn::parse(start.substr(0, space));
  if (space == std::string_view::npos || !lsn || !lsn->is_valid() || !start.ends_with(')')) {
    return bad_label("START WAL LOCATION is not understood");
  }
  std::string_view file = start.substr(space + kBeforeFile.size());
  file.remove_suffix(1);
  if (!is_wal_file_name(file)) return bad_label("START WAL LOCATION names no WAL file");
  label.start = *lsn;
  label.start_wal_file = std::string(file);
  return base::ok();
}

/// "primary"; up to 13 "master" said the same.
Result<BackupFrom> read_from(const LabelLines& lines) {
  const std::string_view from = TRY(lines.need("BACKUP FROM"));
  if (from == "standby") return BackupFrom::kStandby;
  if (from == "primary" || from == "master") return BackupFrom::kPrimary;
  return bad_label("BACKUP FROM is not understood");
}

}  // namespace

Result<BackupLabel> parse_backup_label(std::string_view text) {
  if (text.size() > kMaxBackupLabelBytes) return bad_label("it is too large to be one");
  const LabelLines lines = TRY(LabelLines::parse(text));
  BackupLabel label;
  TRY(read_start(lines, label));
  label.checkpoint = TRY(need_lsn(lines, "CHECKPOINT LOCATION"));
  label.method = std::string(TRY(lines.need("BACKUP METHOD")));
  label.from = TRY(read_from(lines));
  label.start_time = std::string(TRY(lines.need("START TIME")));
  label.label = std::string(TRY(lines.need("LABEL")));
  const auto timeline = TimelineId::parse(TRY(lines.need("START TIMELINE")));
  if (!timeline) return bad_label("START TIMELINE is not understood");
  label.start_timeline = *timeline;
  if (lines.find("INCREMENTAL FROM LSN"))
    label.incremental_from = TRY(need_lsn(lines, "INCREMENTAL FROM LSN"));
  return label;
}

Result<std::vector<TablespaceMapEntry>> parse_tablespace_map(std::string_view text) {
  if (text.size() > kMaxTablespaceMapBytes) return bad_map("it is too large to be one");
  if (text.find('\0') != std::string_view::npos) return bad_map("a zero byte");
  std::vector<TablespaceMapEntry> entries;
  std::string line;
  const auto take_line = [&]() -> Result<void> {
    TablespaceMapEntry entry;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), entry.oid);
    const auto oid_bytes = static_cast<std::size_t>(end - line.data());
    if (error != std::errc() || entry.oid == 0 || oid_bytes + 1 >= line.size() || line[oid_bytes] != ' ') {
      return bad_map(fmt::format("its line {} is not understood", entries.size() + 1));
    }
    entry.path = line.substr(oid_bytes + 1);
    entries.push_back(std::move(entry));
    line.clear();
    return base::ok();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' || text[i] == '\r') {
      if (!line.empty()) TRY(take_line());
      continue;
    }
    if (text[i] == '\\' && ++i == text.size()) return bad_map("it ends in the middle of a path");
    line.push_back(text[i]);
  }
  if (!line.empty()) return bad_map("its last line does not end");
  return entries;
}

std::string render_tablespace_map(const std::vector<TablespaceMapEntry>& entries) {
  std::string text;
  for (const TablespaceMapEntry& entry : entries) {
    text += fmt::format("{} ", entry.oid);
    for (const char c : entry.path) {
      if (c == '\n' || c == '\r' || c == '\\') text.push_back('\\');
      text.push_back(c);
    }
    text.push_back('\n');
  }
  return text;
}

}  // namespace standfast::pg

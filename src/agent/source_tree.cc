#include "agent/source_tree.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <thread>

#include <fmt/format.h>

#include "base/hash128.h"
#include "base/number.h"
#include "env/beneath.h"
#include "pg/format/control_file.h"
#include "pg/format/relation_map.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using env::FileKind;

constexpr std::chrono::milliseconds kReadAgainAfter{10};
constexpr std::size_t kMaxWholeFileBytes = 16384;
constexpr std::uint64_t kMaxVersionFileBytes = 64;
constexpr std::uint32_t kSmallestRunBytes = 4096;
constexpr std::string_view kTablespacesFolder = "/pg_tblspc";

/// What the file system says where a name leads over a link or out of the folder.
bool leads_elsewhere(const Error& error) {
  return error.os_errno == ELOOP || error.os_errno == EXDEV || error.os_errno == ENOTDIR;
}

Error not_what_was_listed(const std::string& path) {
  return Error(
      ErrorCode::kIo,
      fmt::format("\"{}\" is not read: a link, or what else was not there before, is in its path", path),
      "Put back what was there, then copy again.");
}

/// Null where there is no such file.
Result<std::unique_ptr<env::File>> open_file(env::FileSystem& files, const std::string& path) {
  auto file = files.open_for_reading(path);
  if (file) return file;
  if (file.error().os_errno == ENOENT) return std::unique_ptr<env::File>();
  if (leads_elsewhere(file.error())) return not_what_was_listed(path);
  return std::move(file).error();
}

/// What no file reaches has no bytes.
Result<std::size_t> read_file_at(env::File& file, std::uint64_t offset, std::span<std::byte> into) {
  constexpr std::uint64_t kLargestOffset = std::numeric_limits<std::int64_t>::max();
  if (offset > kLargestOffset - into.size()) return std::size_t{0};
  return file.read_at(offset, into);
}

Result<void> check_whole(pg::WholeFile kind, std::string_view content) {
  if (kind == pg::WholeFile::kRelationMap) return pg::check_relation_map(base::as_bytes(content));
  TRY(pg::parse_control_file(base::as_bytes(content)));
  return base::ok();
}

Result<void> check_range(const HashRange& range) {
  const std::uint64_t most = std::uint64_t{range.run_bytes} * std::uint64_t{kMaxHashesInAnswer};
  if (range.run_bytes < kSmallestRunBytes || range.run_bytes > kMaxRangeBytes || range.length_bytes > most)
    return Error(ErrorCode::kProtocol, fmt::format("no hashes of {} bytes in runs of {} are given",
                                                   range.length_bytes, range.run_bytes));
  return base::ok();
}

Result<void> pause_briefly() {
  std::this_thread::sleep_for(kReadAgainAfter);
  return base::ok();
}

}  // namespace

/// What one request reads: the file as it is, or the content of one that has to be whole.
struct SourceTree::Source {
  std::unique_ptr<env::File> file;
  std::string whole = {};

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const {
    if (file) return read_file_at(*file, offset, into);
    if (offset >= whole.size()) return std::size_t{0};
    const base::Bytes rest = base::as_bytes(whole).subspan(offset);
    const std::size_t count = std::min(rest.size(), into.size());
    std::copy_n(rest.begin(), count, into.begin());
    return count;
  }
};

Result<SourceTree> SourceTree::open(SourceTreeOptions options) {
  SourceTree tree;
  tree.options_ = std::move(options);
  if (!tree.options_.pause) tree.options_.pause = pause_briefly;
  auto data_directory = env::posix_file_system().real_path(tree.options_.data_directory);
  if (!data_directory) return std::move(data_directory).error();
  const std::vector<SourceRoot> roots = TRY(tree.find_roots(*data_directory));
  std::vector<std::string> paths;
  for (const SourceRoot& root : roots) {
    paths.push_back(root.path);
    tree.roots_.emplace(root.tablespace_oid, root.path);
  }
  tree.files_ = TRY(env::file_system_beneath(paths));
  const SourceRules rules = TRY(tree.find_rules(roots));
  tree.list_ = TRY(list_source(*tree.files_, roots, rules));
  return tree;
}

Result<std::vector<SourceRoot>> SourceTree::find_roots(const std::string& data_directory) {
  env::FileSystem& files = env::posix_file_system();
  std::vector<SourceRoot> roots = {{.tablespace_oid = 0, .path = data_directory}};
  const std::string folder = data_directory + std::string(kTablespacesFolder);
  const auto info = TRY(files.inspect(folder));
  std::vector<std::string> names;
  if (info && info->kind == FileKind::kDirectory) names = TRY(files.list(folder));
  for (const std::string& name : names) {
    const auto oid = base::parse_number<std::uint32_t>(name);
    const std::string path = folder + "/" + name;
    const auto entry = TRY(files.inspect(path));
    if (!pg::is_tablespace_name(name) || !oid || !entry || entry->kind != FileKind::kSymlink) continue;
    auto location = files.read_symlink(path);
    auto real = files.real_path(path);
    // One that is dropped at this moment: WAL tells of that too.
    const bool is_gone =
        (!location && location.error().os_errno == ENOENT) || (!real && real.error().os_errno == ENOENT);
    if (location && location->size() <= kMaxPathBytes) tablespaces_.push_back({*oid, *location});
    if (is_gone) continue;
    if (!location) return std::move(location).error();
    if (!real) return std::move(real).error();
    roots.push_back({.tablespace_oid = *oid, .path = *std::move(real)});
  }
  std::sort(tablespaces_.begin(), tablespaces_.end(),
            [](const Tablespace& left, const Tablespace& right) { return left.oid < right.oid; });
  for (const SourceRoot& root : roots) {
    if (root.path == "/")
      return Error(ErrorCode::kPrecondition, "a data directory or tablespace that is \"/\" cannot be copied");
  }
  return roots;
}

Result<SourceRules> SourceTree::find_rules(const std::vector<SourceRoot>& roots) const {
  const std::string& data_directory = roots.front().path;
  const auto version_text =
      env::read_whole_file(*files_, data_directory + "/PG_VERSION", kMaxVersionFileBytes);
  if (!version_text && version_text.error().os_errno != ENOENT) return version_text.error();
  const auto control =
      TRY(read_whole(data_directory + "/" + std::string(pg::kControlFilePath), pg::WholeFile::kControlFile));
  const auto version = version_text ? pg::Version::parse(*version_text) : std::nullopt;
  if (!version || !control)
    return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" is not a data directory", data_directory));
  if (!version->is_supported()) {
    return Error(ErrorCode::kVersion, fmt::format("\"{}\" is of PostgreSQL {}, which is not supported",
                                                  data_directory, version->major()));
  }
  const std::uint32_t catalog_version = TRY(pg::parse_control_file(base::as_bytes(*control))).catalog_version;
  SourceRules rules;
  rules.version = *version;
  rules.layout.version_folder = pg::tablespace_version_folder(version->major(), catalog_version);
  rules.layout.stats_temp_folder = options_.stats_temp_folder;
  rules.max_entries = options_.max_entries;
  // A tablespace below the data directory is listed as itself, and its folder there is left empty.
  for (const SourceRoot& root : roots) {
    const auto info = TRY(files_->inspect(root.path));
    if (info && root.tablespace_oid != 0)
      rules.folders.emplace(identity_of(*info), pg::BackupUse::kFolderOnly);
  }
  for (const std::string& folder : options_.private_folders) {
    const auto info = TRY(env::posix_file_system().inspect_following(folder));
    if (info) rules.folders.insert_or_assign(identity_of(*info), pg::BackupUse::kLeaveOut);
  }
  return rules;
}

Result<std::optional<std::string>> SourceTree::read_whole(const std::string& path, pg::WholeFile kind) const {
  for (int attempt = 1;; ++attempt) {
    // Anew each time: from 16 on another file takes the map's place.
    const auto file = TRY(open_file(*files_, path));
    if (!file) return std::optional<std::string>();
    std::string content(kMaxWholeFileBytes, '\0');
    content.resize(TRY(file->read_at(0, std::as_writable_bytes(std::span(content)))));
    auto is_whole = check_whole(kind, content);
    if (is_whole) return std::optional(std::move(content));
    if (attempt == kWholeFileTries)
      return std::move(is_whole).error().with_context(fmt::format("\"{}\", read {} times", path, attempt));
    TRY(options_.pause());
  }
}

Result<std::optional<SourceTree::Source>> SourceTree::open_entry(std::uint32_t number) const {
  if (number >= list_.entries.size() || list_.entries[number].kind != EntryKind::kFile)
    return Error(ErrorCode::kProtocol, fmt::format("the list has no file of the number {}", number));
  const FileEntry& entry = list_.entries[number];
  const std::string path = roots_.at(entry.tablespace_oid) + "/" + entry.path;
  const pg::WholeFile kind = pg::whole_file_kind(
      entry.tablespace_oid == 0 ? pg::DataRoot::kDataDirectory : pg::DataRoot::kTablespace, entry.path);
  Source source;
  if (kind == pg::WholeFile::kNo) {
    source.file = TRY(open_file(*files_, path));
    if (!source.file) return std::optional<Source>();
    source.file->expect_single_pass();
  } else {
    auto whole = TRY(read_whole(path, kind));
    if (!whole) return std::optional<Source>();
    source.whole = *std::move(whole);
  }
  return std::optional(std::move(source));
}

Result<RangeRead> SourceTree::read_range(Reading& reading, std::uint32_t number, std::uint64_t offset,
                                         std::span<std::byte> into) const {
  if (!reading.file_ || reading.number_ != number) {
    reading = {};
    auto source = TRY(open_entry(number));
    if (!source) return RangeRead{.is_gone = true};
    if (!source->file) return RangeRead{.bytes = TRY(source->read_at(offset, into))};
    reading.number_ = number;
    reading.file_ = std::move(source->file);
  }
  const RangeRead range{.bytes = TRY(read_file_at(*reading.file_, offset, into))};
  if (range.bytes == into.size()) reading.ahead_.went_on(*reading.file_, offset, offset + range.bytes);
  return range;
}

Result<RangeHashes> SourceTree::hash_range(const HashRange& range) const {
  TRY(check_range(range));
  RangeHashes result;
  const auto source = TRY(open_entry(range.file));
  if (!source) {
    result.is_gone = true;
    return result;
  }
  env::ReadAhead ahead;
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(range.run_bytes);
  while (result.covered_bytes < range.length_bytes) {
    const std::size_t wanted =
        std::min<std::uint64_t>(range.run_bytes, range.length_bytes - result.covered_bytes);
    const std::span<std::byte> run(buffer.get(), wanted);
    const std::size_t count = TRY(source->read_at(range.offset + result.covered_bytes, run));
    if (count > 0) result.hashes.push_back(base::hash128(run.first(count)));
    const std::uint64_t at = range.offset + result.covered_bytes;
    result.covered_bytes += count;
    if (count < wanted) break;
    if (source->file) ahead.went_on(*source->file, at, at + count);
  }
  return result;
}

}  // namespace standfast::agent

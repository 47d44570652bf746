#include "store/spare_segments.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/number.h"

namespace standfast::store {
namespace {

using base::Result;

constexpr std::string_view kPrefix = "standfast.spare.";
constexpr std::string_view kBeingWritten = ".new";
constexpr std::size_t kWriteBytes = std::size_t{1} << 20U;

}  // namespace

SpareSegments::SpareSegments(env::FileSystem& files, std::string folder, std::uint64_t segment_bytes,
                             mode_t file_mode)
    : files_(files), folder_(std::move(folder)), segment_bytes_(segment_bytes), file_mode_(file_mode) {}

Result<void> SpareSegments::find() {
  const std::lock_guard lock(mutex_);
  names_.clear();
  for (const std::string& name : TRY(files_.list(folder_))) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string path = folder_ + "/" + name;
    const auto info = TRY(files_.inspect(path));
    if (!info || info->kind != env::FileKind::kRegular) continue;
    if (name.ends_with(kBeingWritten)) {
      TRY(files_.remove_file(path));
      continue;
    }
    const auto number = base::parse_number<std::uint64_t>(std::string_view(name).substr(kPrefix.size()));
    if (!number) continue;
    next_number_ = std::max(next_number_, *number + 1);
    if (info->size_bytes == segment_bytes_) names_.push_back(name);
  }
  return base::ok();
}

std::size_t SpareSegments::count() const {
  const std::lock_guard lock(mutex_);
  return names_.size();
}

std::string SpareSegments::next_name() {
  const std::lock_guard lock(mutex_);
  return fmt::format("{}{}", kPrefix, next_number_++);
}

Result<bool> SpareSegments::take(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (names_.empty()) return false;
  TRY(files_.rename_no_replace(folder_ + "/" + names_.front(), path));
  names_.pop_front();
  return true;
}

Result<void> SpareSegments::write_zeros(const std::string& path) {
  const auto file = TRY(files_.create(path, file_mode_, env::OnExisting::kFail));
  const std::vector<std::byte> zeros(
      static_cast<std::size_t>(std::min<std::uint64_t>(kWriteBytes, segment_bytes_)));
  for (std::uint64_t at = 0; at < segment_bytes_; at += zeros.size()) TRY(file->write_at(at, zeros));
  TRY(file->sync());
  return file->close();
}

Result<void> SpareSegments::write_one() {
  const std::string name = next_name();
  const std::string path = folder_ + "/" + name;
  const std::string new_path = path + std::string(kBeingWritten);
  if (auto written = write_zeros(new_path); !written) {
    static_cast<void>(files_.remove_file(new_path));
    return written;
  }
  TRY(files_.rename_no_replace(new_path, path));
  TRY(files_.sync_directory(folder_));
  const std::lock_guard lock(mutex_);
  names_.push_back(name);
  return base::ok();
}

}  // namespace standfast::store

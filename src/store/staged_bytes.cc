#include "store/staged_bytes.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace standfast::store {

using base::Result;
using env::kDirectBlockBytes;

void StagedBytes::Free::operator()(std::byte* memory) const {
  std::free(memory);  // NOLINT: from aligned_alloc
}

StagedBytes::StagedBytes()
    : memory_(static_cast<std::byte*>(std::aligned_alloc(kDirectBlockBytes, kMaxBytes))) {
  CHECK(memory_ != nullptr);
}

void StagedBytes::begin(std::uint64_t offset) {
  offset_ = offset;
  size_ = 0;
}

std::size_t StagedBytes::take(base::Bytes bytes) {
  const std::size_t at = static_cast<std::size_t>(offset_ % kMaxBytes) + size_;
  const std::size_t count = std::min(bytes.size(), kMaxBytes - at);
  std::memcpy(memory_.get() + at, bytes.data(), count);
  size_ += count;
  return count;
}

Result<void> StagedBytes::write_to(FileToFill& file) const {
  const base::Bytes all(memory_.get() + offset_ % kMaxBytes, size_);
  const std::size_t before_block = (kDirectBlockBytes - offset_ % kDirectBlockBytes) % kDirectBlockBytes;
  const std::size_t head = std::min(before_block, size_);
  const std::size_t blocks = (size_ - head) / kDirectBlockBytes * kDirectBlockBytes;
  if (file.direct == nullptr || blocks < kLeastDirectBytes) return file.cached->write_at(offset_, all);
  TRY(file.cached->write_at(offset_, all.first(head)));
  TRY(write_blocks(file, offset_ + head, all.subspan(head, blocks)));
  return file.cached->write_at(offset_ + head + blocks, all.subspan(head + blocks));
}

Result<void> StagedBytes::write_blocks(FileToFill& file, std::uint64_t offset, base::Bytes blocks) const {
  auto written = file.direct->write_at(offset, blocks);
  if (written || written.error().os_errno != EINVAL) return written;
  // A device with larger blocks.
  file.direct.reset();
  return file.cached->write_at(offset, blocks);
}

}  // namespace standfast::store

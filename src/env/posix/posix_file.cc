#include "env/posix/posix_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "env/posix/failure.h"

namespace standfast::env {
namespace {

using base::Result;

class PosixFile : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override {
    if (fd_ >= 0) ::close(fd_);
  }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<void> write_at(std::uint64_t offset, base::Bytes bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      // PostgreSQL too takes a write of nothing without an error for a full disk.
      if (count == 0) errno = ENOSPC;
      if (count <= 0) return failure("write to", path_);
      offset += static_cast<std::uint64_t>(count);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return base::ok();
  }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t count =
          pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failure("read", path_);
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    return done;
  }

  Result<void> truncate(std::uint64_t size_bytes) override {
    if (ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) return failure("change the size of", path_);
    return base::ok();
  }

  void start_writeback(std::uint64_t offset, std::uint64_t length_bytes) override {
    sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(length_bytes), SYNC_FILE_RANGE_WRITE);
  }

  void expect_single_pass() override {
    posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
    // Before Linux 6.3 this does nothing. Pages that were there already keep their place, with whatever use
    // others make of them: DONTNEED would throw those out too.
    posix_fadvise(fd_, 0, 0, POSIX_FADV_NOREUSE);
  }

  void start_reading(std::uint64_t offset, std::uint64_t length_bytes) override {
    // The kernel looks for each page of the range: where all is cached that costs as much as reading it.
    if (length_bytes == 0 || (is_cached(offset) && is_cached(offset + length_bytes - 1))) return;
    posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(length_bytes), POSIX_FADV_WILLNEED);
  }

  Result<void> sync_data() override {
    if (fdatasync(fd_) != 0) return failure("fsync", path_);
    return base::ok();
  }
  Result<void> sync() override {
    if (fsync(fd_) != 0) return failure("fsync", path_);
    return base::ok();
  }

  Result<void> close() override {
    const int fd = std::exchange(fd_, -1);
    if (fd >= 0 && ::close(fd) != 0) return failure("close", path_);
    return base::ok();
  }

 protected:
  int fd_;
  std::string path_;

 private:
  bool is_cached(std::uint64_t offset) const {
    std::byte byte{};
    const iovec into{.iov_base = &byte, .iov_len = 1};
    return preadv2(fd_, &into, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
  }
};

/// Reads whole blocks into memory that is aligned as any device wants it, and gives what was asked for.
class DirectFile final : public PosixFile {
 public:
  using PosixFile::PosixFile;

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const std::uint64_t at = offset + done;
      const std::uint64_t block_start = at - at % kBlockBytes;
      const std::size_t skipped = at - block_start;
      const std::size_t wanted = skipped + (into.size() - done);
      const std::size_t whole = (wanted + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
      const std::size_t asked = std::min(whole, kBufferBytes);
      const std::size_t got = TRY(read_blocks(block_start, asked));
      if (got <= skipped) break;
      const std::size_t count = std::min(got - skipped, into.size() - done);
      std::copy_n(buffer_.get() + skipped, count, into.data() + done);
      done += count;
      if (got < asked) break;
    }
    return done;
  }

  /// Whether the file system does at all what its open() promised.
  bool can_read() { return pread(fd_, buffer_.get(), kBlockBytes, 0) >= 0 || errno != EINVAL; }

 private:
  /// Less than what was asked for only at the end of the file.
  Result<std::size_t> read_blocks(std::uint64_t offset, std::size_t length) {
    std::size_t done = 0;
    while (done < length) {
      const ssize_t count =
          pread(fd_, buffer_.get() + done, length - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failure("read from the device", path_);
      done += static_cast<std::size_t>(count);
      if (done == length) break;
      // A read cannot begin inside a block, so whether that was the end is asked for.
      struct stat status {};
      if (fstat(fd_, &status) != 0) return failure("look at", path_);
      if (count == 0 || offset + done >= static_cast<std::uint64_t>(status.st_size)) break;
    }
    return done;
  }

  static constexpr std::size_t kBlockBytes = 64U << 10U;  // a multiple of each device's block
  static constexpr std::size_t kBufferBytes = 1U << 20U;
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }  // NOLINT: from aligned_alloc
  };
  std::unique_ptr<std::byte, Free> buffer_{
      static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, kBufferBytes))};
};

/// Some file systems take O_DIRECT and then read by the page cache (ext4 with data=journal); Linux 6.1 tells.
bool says_it_reads_by_the_cache([[maybe_unused]] int fd) {
#ifdef STATX_DIOALIGN
  struct statx status {};
  return statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
         (status.stx_mask & STATX_DIOALIGN) != 0 && status.stx_dio_offset_align == 0;
#else
  return false;
#endif
}

}  // namespace

std::unique_ptr<File> make_posix_file(int fd, const std::string& path) {
  return std::make_unique<PosixFile>(fd, path);
}

std::unique_ptr<File> make_direct_file(int fd, const std::string& path) {
  auto file = std::make_unique<DirectFile>(fd, path);
  if (says_it_reads_by_the_cache(fd) || !file->can_read()) return nullptr;
  return file;
}

}  // namespace standfast::env

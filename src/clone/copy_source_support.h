// For tests: a source of copies in memory, which can be changed, cut off and tampered with at any answer.
//
// Threading: streams in any thread; the rest while none is in use, or in a hook.
#pragma once

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/messages.h"
#include "base/hash128.h"
#include "clone/copy_stream.h"
#include "env/file_system.h"
#include "pg/format/page.h"

namespace standfast::clone::testing {

/// Paths below the data directory with their content; no content: a folder.
using Tree = std::map<std::string, std::optional<std::string>>;

class MemorySource {
 public:
  Tree tree;
  /// Before each answer, with how many there were; may change the tree. An error ends that stream.
  std::function<base::Result<void>(std::size_t)> before_answer = [](std::size_t) { return base::ok(); };
  /// What becomes of bytes on the way.
  std::function<void(const std::string& path, std::uint64_t offset, std::string& bytes)> on_the_way =
      [](const std::string&, std::uint64_t, std::string&) {};

  /// pg_control last, as an agent's.
  std::vector<agent::FileEntry> list() {
    std::vector<agent::FileEntry> entries;
    paths_.clear();
    const auto add = [&](const std::string& path, const std::optional<std::string>& content) {
      agent::FileEntry entry;
      entry.number = static_cast<std::uint32_t>(entries.size());
      entry.kind = content ? agent::EntryKind::kFile : agent::EntryKind::kFolder;
      entry.mode = content ? 0600 : 0700;
      entry.size_bytes = content ? content->size() : 0;
      entry.modified_unix_seconds = 1'700'000'000;
      entry.path = path;
      entries.push_back(entry);
      paths_.push_back(path);
    };
    for (const auto& [path, content] : tree)
      if (path != kControl) add(path, content);
    if (tree.contains(kControl)) add(kControl, tree.at(kControl));
    return entries;
  }

  OpenCopyStream opener() {
    return [this](const env::StopEvent& stop) -> base::Result<std::unique_ptr<CopyStream>> {
      return std::unique_ptr<CopyStream>(std::make_unique<Stream>(*this, stop));
    };
  }
  std::size_t answers() const { return answers_; }

  static constexpr const char* kControl = "global/pg_control";

 private:
  class Stream final : public CopyStream {
   public:
    Stream(MemorySource& source, const env::StopEvent& stop)
        : source_(source),
          stop_(stop),
          room_(static_cast<std::byte*>(std::aligned_alloc(env::kDirectBlockBytes, agent::kMaxRangeBytes)),
                &std::free) {}

    std::size_t max_under_way() const override { return 3; }
    base::Result<void> ask_bytes(std::uint32_t file, const agent::FileRange& range) override {
      CHECK(asked_.size() < max_under_way() && range.length_bytes > 0);
      asked_.push_back(agent::ReadRange{file, range.offset, range.length_bytes});
      return base::ok();
    }
    base::Result<void> ask_hashes(const agent::HashRange& range) override {
      CHECK(asked_.size() < max_under_way());
      TRY(agent::check(agent::Request(range)));
      asked_.push_back(range);
      return base::ok();
    }
    base::Result<Bytes> take_bytes() override {
      const auto asked = std::get<agent::ReadRange>(asked_.front());
      asked_.pop_front();
      if (stop_.is_set()) return env::cancelled_error();
      const std::lock_guard lock(source_.mutex_);
      TRY(source_.before_answer(source_.answers_++));
      const std::string* content = source_.content_of(asked.file);
      if (content == nullptr) return Bytes{.is_gone = true};
      std::string bytes = part(*content, asked.offset, asked.length_bytes);
      source_.on_the_way(source_.paths_[asked.file], asked.offset, bytes);
      std::memcpy(room_.get(), bytes.data(), bytes.size());
      return Bytes{.plain = base::Bytes(room_.get(), bytes.size())};
    }
    base::Result<agent::RangeHashes> take_hashes() override {
      const auto asked = std::get<agent::HashRange>(asked_.front());
      asked_.pop_front();
      if (stop_.is_set()) return env::cancelled_error();
      const std::lock_guard lock(source_.mutex_);
      TRY(source_.before_answer(source_.answers_++));
      agent::RangeHashes answer;
      const std::string* content = source_.content_of(asked.file);
      answer.is_gone = content == nullptr;
      if (answer.is_gone) return answer;
      const std::string bytes = part(*content, asked.offset, asked.length_bytes);
      answer.covered_bytes = bytes.size();
      for (std::size_t at = 0; at < bytes.size(); at += asked.run_bytes)
        answer.hashes.push_back(base::hash128(base::as_bytes(part(bytes, at, asked.run_bytes))));
      return answer;
    }

   private:
    static std::string part(const std::string& text, std::uint64_t offset, std::uint64_t length) {
      return offset < text.size() ? text.substr(offset, length) : std::string();
    }

    MemorySource& source_;
    const env::StopEvent& stop_;
    std::unique_ptr<std::byte, decltype(&std::free)> room_;
    std::deque<std::variant<agent::ReadRange, agent::HashRange>> asked_;
  };

  const std::string* content_of(std::uint32_t number) const {
    const auto found = tree.find(paths_.at(number));
    return found == tree.end() || !found->second ? nullptr : &*found->second;
  }

  std::mutex mutex_;
  std::vector<std::string> paths_;
  std::size_t answers_ = 0;
};

/// All that is below a folder; links as "-> TARGET".
inline Tree tree_of(env::FileSystem& files, const std::string& folder, const std::string& prefix = "") {
  Tree found;
  const std::vector<std::string> names = *files.list(folder);
  for (const std::string& name : names) {
    const std::string place = folder + "/" + name;
    const auto info = *files.inspect(place);
    if (info->kind == env::FileKind::kDirectory) {
      found[prefix + name] = std::nullopt;
      found.merge(tree_of(files, place, prefix + name + "/"));
    } else if (info->kind == env::FileKind::kSymlink) {
      found[prefix + name] = "-> " + *files.read_symlink(place);
    } else {
      found[prefix + name] = *env::read_whole_file(files, place, env::kMaxTextFileBytes);
    }
  }
  return found;
}

inline void put_file(env::FileSystem& files, const std::string& place, std::string_view content) {
  auto file = *files.create(place, 0600, env::OnExisting::kReplace);
  CHECK(file->write_at(0, base::as_bytes(content)).has_value());
}

/// A page of 8 KiB as a server writes it.
inline std::string good_page(std::uint32_t block_number, char fill) {
  std::string page(8192, fill);
  const std::uint32_t lsn_high = 0;
  const std::uint32_t lsn_low = 0x1000;
  const std::uint16_t upper = 8000;
  std::memcpy(page.data(), &lsn_high, sizeof lsn_high);
  std::memcpy(page.data() + 4, &lsn_low, sizeof lsn_low);
  std::memcpy(page.data() + 14, &upper, sizeof upper);
  const std::uint16_t checksum = pg::page_checksum(base::as_bytes(page), block_number);
  std::memcpy(page.data() + 8, &checksum, sizeof checksum);
  return page;
}

}  // namespace standfast::clone::testing

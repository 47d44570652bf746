// After any history of interruptions the folder is what the source is, and stays so when the power is cut.

#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/number.h"
#include "clone/agent_copy.h"
#include "clone/copy_source_support.h"
#include "env/simulated_disk.h"

namespace standfast::clone {
namespace {

using base::ErrorCode;
using base::Result;
using testing::MemorySource;
using testing::put_file;
using testing::tree_of;

constexpr std::uint64_t kSeeds = 150;

std::optional<std::uint64_t> number_from(const char* variable) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? std::nullopt : base::parse_number<std::uint64_t>(text);
}

class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed) {
    CHECK(disk_.make_directory("/data", 0700).has_value());
    CHECK(disk_.sync_directory("/").has_value());
    for (const char* folder : {"base", "base/1", "global", "pg_tblspc", "pg_wal"})
      source_.tree[folder] = std::nullopt;
    source_.tree[MemorySource::kControl] = content(8192);
    for (int i = 0; i < 12; ++i) change_source();
  }

  void run() {
    const std::size_t interruptions = below(5);
    for (std::size_t i = 0; i < interruptions; ++i) interrupted_run();
    source_.before_answer = [](std::size_t) { return base::ok(); };
    const auto copied = copy();
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_EQ(tree_of(disk_, "/data"), source_.tree);
    disk_.power_cut(random_);
    EXPECT_EQ(tree_of(disk_, "/data"), source_.tree) << "after the power was cut";
    for (const CopiedFile& file : copied->files) {
      if (!file.crc32c) continue;
      base::Crc32c crc;
      crc.update(base::as_bytes(*source_.tree.at(file.manifest_path)));
      EXPECT_EQ(file.crc32c, crc.value()) << file.manifest_path;
    }
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  bool sometimes(std::size_t one_in) { return below(one_in) == 0; }
  std::string content(std::size_t bytes) {
    std::string text(bytes, static_cast<char>('a' + below(26)));
    for (std::size_t i = 0; i < bytes; i += 1 + below(5000)) text[i] = static_cast<char>(below(256));
    return text;
  }
  std::string name() { return (sometimes(4) ? "global/" : "base/1/") + std::to_string(below(12)); }

  void change_source() {
    const std::string path = name();
    const auto found = source_.tree.find(path);
    if (found == source_.tree.end() || sometimes(4)) {
      source_.tree[path] = content(sometimes(5) ? 0 : below(120'000));
    } else if (sometimes(3)) {
      source_.tree.erase(path);
    } else if (sometimes(2) || found->second->empty()) {
      found->second->resize(below(100'000), 'z');
    } else {
      for (std::size_t i = 0; i < 3; ++i)
        (*found->second)[below(found->second->size())] = static_cast<char>(below(256));
    }
    if (sometimes(3)) source_.tree[MemorySource::kControl] = content(8192);
  }

  void change_folder() {
    const std::string place = "/data/base/1/" + std::to_string(below(20));
    const auto folder = disk_.inspect("/data/base/1");
    if (!folder || !*folder) return;
    const auto info = *disk_.inspect(place);
    if (info && info->kind == env::FileKind::kDirectory) return;
    if (!info && sometimes(3)) {
      CHECK(disk_.make_directory(place, 0700).has_value());
    } else {
      put_file(disk_, place, content(below(50'000)));
    }
  }

  void interrupted_run() {
    const std::size_t until = source_.answers() + below(60);
    source_.before_answer = [this, until](std::size_t count) -> Result<void> {
      if (sometimes(10)) change_source();
      if (count >= until) return base::Error(ErrorCode::kConnect, "cut off");
      return base::ok();
    };
    const auto copied = copy();  // may have come to its end
    if (!copied) {
      EXPECT_EQ(copied.error().message, "cut off");
    }
    if (sometimes(2)) {
      disk_.power_cut(random_);
    } else if (sometimes(2)) {
      disk_.crash_process();
    }
    for (std::size_t i = below(4); i > 0; --i) change_folder();
    for (std::size_t i = below(4); i > 0; --i) change_source();
  }

  Result<AgentCopy> copy() {
    AgentCopyOptions with;
    with.places.data_folder = "/data";
    with.streams = 1 + below(3);
    with.work = {.stretch_bytes = 32768, .small_unit_bytes = 16384, .max_pieces = 4};
    with.direct_from_bytes = sometimes(2) ? 4096 : 1U << 20U;
    const auto entries = source_.list();
    const OpenCopyStream opener = source_.opener();
    auto copied = copy_from_agent(entries, with, {disk_, stop_, opener});
    if (copied) {
      EXPECT_TRUE(place_control_file(disk_, *copied, with.sync));
    }
    return copied;
  }

  std::mt19937_64 random_;
  env::testing::SimulatedDisk disk_;
  env::StopEvent stop_;
  MemorySource source_;
};

/// STANDFAST_SEED runs one seed, STANDFAST_SEEDS that many from a random one.
TEST(AgentCopyRandom, AfterAnyHistoryTheFolderIsTheSource) {
  const auto one = number_from("STANDFAST_SEED");
  const std::uint64_t first = one ? *one : std::random_device()();
  const std::uint64_t count = one ? 1 : number_from("STANDFAST_SEEDS").value_or(kSeeds);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("STANDFAST_SEED=" + std::to_string(seed));
    History history(seed);
    history.run();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace standfast::clone

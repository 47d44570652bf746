// For tests: a folder that goes away, and control files of servers that never ran.
#pragma once

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/reporter.h"
#include "env/file_system.h"
#include "pg/format/control_file.h"

namespace standfast::clone::testing {

class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = parent_ + "/standfast-clone-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = *files_.real_path(pattern);
  }
  void TearDown() override { ASSERT_TRUE(env::remove_tree(files_, folder_)); }

  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  void put(const std::string& name, const std::string& content) {
    ASSERT_TRUE(env::make_directories(files_, env::parent_of(at(name)), 0700));
    ASSERT_TRUE(env::write_file_durably(files_, at(name), content, {}));
  }
  std::string read(const std::string& name) {
    auto content = env::read_whole_file(files_, at(name), env::kMaxTextFileBytes);
    return content ? *content : "<" + content.error().message + ">";
  }
  /// Every name below with its content, or where its link leads.
  std::map<std::string, std::string> tree(const std::string& name) {
    std::map<std::string, std::string> found;
    const auto info = *files_.inspect(at(name));
    if (!info) return found;
    if (info->kind == env::FileKind::kSymlink) {
      found[name] = "-> " + *files_.read_symlink(at(name));
    } else if (info->kind == env::FileKind::kRegular) {
      found[name] = read(name);
    } else {
      found[name + "/"] = std::to_string(info->mode);
      const std::vector<std::string> entries = *files_.list(at(name));
      for (const std::string& entry : entries) found.merge(tree(name + "/" + entry));
    }
    return found;
  }
  bool exists(const std::string& name) { return (*files_.inspect(at(name))).has_value(); }
  /// What a data directory looks like to a clone.
  void put_data_directory(const std::string& name, pg::SystemId system_id, pg::DbState state);

  env::FileSystem& files_ = env::posix_file_system();
  std::string parent_ = ::testing::TempDir();
  std::string folder_;
};

/// The global/pg_control of a 15 server, with another identifier and state.
inline std::string control_file(pg::SystemId system_id, pg::DbState state) {
  const auto prefix = base::from_hex(
      "f0fb185803de026b1405000025770d0c060000000000000005de026b00000000982a750100000000602a750100000000"
      "01000000010000000100000000000000d402000000000000053500000100000000000000cc0200000100000001000000"
      "010000000000000005de026b000000000000000000000000d402000000000000e8030000000000000000000000000000"
      "000000000000000000000000000000000000000000000000000000000100000001000000250000000b00000007000000"
      "030000004600000000000000080000000000000087d63241002000000000020000200000000000014000000020000000"
      "cc0700000008000001000000010000001e2c1114bf10d118b0dbdad5c0f16d957fff8bd646bd0b3cd59c346b5d098bb3");
  std::string bytes = *prefix;
  const std::uint64_t id = system_id.value();
  const auto state_number = static_cast<std::int32_t>(state);
  std::memcpy(bytes.data(), &id, sizeof id);
  std::memcpy(bytes.data() + 16, &state_number, sizeof state_number);
  base::Crc32c crc;
  crc.update(base::as_bytes(bytes));
  const std::uint32_t value = crc.value();
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  bytes.resize(pg::kControlFileBytes);
  return bytes;
}

inline void FolderTest::put_data_directory(const std::string& name, pg::SystemId system_id,
                                           pg::DbState state) {
  put(name + "/PG_VERSION", "15\n");
  put(name + "/global/pg_control", control_file(system_id, state));
  put(name + "/base/5/112", "old data");
}

/// Keeps what it is told.
class KeptLines final : public base::Reporter {
 public:
  void step(std::string_view, std::string_view) override {}
  void info(std::string_view line) override { infos.emplace_back(line); }
  void check(std::string_view, std::string_view) override {}
  void detail(std::string_view) override {}
  void warn(std::string_view line, std::string_view hint) override {
    warnings.push_back(std::string(line) + " " + std::string(hint));
  }
  void progress(const base::Progress&) override {}

  std::vector<std::string> infos;
  std::vector<std::string> warnings;  ///< with their hints
};

}  // namespace standfast::clone::testing

#include "agent/source_tree.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/source_test_support.h"
#include "base/hash128.h"

namespace standfast::agent {
namespace {

namespace fs = std::filesystem;
using agent::testing::control_file;
using agent::testing::put_u32;
using agent::testing::seal;
using base::ErrorCode;

constexpr const char* kVersionFolder = "PG_15_202209061";

std::string relation_map(std::uint32_t file_number) {
  std::string bytes(512, '\0');
  put_u32(bytes, 0, 0x592717);
  put_u32(bytes, 4, 1);
  put_u32(bytes, 8, 1262);
  put_u32(bytes, 12, file_number);
  seal(bytes, 504);
  return bytes;
}

/// The end of one behind the beginning of another.
std::string torn(const std::string& first, const std::string& second, std::size_t at) {
  return first.substr(0, at) + second.substr(at);
}

class SourceTreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/standfast-agent-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = fs::canonical(pattern);
    put("data/PG_VERSION", "15\n");
    put("data/global/pg_control", control_file(1));
    put("data/global/pg_filenode.map", relation_map(1262));
    put("data/base/5/112", std::string(20000, 'a'));
    fs::create_directory(at("data/pg_tblspc"));
    fs::create_directory(at("data/pg_wal"));
    fs::permissions(at("data"), fs::perms(0750));
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  void put(const std::string& name, const std::string& content) {
    fs::create_directories(fs::path(at(name)).parent_path());
    std::ofstream file(at(name), std::ios::binary | std::ios::trunc);
    file << content;
    ASSERT_TRUE(file.good());
  }

  SourceTree open(SourceTreeOptions options = {}) {
    options.data_directory = at("data");
    return std::move(SourceTree::open(std::move(options))).value();
  }
  ErrorCode refusal(SourceTreeOptions options = {}) {
    if (options.data_directory.empty()) options.data_directory = at("data");
    const auto tree = SourceTree::open(std::move(options));
    return tree ? ErrorCode::kFailed : tree.error().code;
  }

  static std::vector<std::string> paths_of(const SourceTree& tree, std::uint32_t tablespace_oid = 0) {
    std::vector<std::string> paths;
    for (const FileEntry& entry : tree.entries()) {
      if (entry.tablespace_oid == tablespace_oid)
        paths.push_back(entry.path + (entry.kind == EntryKind::kFolder ? "/" : ""));
    }
    return paths;
  }
  static bool has(const SourceTree& tree, const std::string& path, std::uint32_t tablespace_oid = 0) {
    const auto paths = paths_of(tree, tablespace_oid);
    return std::find(paths.begin(), paths.end(), path) != paths.end();
  }
  static std::uint32_t number_of(const SourceTree& tree, const std::string& path) {
    for (const FileEntry& entry : tree.entries())
      if (entry.path == path) return entry.number;
    ADD_FAILURE() << path << " is not listed";
    return 0;
  }
  /// The bytes, or "gone", or what the error says.
  static std::string read(const SourceTree& tree, const std::string& path, std::uint64_t offset = 0,
                          std::size_t length = 1U << 20U) {
    std::string bytes(length, '\0');
    SourceTree::Reading reading;
    const auto got =
        tree.read_range(reading, number_of(tree, path), offset, std::as_writable_bytes(std::span(bytes)));
    if (!got) return got.error().message;
    if (got->is_gone) return "gone";
    bytes.resize(got->bytes);
    return bytes;
  }

  std::string folder_;
};

TEST_F(SourceTreeTest, ListHasWhatABackupHas) {
  put("data/pg_wal/000000010000000000000001", "wal");
  put("data/pg_replslot/one/state", "slot");
  put("data/base/5/16384", "unlogged");
  put("data/base/5/16384_init", "");
  put("data/postmaster.pid", "1");
  const SourceTree tree = open();
  EXPECT_EQ(paths_of(tree),
            (std::vector<std::string>{"PG_VERSION", "base/", "global/", "pg_replslot/", "pg_tblspc/",
                                      "pg_wal/", "pg_wal/archive_status/", "global/pg_filenode.map",
                                      "base/5/", "base/5/112", "base/5/16384_init", "global/pg_control"}));
  std::uint32_t number = 0;
  for (const FileEntry& entry : tree.entries()) EXPECT_EQ(entry.number, number++);
  EXPECT_EQ(tree.entries().back().path, "global/pg_control");
  const FileEntry& table = tree.entries()[number_of(tree, "base/5/112")];
  EXPECT_EQ(table.size_bytes, 20000U);
  EXPECT_GT(table.modified_unix_seconds, 0);
  EXPECT_EQ(table.mode & 0600U, 0600U);
  EXPECT_TRUE(tree.tablespaces().empty());
  EXPECT_EQ(tree.special_count(), 0U);
}

TEST_F(SourceTreeTest, TablespacesAreListedBelowTheirVersion) {
  put(std::string("space/") + kVersionFolder + "/5/16390", "table");
  put("space/PG_12_201909212/5/16390", "another server's");
  fs::create_directory_symlink(at("space"), at("link"));
  fs::create_directory_symlink(at("link"), at("data/pg_tblspc/16400"));
  const SourceTree tree = open();
  EXPECT_EQ(paths_of(tree, 16400),
            (std::vector<std::string>{std::string(kVersionFolder) + "/", std::string(kVersionFolder) + "/5/",
                                      std::string(kVersionFolder) + "/5/16390"}));
  ASSERT_EQ(tree.tablespaces().size(), 1U);
  EXPECT_EQ(tree.tablespaces()[0].oid, 16400U);
  EXPECT_EQ(tree.tablespaces()[0].location, at("link"));
  EXPECT_EQ(read(tree, std::string(kVersionFolder) + "/5/16390"), "table");
  EXPECT_EQ(tree.entries().back().path, "global/pg_control");
  EXPECT_FALSE(has(tree, "pg_tblspc/16400"));
}

TEST_F(SourceTreeTest, TablespacesInTheDataDirectoryAreListedOnce) {
  const std::string in_place = std::string("pg_tblspc/16401/") + kVersionFolder;
  put("data/" + in_place + "/5/16391", "in place");
  put("data/pg_tblspc/16401/else", "x");
  put(std::string("data/inner/") + kVersionFolder + "/5/16392", "by a link");
  fs::create_directory_symlink(at("data/inner"), at("data/pg_tblspc/16402"));
  const SourceTree tree = open();
  EXPECT_TRUE(has(tree, "pg_tblspc/16401/"));
  EXPECT_TRUE(has(tree, in_place + "/5/16391"));
  EXPECT_FALSE(has(tree, "pg_tblspc/16401/else"));
  EXPECT_EQ(read(tree, in_place + "/5/16391"), "in place");
  EXPECT_TRUE(has(tree, "inner/"));
  EXPECT_FALSE(has(tree, std::string("inner/") + kVersionFolder + "/"));
  EXPECT_TRUE(has(tree, std::string(kVersionFolder) + "/5/16392", 16402));
  EXPECT_EQ(read(tree, std::string(kVersionFolder) + "/5/16392"), "by a link");
  ASSERT_EQ(tree.tablespaces().size(), 1U);
}

TEST_F(SourceTreeTest, TablespacesAscendByTheirNumbers) {
  for (const char* oid : {"16404", "100123", "9"})
    fs::create_directory_symlink(at("nowhere"), at(std::string("data/pg_tblspc/") + oid));
  const SourceTree tree = open();
  std::vector<std::uint32_t> oids;
  for (const Tablespace& tablespace : tree.tablespaces()) oids.push_back(tablespace.oid);
  EXPECT_EQ(oids, (std::vector<std::uint32_t>{9, 16404, 100123}));
}

TEST_F(SourceTreeTest, TablespaceThatIsDroppedIsEmpty) {
  fs::create_directory_symlink(at("nowhere"), at("data/pg_tblspc/16403"));
  const SourceTree tree = open();
  EXPECT_EQ(tree.tablespaces().size(), 1U);
  EXPECT_TRUE(paths_of(tree, 16403).empty());
}

TEST_F(SourceTreeTest, KeysAndLinksAreNobodys) {
  put("data/keys/agent.key", "secret");
  put("data/.standfast/123/passfile", "secret");
  put("outside/file", "outside");
  fs::create_symlink(at("outside/file"), at("data/postgresql.conf"));
  fs::create_directory_symlink(at("outside"), at("data/base/6"));
  ASSERT_EQ(mkfifo(at("data/pipe").c_str(), 0600), 0);
  fs::create_directory_symlink(at("data/keys"), at("by-another-name"));
  const SourceTree tree =
      open({.data_directory = "", .private_folders = {at("by-another-name"), at("none")}});
  for (const FileEntry& entry : tree.entries()) {
    EXPECT_FALSE(entry.path.starts_with("keys") || entry.path.starts_with(".standfast")) << entry.path;
    EXPECT_FALSE(entry.path.starts_with("base/6") || entry.path == "pipe") << entry.path;
  }
  EXPECT_EQ(tree.special(),
            (std::vector<std::string>{at("data/pipe"), at("data/postgresql.conf"), at("data/base/6")}));
  EXPECT_EQ(tree.special_count(), 3U);
}

TEST_F(SourceTreeTest, EmptiedFolderThatIsALinkIsAFolderInTheCopy) {
  put("outside/000000010000000000000001", "wal");
  fs::remove(at("data/pg_wal"));
  fs::create_directory_symlink(at("outside"), at("data/pg_wal"));
  const SourceTree tree = open();
  EXPECT_TRUE(has(tree, "pg_wal/"));
  EXPECT_TRUE(has(tree, "pg_wal/archive_status/"));
  EXPECT_EQ(tree.entries()[number_of(tree, "pg_wal")].mode, 0750U);
  EXPECT_FALSE(has(tree, "pg_wal/000000010000000000000001"));
}

TEST_F(SourceTreeTest, OnlyADataDirectoryIsOpened) {
  EXPECT_EQ(refusal({.data_directory = at("nowhere")}), ErrorCode::kIo);
  fs::create_directory(at("empty"));
  EXPECT_EQ(refusal({.data_directory = at("empty")}), ErrorCode::kPrecondition);
  put("data/PG_VERSION", "11\n");
  EXPECT_EQ(refusal(), ErrorCode::kVersion);
  put("data/PG_VERSION", "15\n");
  EXPECT_EQ(refusal({.data_directory = "", .max_entries = 9}), ErrorCode::kPrecondition);
  EXPECT_EQ(open({.data_directory = "", .max_entries = 10}).entries().size(), 10U);
}

TEST_F(SourceTreeTest, ReadsWhatIsThereNow) {
  const SourceTree tree = open();
  EXPECT_EQ(read(tree, "base/5/112"), std::string(20000, 'a'));
  EXPECT_EQ(read(tree, "base/5/112", 19990, 100), std::string(10, 'a'));
  EXPECT_EQ(read(tree, "base/5/112", 20000, 100), "");
  put("data/base/5/112", std::string(30000, 'b'));
  EXPECT_EQ(read(tree, "base/5/112", 20000, 9000), std::string(9000, 'b'));
  put("data/base/5/112", std::string(100, 'c'));
  EXPECT_EQ(read(tree, "base/5/112", 0, 8192), std::string(100, 'c'));
  EXPECT_EQ(read(tree, "base/5/112", 8192, 8192), "");
  EXPECT_EQ(read(tree, "base/5/112", ~std::uint64_t{0}, 10), "");
  fs::remove(at("data/base/5/112"));
  EXPECT_EQ(read(tree, "base/5/112"), "gone");
  fs::remove_all(at("data/base/5"));
  EXPECT_EQ(read(tree, "base/5/112"), "gone");
}

TEST_F(SourceTreeTest, NumbersOutsideOfTheListAreRefused) {
  const SourceTree tree = open();
  std::vector<std::byte> buffer(10);
  SourceTree::Reading reading;
  for (const std::uint32_t number :
       {static_cast<std::uint32_t>(tree.entries().size()), ~std::uint32_t{0}, number_of(tree, "base")}) {
    EXPECT_EQ(tree.read_range(reading, number, 0, buffer).error().code, ErrorCode::kProtocol);
    EXPECT_EQ(tree.hash_range({.file = number, .length_bytes = 8192, .run_bytes = 8192}).error().code,
              ErrorCode::kProtocol);
  }
}

TEST_F(SourceTreeTest, LinkThatTookAFoldersPlaceIsNotFollowed) {
  const SourceTree tree = open();
  fs::rename(at("data/base/5"), at("moved"));
  put("outside/112", "secret");
  for (const std::string& target : {at("outside"), at("moved"), std::string("../../outside")}) {
    fs::create_directory_symlink(target, at("data/base/5"));
    const std::string said = read(tree, "base/5/112");
    EXPECT_NE(said.find(at("data/base/5/112")), std::string::npos) << said;
    EXPECT_NE(said.find("a link"), std::string::npos) << said;
    EXPECT_FALSE(
        tree.hash_range({.file = number_of(tree, "base/5/112"), .length_bytes = 8192, .run_bytes = 8192}));
    fs::remove(at("data/base/5"));
  }
}

TEST_F(SourceTreeTest, LinkThatTookAFilesPlaceIsNotFollowed) {
  const SourceTree tree = open();
  put("outside", "secret");
  for (const char* name : {"base/5/112", "global/pg_control", "global/pg_filenode.map"}) {
    fs::remove(at("data") + "/" + name);
    fs::create_symlink(at("outside"), at("data") + "/" + name);
    EXPECT_NE(read(tree, name).find("a link"), std::string::npos) << name;
  }
}

TEST_F(SourceTreeTest, DirectoryIsTheOneThatWasOpened) {
  const SourceTree tree = open();
  fs::rename(at("data"), at("moved"));
  put("data/base/5/112", "another");
  EXPECT_EQ(read(tree, "base/5/112", 0, 5), "aaaaa");
}

TEST_F(SourceTreeTest, TornControlFileIsReadUntilItIsWhole) {
  int pauses = 0;
  const SourceTree tree = open({.data_directory = "", .pause = [&] {
                                  if (++pauses == 2) put("data/global/pg_control", control_file(2));
                                  return base::ok();
                                }});
  put("data/global/pg_control", torn(control_file(1), control_file(2), 256));
  EXPECT_EQ(read(tree, "global/pg_control"), control_file(2));
  EXPECT_EQ(pauses, 2);
  EXPECT_EQ(read(tree, "global/pg_control", 8190, 100), control_file(2).substr(8190));
  EXPECT_EQ(read(tree, "global/pg_control", 9000, 100), "");
  EXPECT_EQ(pauses, 2);
}

TEST_F(SourceTreeTest, TornMapIsReadUntilItIsWhole) {
  int pauses = 0;
  const SourceTree tree = open({.data_directory = "", .pause = [&] {
                                  if (++pauses == 2) put("data/global/pg_filenode.map", relation_map(16500));
                                  return base::ok();
                                }});
  put("data/global/pg_filenode.map", torn(relation_map(1262), relation_map(16500), 256));
  const auto hashes = tree.hash_range(
      {.file = number_of(tree, "global/pg_filenode.map"), .length_bytes = 8192, .run_bytes = 4096});
  ASSERT_TRUE(hashes);
  EXPECT_EQ(hashes->covered_bytes, 512U);
  EXPECT_EQ(hashes->hashes, std::vector{base::hash128(base::as_bytes(relation_map(16500)))});
  EXPECT_EQ(pauses, 2);
}

TEST_F(SourceTreeTest, FileThatNeverBecomesWholeIsDamaged) {
  int pauses = 0;
  bool is_cancelled = false;
  const SourceTree tree = open({.data_directory = "", .pause = [&]() -> base::Result<void> {
                                  ++pauses;
                                  if (is_cancelled) return base::Error(ErrorCode::kCancelled, "stopped");
                                  return base::ok();
                                }});
  put("data/global/pg_control", control_file(1).substr(0, 200));
  std::vector<std::byte> buffer(8192);
  const std::uint32_t number = number_of(tree, "global/pg_control");
  SourceTree::Reading reading;
  const auto got = tree.read_range(reading, number, 0, buffer);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::kDamaged);
  EXPECT_NE(got.error().message.find(at("data/global/pg_control")), std::string::npos);
  EXPECT_EQ(pauses, kWholeFileTries - 1);
  is_cancelled = true;
  EXPECT_EQ(tree.read_range(reading, number, 0, buffer).error().code, ErrorCode::kCancelled);
  fs::remove(at("data/global/pg_control"));
  EXPECT_EQ(read(tree, "global/pg_control"), "gone");
}

TEST_F(SourceTreeTest, HashesAreOfTheRuns) {
  const SourceTree tree = open();
  const std::string content = std::string(8192, 'x') + std::string(8192, 'y') + std::string(100, 'z');
  put("data/base/5/112", content);
  const auto hash = [&](std::size_t offset, std::size_t length) {
    return base::hash128(base::as_bytes(content).subspan(offset, length));
  };
  HashRange range = {.file = number_of(tree, "base/5/112"), .length_bytes = 16384, .run_bytes = 8192};
  EXPECT_EQ(tree.hash_range(range)->hashes, (std::vector{hash(0, 8192), hash(8192, 8192)}));
  range.length_bytes = 100000;
  const auto to_the_end = tree.hash_range(range);
  EXPECT_EQ(to_the_end->hashes, (std::vector{hash(0, 8192), hash(8192, 8192), hash(16384, 100)}));
  EXPECT_EQ(to_the_end->covered_bytes, content.size());
  range.offset = 8192;
  range.length_bytes = 5000;
  EXPECT_EQ(tree.hash_range(range)->hashes, std::vector{hash(8192, 5000)});
  range.offset = content.size();
  EXPECT_TRUE(tree.hash_range(range)->hashes.empty());
  EXPECT_EQ(tree.hash_range(range)->covered_bytes, 0U);
  fs::remove(at("data/base/5/112"));
  EXPECT_TRUE(tree.hash_range(range)->is_gone);
}

TEST_F(SourceTreeTest, HashesHaveBounds) {
  const SourceTree tree = open();
  const HashRange good = {.file = number_of(tree, "base/5/112"), .length_bytes = 8192, .run_bytes = 4096};
  EXPECT_TRUE(tree.hash_range(good));
  HashRange bad = good;
  for (const std::uint32_t run_bytes : {0U, 4095U, (1U << 20U) + 1}) {
    bad.run_bytes = run_bytes;
    EXPECT_EQ(tree.hash_range(bad).error().code, ErrorCode::kProtocol) << run_bytes;
  }
  bad = good;
  bad.length_bytes = 4096 * kMaxHashesInAnswer + 1;
  EXPECT_EQ(tree.hash_range(bad).error().code, ErrorCode::kProtocol);
}

}  // namespace
}  // namespace standfast::agent

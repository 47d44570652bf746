#include "clone/tree_writer.h"

#include "clone/test_support.h"
#include "pg/format/tar_test_support.h"

namespace standfast::clone {
namespace {

using base::ErrorCode;
using testing::FolderTest;
using namespace pg::testing;  // NOLINT: the archives of tar_test_support.h

class TreeWriterTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    ASSERT_TRUE(env::make_directories(files_, at("data/pg_wal/archive_status"), 0700));
    ASSERT_TRUE(env::make_directories(files_, at("ts"), 0700));
    ASSERT_TRUE(env::make_directories(files_, at("disk"), 0700));
  }
  TreeWriter writer(SyncPool* pool = nullptr, TreeModes modes = {}) {
    return TreeWriter(files_, pool,
                      {at("data"),
                       at("data/pg_wal"),
                       {{"elsewhere", at("disk")}},
                       {{16385, {at("ts"), "/final/ts"}},
                        {16386, {at("data/pg_tblspc/16386"), ""}},
                        {16387, {at("ts"), at("final")}}},
                       modes});
  }
  base::Result<void> write_base(TreeWriter& writer, const std::string& archive) {
    TRY(writer.begin_archive({std::nullopt, "", std::nullopt}));
    TRY(writer.archive_bytes(base::as_bytes(archive)));
    return writer.end_archive();
  }
  ErrorCode code_of(const std::string& archive) {
    TreeWriter tree = writer();
    auto written = write_base(tree, archive);
    return written ? ErrorCode::kFailed : written.error().code;
  }
};

TEST_F(TreeWriterTest, AnArchiveBecomesFilesThatAreKnownByTheManifestsNames) {
  SyncPool pool;
  TreeWriter tree = writer(&pool);
  ASSERT_TRUE(tree.begin_archive({16385, "/mnt/ts", 100}));
  ASSERT_TRUE(tree.archive_bytes(
      base::as_bytes(tar_directory("PG_15_202209061") + tar_file("PG_15_202209061/16390", "table"))));
  ASSERT_TRUE(tree.end_archive());
  ASSERT_TRUE(write_base(tree, tar_file("backup_label", "START") + tar_directory("base") +
                                   tar_directory("base/5") +
                                   tar_file("base/5/112", std::string(100'000, 'x')) +
                                   tar_directory("pg_tblspc") + tar_symlink("pg_tblspc/16385", "/mnt/ts") +
                                   tar_directory("./pg_wal") + tar_directory("./pg_wal/archive_status")));
  ASSERT_TRUE(tree.begin_manifest());
  ASSERT_TRUE(tree.manifest_bytes(base::as_bytes("{")));
  ASSERT_TRUE(tree.manifest_bytes(base::as_bytes("}")));
  ASSERT_TRUE(tree.finish());
  const env::StopEvent stop;
  ASSERT_TRUE(pool.finish(stop));

  EXPECT_EQ(read("data/backup_label"), "START");
  EXPECT_EQ(read("data/base/5/112"), std::string(100'000, 'x'));
  EXPECT_EQ(read("data/backup_manifest"), "{}");
  EXPECT_EQ(read("ts/PG_15_202209061/16390"), "table");
  EXPECT_EQ(*files_.read_symlink(at("data/pg_tblspc/16385")), "/final/ts");
  ASSERT_EQ(tree.received_files().size(), 3U);
  EXPECT_EQ(tree.received_files()[0].path, "pg_tblspc/16385/PG_15_202209061/16390");
  EXPECT_EQ(tree.received_files()[2].path, "base/5/112");
  EXPECT_EQ(tree.received_files()[2].size_bytes, 100'000U);
  EXPECT_EQ(tree.file_bytes(), 100'010U);
}

TEST_F(TreeWriterTest, NothingIsWrittenThroughALinkOfTheArchive) {
  const std::string link = tar_directory("pg_tblspc") + tar_symlink("pg_tblspc/16387", "/mnt/ts");
  for (const std::string& behind :
       {tar_file("pg_tblspc/16387/evil", "x"), tar_directory("pg_tblspc/16387/evil")}) {
    TearDown();
    SetUp();
    ASSERT_TRUE(env::make_directories(files_, at("final"), 0700));
    EXPECT_EQ(code_of(link + behind), ErrorCode::kProtocol);
    EXPECT_TRUE(env::is_empty_directory(files_, at("final")).value());
  }
}

TEST_F(TreeWriterTest, AnEntryThatIsADiskOfItsOwnIsWrittenThere) {
  TreeWriter tree = writer();
  ASSERT_TRUE(write_base(tree, tar_directory("elsewhere") + tar_directory("elsewhere/deeper") +
                                   tar_file("elsewhere/deeper/file", "x") + tar_file("elsewhere2", "y")));
  EXPECT_EQ(read("disk/deeper/file"), "x");
  EXPECT_EQ(read("data/elsewhere2"), "y");
  EXPECT_FALSE(exists("data/elsewhere"));
  EXPECT_TRUE(tree.folders().contains(at("disk")));
}

TEST_F(TreeWriterTest, AnInPlaceTablespaceLiesInTheDataDirectory) {
  TreeWriter tree = writer();
  ASSERT_TRUE(tree.begin_archive({16386, "pg_tblspc/16386", std::nullopt}));
  ASSERT_TRUE(tree.archive_bytes(base::as_bytes(tar_directory("PG_15_202209061"))));
  ASSERT_TRUE(tree.end_archive());
  ASSERT_TRUE(write_base(tree, tar_directory("pg_tblspc") + tar_directory("pg_tblspc/16386")));
  EXPECT_TRUE(exists("data/pg_tblspc/16386/PG_15_202209061"));
}

TEST_F(TreeWriterTest, ModesAreTheSourcesAndNeverWider) {
  const std::string archive = tar_header({.path = "secret", .mode = 0600}) +
                              tar_header({.path = "shared", .mode = 0640}) +
                              tar_header({.path = "open", .mode = 0666}) + tar_directory("folder");
  const auto mode_of = [&](const std::string& name) { return (*files_.inspect(at("data/" + name)))->mode; };
  TreeWriter group = writer(nullptr, {0750, 0750});
  ASSERT_TRUE(write_base(group, archive));
  EXPECT_EQ(mode_of("secret"), 0600U);
  EXPECT_EQ(mode_of("shared"), 0640U);
  EXPECT_EQ(mode_of("open"), 0640U);
  EXPECT_EQ(mode_of("folder"), 0750U);
  ASSERT_TRUE(env::remove_tree(files_, at("data")));
  ASSERT_TRUE(env::make_directories(files_, at("data"), 0700));
  TreeWriter owner = writer();
  ASSERT_TRUE(write_base(owner, archive));
  EXPECT_EQ(mode_of("shared"), 0600U);
  EXPECT_EQ(mode_of("folder"), 0700U);
}

TEST_F(TreeWriterTest, LinksAndNamesNoServerSendsAreRefused) {
  EXPECT_EQ(code_of(tar_symlink("pg_tblspc", "/etc")), ErrorCode::kProtocol);
  EXPECT_EQ(code_of(tar_symlink("base", "/etc")), ErrorCode::kProtocol);
  EXPECT_EQ(code_of(tar_directory("pg_tblspc") + tar_symlink("pg_tblspc/1", "/etc")), ErrorCode::kProtocol);
  EXPECT_EQ(code_of(tar_file("backup_manifest", "{}")), ErrorCode::kProtocol);
  TreeWriter tree = writer();
  EXPECT_FALSE(tree.begin_archive({99, "/mnt/unknown", std::nullopt}));
}

TEST_F(TreeWriterTest, AFileThatComesTwiceIsRefused) {
  EXPECT_EQ(code_of(tar_file("x", "1") + tar_file("x", "2")), ErrorCode::kIo);
}

}  // namespace
}  // namespace standfast::clone

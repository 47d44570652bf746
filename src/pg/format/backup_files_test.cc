#include "pg/format/backup_files.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

using enum BackupUse;
using Kind = DataEntryKind;

constexpr DataRoot kData = DataRoot::kDataDirectory;
constexpr DataRoot kSpace = DataRoot::kTablespace;

const BackupLayout kLayout = {.version_folder = "PG_15_202209061"};

struct Rule {
  DataRoot root;
  const char* folder;
  const char* name;
  Kind kind;
  BackupUse use;
};

// In each database folder of these, relation 16384 is unlogged.
constexpr Rule kRules[] = {
    // What a cluster is made of.
    {kData, "", "PG_VERSION", Kind::kFile, kCopy},
    {kData, "", "base", Kind::kFolder, kCopy},
    {kData, "", "postgresql.conf", Kind::kFile, kCopy},
    {kData, "", "standby.signal", Kind::kFile, kCopy},
    {kData, "", "backup_label.old", Kind::kFile, kCopy},
    {kData, "", "tablespace_map.old", Kind::kFile, kCopy},
    {kData, "", ".bash_history", Kind::kFile, kCopy},
    {kData, "global", "pg_control", Kind::kFile, kCopy},
    {kData, "global", "1262", Kind::kFile, kCopy},
    {kData, "pg_xact", "0000", Kind::kFile, kCopy},
    {kData, "pg_multixact/members", "0000", Kind::kFile, kCopy},
    {kData, "log", "postgresql.log", Kind::kFile, kCopy},
    {kData, "base/5", "pg_filenode.map", Kind::kFile, kCopy},
    // Folders that a starting server empties, at any depth, also where they are links.
    {kData, "", "pg_wal", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_wal", Kind::kLink, kFolderOnly},
    {kData, "other", "pg_wal", Kind::kFolder, kCopy},
    {kData, "", "pg_replslot", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_dynshmem", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_notify", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_serial", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_snapshots", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_subtrans", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_stat_tmp", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_stat_tmp", Kind::kLink, kFolderOnly},
    {kData, "deeper", "pg_notify", Kind::kFolder, kFolderOnly},
    {kData, "", "pg_stat", Kind::kFolder, kCopy},
    // Temporary files, with their folders.
    {kData, "base", "pgsql_tmp", Kind::kFolder, kLeaveOut},
    {kData, "base/pgsql_tmp", "pgsql_tmp123.0", Kind::kFile, kLeaveOut},
    {kSpace, "PG_15_202209061", "pgsql_tmp", Kind::kFolder, kLeaveOut},
    // Files that are of this server or another copy alone.
    {kData, "", "postmaster.pid", Kind::kFile, kLeaveOut},
    {kData, "", "postmaster.opts", Kind::kFile, kLeaveOut},
    {kData, "", "postmaster.pid.old", Kind::kFile, kCopy},
    {kData, "", "postgresql.auto.conf.tmp", Kind::kFile, kLeaveOut},
    {kData, "", "postgresql.auto.conf", Kind::kFile, kCopy},
    {kData, "", "current_logfiles.tmp", Kind::kFile, kLeaveOut},
    {kData, "", "current_logfiles", Kind::kFile, kCopy},
    {kData, "", "backup_label", Kind::kFile, kLeaveOut},
    {kData, "", "tablespace_map", Kind::kFile, kLeaveOut},
    {kData, "", "backup_manifest", Kind::kFile, kLeaveOut},
    {kData, "", ".DS_Store", Kind::kFile, kLeaveOut},
    {kData, "global", "pg_internal.init", Kind::kFile, kLeaveOut},
    {kData, "base/5", "pg_internal.init.4711", Kind::kFile, kLeaveOut},
    // What is Standfast's.
    {kData, "", ".standfast", Kind::kFolder, kLeaveOut},
    {kData, "pg_xact", ".standfast", Kind::kFolder, kLeaveOut},
    {kData, "", "pg_hba.conf.standfast-tmp", Kind::kFile, kLeaveOut},
    {kData, "", "data.standfast-old-20260131T120000", Kind::kFolder, kLeaveOut},
    {kData, "", "standfast.conf", Kind::kFile, kCopy},
    {kData, "", "pg_hba.conf.standfast", Kind::kFile, kCopy},
    {kData, "", ".standfast.old", Kind::kFolder, kCopy},
    // Unlogged relations: the init fork alone.
    {kData, "base/5", "16384", Kind::kFile, kLeaveOut},
    {kData, "base/5", "16384.1", Kind::kFile, kLeaveOut},
    {kData, "base/5", "16384_fsm", Kind::kFile, kLeaveOut},
    {kData, "base/5", "16384_vm.2", Kind::kFile, kLeaveOut},
    {kData, "base/5", "16384_init", Kind::kFile, kCopy},
    {kData, "base/5", "163840", Kind::kFile, kCopy},
    {kData, "base/5", "1638", Kind::kFile, kCopy},
    {kData, "base/5", "16385", Kind::kFile, kCopy},
    {kData, "base/5", "16385_fsm", Kind::kFile, kCopy},
    {kData, "base/5", "16384_other", Kind::kFile, kCopy},
    {kData, "base/5", "16384.x", Kind::kFile, kCopy},
    {kData, "base/5x", "16384", Kind::kFile, kCopy},
    {kData, "other/5", "16384", Kind::kFile, kCopy},
    {kData, "base", "16384", Kind::kFolder, kCopy},
    {kSpace, "PG_15_202209061/5", "16384", Kind::kFile, kLeaveOut},
    {kSpace, "PG_15_202209061/5", "16384_init", Kind::kFile, kCopy},
    {kData, "pg_tblspc/16400/PG_15_202209061/5", "16384", Kind::kFile, kLeaveOut},
    // Temporary relations.
    {kData, "base/5", "t3_16390", Kind::kFile, kLeaveOut},
    {kData, "base/5", "t3_16390.1", Kind::kFile, kLeaveOut},
    {kData, "base/5", "t12_16390_fsm", Kind::kFile, kLeaveOut},
    {kData, "base/5", "t12_16390_vm.1", Kind::kFile, kLeaveOut},
    {kData, "base/5", "t_16390", Kind::kFile, kCopy},
    {kData, "base/5", "t3_", Kind::kFile, kCopy},
    {kData, "base/5", "t3_x", Kind::kFile, kCopy},
    {kData, "base/5", "t3_16390_x", Kind::kFile, kCopy},
    {kData, "global", "t3_16390", Kind::kFile, kCopy},
    {kSpace, "PG_15_202209061/5", "t3_16390", Kind::kFile, kLeaveOut},
    // Tablespaces: the folder of this version alone, and those that lie in pg_tblspc itself.
    {kSpace, "", "PG_15_202209061", Kind::kFolder, kCopy},
    {kSpace, "", "PG_12_201909212", Kind::kFolder, kLeaveOut},
    {kSpace, "", "lost+found", Kind::kFolder, kLeaveOut},
    {kSpace, "", "PG_15_202209061", Kind::kLink, kSpecial},
    {kSpace, "PG_15_202209061", "5", Kind::kFolder, kCopy},
    {kData, "", "pg_tblspc", Kind::kFolder, kCopy},
    {kData, "pg_tblspc", "16400", Kind::kLink, kLeaveOut},
    {kData, "pg_tblspc", "16400", Kind::kFolder, kCopy},
    {kData, "pg_tblspc", "else", Kind::kFolder, kLeaveOut},
    {kData, "pg_tblspc", "else", Kind::kFile, kLeaveOut},
    {kData, "pg_tblspc/16400", "PG_15_202209061", Kind::kFolder, kCopy},
    {kData, "pg_tblspc/16400", "PG_14_202107181", Kind::kFolder, kLeaveOut},
    // Links elsewhere, and what is neither file nor folder.
    {kData, "", "postgresql.conf", Kind::kLink, kSpecial},
    {kData, "", "pg_tblspc", Kind::kLink, kSpecial},
    {kData, "base", "5", Kind::kLink, kSpecial},
    {kData, "", ".s.PGSQL.5432", Kind::kOther, kSpecial},
};

TEST(BackupFiles, EachRule) {
  for (const Rule& rule : kRules) {
    const DataFolder folder = {.root = rule.root, .path = rule.folder, .with_init_fork = {"16384"}};
    EXPECT_EQ(backup_use(folder, rule.name, rule.kind, kLayout), rule.use) << rule.folder << " " << rule.name;
  }
}

TEST(BackupFiles, StatisticsOfAnOlderServerMayBeElsewhere) {
  const BackupLayout layout = {.version_folder = "PG_12_201909212", .stats_temp_folder = "run/stats"};
  const DataFolder inside = {.root = kData, .path = "run"};
  EXPECT_EQ(backup_use(inside, "stats", Kind::kFolder, layout), kFolderOnly);
  EXPECT_EQ(backup_use(inside, "stats", Kind::kFolder, kLayout), kCopy);
  EXPECT_EQ(backup_use({.root = kData, .path = ""}, "stats", Kind::kFolder, layout), kCopy);
  EXPECT_EQ(backup_use({.root = kData, .path = ""}, "pg_stat_tmp", Kind::kFolder, layout), kFolderOnly);
}

TEST(BackupFiles, InitForksAreFoundByTheirNames) {
  const std::vector<std::string> names = {"16384",  "16384_init", "2_init", "3_init.1",
                                          "x_init", "_init",      "4_vm"};
  EXPECT_EQ(relations_with_init_fork(names), (RelationNumbers{"16384", "2"}));
}

TEST(BackupFiles, NamesThatAServerGives) {
  EXPECT_EQ(tablespace_version_folder(15, 202209061), "PG_15_202209061");
  EXPECT_EQ(folders_of_pg_wal(Version(160000)), std::vector<std::string>{"pg_wal/archive_status"});
  EXPECT_EQ(folders_of_pg_wal(Version(170000)),
            (std::vector<std::string>{"pg_wal/archive_status", "pg_wal/summaries"}));
  EXPECT_TRUE(is_tablespace_name("16400"));
  for (const char* name : {"", "1x", "x1", "-1", "12345678901", "."})
    EXPECT_FALSE(is_tablespace_name(name)) << name;
}

TEST(BackupFiles, WholeFilesAreKnownByTheirPlace) {
  EXPECT_EQ(whole_file_kind(kData, "global/pg_control"), WholeFile::kControlFile);
  EXPECT_EQ(whole_file_kind(kSpace, "global/pg_control"), WholeFile::kNo);
  EXPECT_EQ(whole_file_kind(kData, "base/pg_control"), WholeFile::kNo);
  EXPECT_EQ(whole_file_kind(kData, "global/pg_filenode.map"), WholeFile::kRelationMap);
  EXPECT_EQ(whole_file_kind(kSpace, "PG_15_202209061/5/pg_filenode.map"), WholeFile::kRelationMap);
  EXPECT_EQ(whole_file_kind(kData, "global/pg_filenode.map.tmp"), WholeFile::kNo);
}

}  // namespace
}  // namespace standfast::pg

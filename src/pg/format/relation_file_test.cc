#include "pg/format/relation_file.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

constexpr std::uint32_t kUsualBlocks = 131072;  // of 8 KiB in 1 GiB

TEST(RelationFile, NamesTellRelationForkAndSegment) {
  EXPECT_EQ(parse_relation_file_name("16384"), (RelationFile{.relation = 16384}));
  EXPECT_EQ(parse_relation_file_name("1259.3"), (RelationFile{.relation = 1259, .segment = 3}));
  EXPECT_EQ(parse_relation_file_name("1_fsm"), (RelationFile{.relation = 1, .fork = Fork::kFreeSpace}));
  EXPECT_EQ(parse_relation_file_name("4294967295_vm.12"),
            (RelationFile{.relation = 4294967295U, .fork = Fork::kVisibility, .segment = 12}));
  EXPECT_EQ(parse_relation_file_name("16384_init"), (RelationFile{.relation = 16384, .fork = Fork::kInit}));
}

TEST(RelationFile, OtherNamesHoldNoPages) {
  for (const char* name : {"",
                           "0",
                           "016384",
                           "4294967296",
                           "16384.",
                           "16384.0",
                           "16384.01",
                           "16384.4294967296",
                           "16384_",
                           "16384_map",
                           "16384_fsm_vm",
                           "16384_fsmx",
                           "16384.1_fsm",
                           "16384.1.2",
                           "-1",
                           "+1",
                           " 1",
                           "1 ",
                           "t3_16384",
                           "t3_16384_fsm",
                           "pg_filenode.map",
                           "pg_internal.init",
                           "pg_internal.init.4711",
                           "PG_VERSION",
                           "pg_control",
                           "pgsql_tmp4711.0",
                           "config_exec_params",
                           ".DS_Store",
                           "16384/1"})
    EXPECT_FALSE(parse_relation_file_name(name)) << name;
}

TEST(RelationFile, FoldersOfRelationsAreKnown) {
  for (const char* path :
       {"global/1262", "base/5/1262", "pg_tblspc/16390/PG_15_202209061/5/1262", "PG_15_202209061/5/1262"})
    EXPECT_EQ(parse_relation_path(path), (RelationFile{.relation = 1262})) << path;
  EXPECT_EQ(parse_relation_path("base/5/1262_vm.7"),
            (RelationFile{.relation = 1262, .fork = Fork::kVisibility, .segment = 7}));
}

TEST(RelationFile, OtherFoldersHoldNone) {
  for (const char* path : {"",
                           "/",
                           "1262",
                           "base",
                           "base/1262",
                           "base//1262",
                           "base/pgsql_tmp/1262",
                           "base/5/6/1262",
                           "base/05/1262",
                           "/base/5/1262",
                           "./base/5/1262",
                           "base/5/1262/",
                           "based/5/1262",
                           "global/5/1262",
                           "global/pg_control",
                           "global/pg_filenode.map",
                           "base/5/PG_VERSION",
                           "base/5/t3_1262",
                           "pg_xact/0000",
                           "pg_xact/1262",
                           "pg_wal/1262",
                           "pg_multixact/offsets/1262",
                           "pg_tblspc/16390/1262",
                           "pg_tblspc/16390/5/1262",
                           "pg_tblspc/16390/base/5/1262",
                           "pg_tblspc/16390/PG_15_202209061/1262",
                           "pg_tblspc/16390/PG_15_202209061/pgsql_tmp/1262",
                           "pg_tblspc/x/PG_15_202209061/5/1262",
                           "pg_tblspc/PG_15_202209061/5/1262",
                           "PG_15_202209061/1262",
                           "PG_15/5/1262",
                           "PG_15_/5/1262",
                           "PG__202209061/5/1262",
                           "PG_15_202209061x/5/1262",
                           "pg_15_202209061/5/1262"})
    EXPECT_FALSE(parse_relation_path(path)) << path;
}

TEST(RelationFile, ASegmentGoesOnWhereTheOneBeforeEnds) {
  EXPECT_EQ(parse_relation_path("base/5/1262")->first_block_number(kUsualBlocks), 0U);
  EXPECT_EQ(parse_relation_path("base/5/1262.1")->first_block_number(kUsualBlocks), kUsualBlocks);
  EXPECT_EQ(parse_relation_path("base/5/1262.32767")->first_block_number(kUsualBlocks), 0xFFFE'0000U);
}

}  // namespace
}  // namespace standfast::pg

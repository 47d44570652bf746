#include "pg/server/debian.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "pg/server/conf_tree.h"
#include "pg/server/debian_create.h"
#include "pg/server/new_place.h"

namespace standfast::server {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;

/// Debian's folders below a folder of the test.
class DebianTest : public testing::Test {
 protected:
  DebianTest() {
    char name[] = "/tmp/standfast-debian-test-XXXXXX";
    root_ = mkdtemp(name);
    places_ = {root_ + "/etc", root_ + "/common", root_ + "/data", root_ + "/bin", root_ + "/lib"};
  }
  ~DebianTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + "/" + path).parent_path());
    std::ofstream(root_ + "/" + path) << text;
  }
  void program(const std::string& path) {
    write(path, "#!/bin/sh\n");
    fs::permissions(root_ + "/" + path, fs::perms::owner_all);
  }
  std::string data_directory_of(const std::string& cluster) {
    const auto found = data_directory_of_configuration(files_, root_ + "/etc/" + cluster);
    return found ? *found : "error: " + found.error().message;
  }

  env::FileSystem& files_ = env::posix_file_system();
  std::string root_;
  DebianPlaces places_;
};

TEST_F(DebianTest, NamesAreThoseThatPostgresqlCommonTakes) {
  EXPECT_EQ(parse_debian_name("15/main"), (DebianName{15, "main"}));
  EXPECT_EQ(parse_debian_name("9-main"), std::nullopt);
  EXPECT_EQ(parse_debian_name("12-my-one.x_2"), (DebianName{12, "my-one.x_2"}));
  for (const char* text : {"", "15", "15/", "/main", "main", "15/a b", "15/../x", "15/a/b", "150/main",
                           "15/-x", "15/.x", "1x/main", "15/m\nain"}) {
    EXPECT_EQ(parse_debian_name(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_debian_name("15/" + std::string(101, 'a')), std::nullopt);
}

TEST_F(DebianTest, DataDirectoryMayStandInAnyIncludedFile) {
  write("etc/15/dir/postgresql.conf", "include_dir 'conf.d'\nport = 5433\n");
  write("etc/15/dir/conf.d/10.conf", "data_directory = '/first'\n");
  write("etc/15/dir/conf.d/20.conf", "Data_Directory '/it''s \\\\ here/'  # the last one\n");
  write("etc/15/dir/conf.d/.30.conf", "data_directory = '/hidden'\n");
  write("etc/15/dir/conf.d/40.conf.bak", "data_directory = '/backup'\n");
  EXPECT_EQ(data_directory_of("15/dir"), "/it's \\ here");

  write("etc/15/file/postgresql.conf",
        "data_directory = '/before'\ninclude 'more/a.conf'\ninclude_if_exists = 'none.conf'\n");
  write("etc/15/file/more/a.conf", "include_if_exists 'b.conf'\n");
  write("etc/15/file/more/b.conf", "data_directory = '/from/b'\n");
  EXPECT_EQ(data_directory_of("15/file"), "/from/b");

  write("etc/15/last/postgresql.conf", "include 'a.conf'\ndata_directory = '/own'\n");
  write("etc/15/last/a.conf", "data_directory = '/included'\n");
  EXPECT_EQ(data_directory_of("15/last"), "/own");
}

TEST_F(DebianTest, WhatNoServerWouldReadIsSaid) {
  write("etc/15/missing/postgresql.conf", "include 'none.conf'\n");
  write("etc/15/loop/postgresql.conf", "include 'postgresql.conf'\n");
  write("etc/15/broken/postgresql.conf", "data_directory = = 'x'\n");
  write("etc/15/device/postgresql.conf", "include '/dev/zero'\n");
  write("etc/15/silent/postgresql.conf", "port = 5432\n");
  for (const char* cluster : {"missing", "loop", "broken", "device", "silent"}) {
    EXPECT_TRUE(data_directory_of(std::string("15/") + cluster).starts_with("error: ")) << cluster;
  }
}

TEST_F(DebianTest, RootReadsNothingButTheOwnersFilesAndWhatOfItsOwnHeMayRead) {
  if (geteuid() != 0) GTEST_SKIP() << "an ordinary user reads what he may";
  constexpr uid_t kOwner = 20'001;
  const auto give = [&](const std::string& path, uid_t user) {
    ASSERT_EQ(chown((root_ + "/" + path).c_str(), user, user), 0);
  };
  write("etc/main/postgresql.conf", "include '" + root_ + "/other.conf'\n");
  write("other.conf", "data_directory = '/data/other'\n");
  give("etc/main", kOwner);
  give("etc/main/postgresql.conf", kOwner);
  EXPECT_EQ(data_directory_of("main"), "/data/other");
  fs::permissions(root_ + "/other.conf", fs::perms::owner_read);
  EXPECT_NE(data_directory_of("main").find("root does not read"), std::string::npos);
  give("other.conf", kOwner + 1);
  EXPECT_NE(data_directory_of("main").find("root does not read"), std::string::npos);
  give("other.conf", kOwner);
  EXPECT_EQ(data_directory_of("main"), "/data/other");

  // In a folder of root's the file's owner is the one it was given to; in another's, a link leads nowhere.
  give("etc/main", 0);
  EXPECT_EQ(data_directory_of("main"), "/data/other");
  give("etc/main", kOwner);
  give("other.conf", 0);
  fs::remove(root_ + "/etc/main/postgresql.conf");
  fs::create_symlink(root_ + "/other.conf", root_ + "/etc/main/postgresql.conf");
  EXPECT_NE(data_directory_of("main").find("root does not read"), std::string::npos);
}

TEST_F(DebianTest, OldClustersHaveALinkInsteadOfTheSetting) {
  write("etc/12/main/postgresql.conf", "port = 5432\n");
  fs::create_symlink("/data/of/old", root_ + "/etc/12/main/pgdata");
  EXPECT_EQ(data_directory_of("12/main"), "/data/of/old");
}

TEST_F(DebianTest, ClusterIsFoundByItsDataDirectoryAlsoWhenThatIsGone) {
  write("etc/15/main/postgresql.conf", "include_dir 'conf.d'\n");
  write("etc/15/main/conf.d/data.conf", "data_directory = '" + root_ + "/link/main'\n");
  write("etc/15/other/postgresql.conf", "data_directory = '" + root_ + "/real/other'\n");
  write("etc/15/broken/postgresql.conf", "what is = = this\n");
  fs::create_directories(root_ + "/real");
  fs::create_directory_symlink(root_ + "/real", root_ + "/link");
  const auto found = find_debian_cluster(files_, root_ + "/real/main", 15, places_);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->name, "main");
  EXPECT_EQ((*found)->unit(), "postgresql@15-main.service");
  EXPECT_FALSE(find_debian_cluster(files_, root_ + "/real/main", 14, places_)->has_value());
  EXPECT_FALSE(find_debian_cluster(files_, root_ + "/real/third", 15, places_)->has_value());
  EXPECT_EQ(list_debian_clusters(files_, places_).size(), 3U);
}

TEST_F(DebianTest, StartConfDecidesWhoStartsIt) {
  write("etc/15/main/postgresql.conf", "");
  const DebianCluster cluster = *registered_debian_cluster(files_, {15, "main"}, places_);
  EXPECT_EQ(start_of_debian_cluster(files_, cluster), DebianStart::kAuto);
  write("etc/15/main/start.conf", "# auto\n\n  manual # for now\n");
  EXPECT_EQ(start_of_debian_cluster(files_, cluster), DebianStart::kManual);
  write("etc/15/main/start.conf", "disabled");
  EXPECT_EQ(start_of_debian_cluster(files_, cluster), DebianStart::kDisabled);
}

TEST_F(DebianTest, DefaultPlaceIsCreateclustersOwn) {
  EXPECT_EQ(debian_default_place(files_, {15, "main"}, places_), root_ + "/data/15/main");
  EXPECT_EQ(debian_name_of_place(files_, root_ + "/data/15/main/", places_), (DebianName{15, "main"}));
  EXPECT_EQ(debian_name_of_place(files_, root_ + "/elsewhere/15/main", places_), std::nullopt);
  EXPECT_EQ(debian_name_of_place(files_, root_ + "/data/15", places_), std::nullopt);
  write("common/createcluster.conf",
        "data_directory = '" + root_ + "/100%%/%v/%c'\ninclude_dir '/nowhere'\nssl = on\n");
  EXPECT_EQ(debian_default_place(files_, {15, "main"}, places_), root_ + "/100%/15/main");
  EXPECT_EQ(debian_name_of_place(files_, root_ + "/100%/15/main", places_), (DebianName{15, "main"}));
}

TEST_F(DebianTest, NewPlaceIsThatOfTheOnlyMajorOrTheOneThatIsNamed) {
  const NewPlaceSources sources = {places_, root_ + "/usr", root_ + "/pgsql"};
  const auto place = [&](const NewPlaceQuery& query, OnSeveralMajors on_several = OnSeveralMajors::kRefuse) {
    return find_new_place(files_, query, on_several, sources);
  };
  EXPECT_EQ(place({}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(place({.cluster = DebianName{15, "main"}}).error().code, ErrorCode::kPrecondition);
  program("usr/pgsql-14/bin/postgres");
  EXPECT_EQ(place({})->data_directory, root_ + "/pgsql/14/data");
  EXPECT_FALSE(place({})->debian);

  program("bin/pg_createcluster");
  program("lib/15/bin/initdb");
  EXPECT_EQ(place({})->data_directory, root_ + "/data/15/main");
  EXPECT_EQ(place({})->debian, (DebianName{15, "main"}));
  EXPECT_EQ(place({.cluster = DebianName{15, "two"}})->data_directory, root_ + "/data/15/two");
  EXPECT_EQ(place({.data_directory = root_ + "/data/15/two"})->debian, (DebianName{15, "two"}));
  EXPECT_FALSE(place({.data_directory = root_ + "/data/14/two"})->debian);
  EXPECT_FALSE(place({.data_directory = "/srv/pg"})->debian);
  EXPECT_EQ(place({.data_directory = "/srv/pg", .cluster = DebianName{15, "x"}})->debian,
            (DebianName{15, "x"}));

  const std::string own = root_ + "/lib/15/bin";
  EXPECT_TRUE(place({.data_directory = root_ + "/data/15/two", .bin_directory = own})->debian);
  EXPECT_FALSE(place({.data_directory = root_ + "/data/15/two", .bin_directory = root_})->debian);
  EXPECT_EQ(place({.cluster = DebianName{15, "x"}, .bin_directory = root_}).error().code, ErrorCode::kUsage);

  program("lib/12/bin/initdb");
  EXPECT_EQ(place({}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(place({}, OnSeveralMajors::kNewest)->debian, (DebianName{15, "main"}));
  write("etc/12/main/postgresql.conf", "data_directory = '/srv/old'\n");
  EXPECT_EQ(place({.cluster = DebianName{12, "main"}})->data_directory, "/srv/old");
}

TEST_F(DebianTest, CreationIsOneCallOfPgCreatecluster) {
  DebianCreation creation;
  creation.name = {15, "main"};
  creation.data_directory = "/d";
  EXPECT_EQ(create_arguments(creation, places_),
            (std::vector<std::string>{root_ + "/bin/pg_createcluster", "--no-status", "-d", "/d", "--locale",
                                      "C", "-e", "UTF8", "15", "main", "--", "-k"}));
  creation.port = 5499;
  creation.socket_directory = "/s";
  creation.superuser = "admin";
  creation.locale = "C.UTF-8";
  EXPECT_EQ(create_arguments(creation, places_),
            (std::vector<std::string>{root_ + "/bin/pg_createcluster", "--no-status", "-d", "/d", "-p",
                                      "5499", "-s", "/s", "--locale", "C.UTF-8", "-e", "UTF8", "15", "main",
                                      "--", "-k", "-U", "admin"}));
}

}  // namespace
}  // namespace standfast::server

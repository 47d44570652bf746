#include "pg/server/cluster_search.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace standfast::server {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;

/// A host made of folders.
class SearchTest : public testing::Test {
 protected:
  SearchTest() {
    char name[] = "/tmp/standfast-search-test-XXXXXX";
    root_ = mkdtemp(name);
    places_.debian.configuration_root = root_ + "/etc";
    places_.pgdg_root = root_ + "/pgsql";
    places_.unit_folders = {root_ + "/units/etc", root_ + "/units/usr"};
    places_.proc = root_ + "/proc";
    places_.claims = ProcessClaims::kBelieved;
  }
  ~SearchTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + "/" + path).parent_path());
    std::ofstream(root_ + "/" + path) << text;
  }
  void debian(const std::string& name, const std::string& data, const std::string& more = "") {
    write("etc/15/" + name + "/postgresql.conf", "data_directory = '" + root_ + "/" + data + "'\n" + more);
    write(data + "/PG_VERSION", "15\n");
  }
  void process(const std::string& id, const std::string& program, const std::string& works_in,
               const std::string& network = "net:[1]") {
    fs::create_directories(root_ + "/proc/" + id + "/ns");
    fs::create_directories(root_ + "/proc/self/ns");
    fs::create_symlink(program, root_ + "/proc/" + id + "/exe");
    fs::create_symlink(root_ + "/" + works_in, root_ + "/proc/" + id + "/cwd");
    fs::create_symlink(network, root_ + "/proc/" + id + "/ns/net");
    if (!fs::is_symlink(root_ + "/proc/self/ns/net"))
      fs::create_symlink("net:[1]", root_ + "/proc/self/ns/net");
  }
  std::vector<FoundCluster> find() { return find_clusters(env::posix_file_system(), places_); }

  std::string root_;
  SearchPlaces places_;
};

TEST_F(SearchTest, NothingIsFoundOnAnEmptyHost) {
  EXPECT_TRUE(find().empty());
  const auto chosen = choose_cluster({}, std::nullopt);
  ASSERT_FALSE(chosen.has_value());
  EXPECT_EQ(chosen.error().code, ErrorCode::kUsage);
  EXPECT_NE(chosen.error().hint.find("/etc/postgresql"), std::string::npos);
}

TEST_F(SearchTest, DebiansClustersAreFoundWithTheirPorts) {
  debian("main", "d/main", "port = 5433\n");
  debian("second", "d/second", "include_dir 'conf.d'\n");
  write("etc/15/second/conf.d/port.conf", "port = 6000\n");
  debian("third", "d/third", "port = 5433\n");
  write("d/third/postgresql.auto.conf", "port = '7000'\n");
  debian("plain", "d/plain");
  write("etc/15/gone/postgresql.conf", "data_directory = '/nowhere/at/all'\n");
  write("etc/15/wrong/postgresql.conf", "= =\n");
  const auto found = find();
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].debian, (DebianName{15, "main"}));
  EXPECT_EQ(found[0].data_directory, root_ + "/d/main");
  EXPECT_EQ(found[0].major, 15);
  EXPECT_EQ(found[0].state, RunState::kStopped);
  EXPECT_EQ(found[0].owner, geteuid());
  EXPECT_EQ(found[0].port, 5433);
  EXPECT_EQ(found[1].debian, (DebianName{15, "plain"}));
  EXPECT_EQ(found[1].port, 5432);
  EXPECT_EQ(found[2].port, 6000);
  EXPECT_EQ(found[3].port, 7000);
}

TEST_F(SearchTest, PgdgsClustersAreFoundWithTheUnitThatNamesThem) {
  write("pgsql/12/data/PG_VERSION", "12\n");
  write("pgsql/12/data/postgresql.conf", "port = 5412\n");
  write("pgsql/13/data/base/1", "");
  write("units/usr/postgresql-12.service",
        "[Service]\nType=notify\nEnvironment=PGDATA=" + root_ + "/pgsql/12/data/\n");
  // The administrator moved this one, as PGDG's documentation says.
  write("units/usr/postgresql-15.service", "[Service]\nEnvironment=PGDATA=/var/lib/pgsql/15/data/\n");
  write("units/etc/postgresql-15.service.d/override.conf",
        "[Service]\nEnvironment=PGDATA=" + root_ + "/moved\n");
  write("moved/PG_VERSION", "15\n");
  write("units/etc/postgresql-12-second.service", "[Service]\nEnvironment=PGDATA=" + root_ + "/second\n");
  write("units/etc/not-postgresql.service", "[Service]\nEnvironment=PGDATA=" + root_ + "/third\n");
  write("second/PG_VERSION", "12\n");
  write("third/PG_VERSION", "12\n");
  const auto found = find();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].data_directory, root_ + "/pgsql/12/data");
  EXPECT_EQ(found[0].unit, "postgresql-12.service");
  EXPECT_EQ(found[0].port, 5412);
  EXPECT_EQ(found[0].major, 12);
  EXPECT_EQ(found[1].unit, "postgresql-12-second.service");
  EXPECT_EQ(found[2].data_directory, root_ + "/moved");
  EXPECT_EQ(found[2].unit, "postgresql-15.service");
}

TEST_F(SearchTest, RunningServersOfThisHostAreFoundOnce) {
  write("own/PG_VERSION", "16\n");
  debian("main", "d/main");
  process("10", "/usr/lib/postgresql/16/bin/postgres (deleted)", "own");
  process("11", "/usr/lib/postgresql/16/bin/postgres", "own");
  process("12", "/usr/lib/postgresql/15/bin/postgres", "d/main");
  write("contained/PG_VERSION", "16\n");
  process("13", "/usr/lib/postgresql/16/bin/postgres", "contained", "net:[2]");
  write("shell/PG_VERSION", "16\n");
  process("14", "/bin/bash", "shell");
  const auto found = find();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].debian, (DebianName{15, "main"}));
  EXPECT_EQ(found[1].data_directory, root_ + "/own");
  EXPECT_EQ(found[1].major, 16);
}

TEST_F(SearchTest, RootDoesNotTakeWhatOnlyAProcessTellsOf) {
  places_.claims = ProcessClaims::kOnlyTold;
  write("claimed/PG_VERSION", "16\n");
  write("claimed/postgresql.conf", "port = 5432\n");
  process("10", "/home/alice/postgres", "claimed");
  process("11", "/home/alice/postgres", "claimed");
  write("odd\n-D /etc/PG_VERSION", "16\n");
  process("12", "/home/alice/postgres", "odd\n-D ");
  auto found = find();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].is_claimed);
  EXPECT_EQ(found[0].major, 0);  // nothing of hers was read
  EXPECT_TRUE(without_claims(found).empty());
  for (const auto port : {std::optional<std::uint16_t>(), std::optional<std::uint16_t>(5432)}) {
    const auto none = choose_cluster(found, port);
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error().code, ErrorCode::kUsage);
    EXPECT_NE(none.error().hint.find("-D " + root_ + "/claimed  (only a process"), std::string::npos);
  }

  // Nor does it come in the way of what the host's own configuration tells of.
  debian("main", "d/main", "port = 5432\n");
  process("13", "/usr/lib/postgresql/15/bin/postgres", "d/main");
  found = find();
  ASSERT_EQ(found.size(), 2U);
  for (const auto port : {std::optional<std::uint16_t>(), std::optional<std::uint16_t>(5432)}) {
    const auto chosen = choose_cluster(found, port);
    ASSERT_TRUE(chosen.has_value());
    EXPECT_EQ(chosen->debian, (DebianName{15, "main"}));
  }
}

TEST_F(SearchTest, OneOfSeveralIsChosenByItsPort) {
  debian("main", "d/main", "port = 5432\n");
  debian("second", "d/second", "port = 5433\n");
  const auto found = find();
  const auto several = choose_cluster(found, std::nullopt);
  ASSERT_FALSE(several.has_value());
  EXPECT_EQ(several.error().code, ErrorCode::kUsage);
  EXPECT_NE(several.error().hint.find("-D " + root_ + "/d/main "), std::string::npos);
  EXPECT_NE(several.error().hint.find("15/second"), std::string::npos);
  EXPECT_EQ(choose_cluster(found, std::uint16_t{5433})->debian, (DebianName{15, "second"}));
  const auto none = choose_cluster(found, std::uint16_t{5434});
  ASSERT_FALSE(none.has_value());
  EXPECT_NE(none.error().hint.find("5433"), std::string::npos);
}

TEST_F(SearchTest, FolderOfConfigurationStandsForItsDataDirectory) {
  auto& files = env::posix_file_system();
  debian("main", "d/main");
  EXPECT_EQ(*data_directory_of(files, root_ + "/etc/15/main/"), root_ + "/d/main");
  EXPECT_EQ(*data_directory_of(files, root_ + "/d/main"), root_ + "/d/main");
  EXPECT_EQ(*data_directory_of(files, root_ + "/nothing"), root_ + "/nothing");
  write("etc/15/silent/postgresql.conf", "");
  EXPECT_FALSE(data_directory_of(files, root_ + "/etc/15/silent").has_value());
}

TEST(UnitFile, DataDirectoryIsReadAsSystemdReadsIt) {
  EXPECT_EQ(data_directory_in_unit("[Service]\nEnvironment=PGDATA=/var/lib/pgsql/15/data/\n"),
            "/var/lib/pgsql/15/data");
  EXPECT_EQ(data_directory_in_unit("[Service]\n  Environment = A=1 PGDATA=/a B=2\r\n"), "/a");
  EXPECT_EQ(data_directory_in_unit("[Service]\nEnvironment=\"PGDATA=/my data\" B=2\n"), "/my data");
  EXPECT_EQ(data_directory_in_unit("[Service]\nEnvironment='PGDATA=/my data'\n"), "/my data");
  EXPECT_EQ(data_directory_in_unit("[Service]\nEnvironment=PGDATA=/a\nEnvironment=PGDATA=/b\n"), "/b");
  for (const char* text :
       {"", "Environment=PGDATA=/a\n", "[Unit]\nEnvironment=PGDATA=/a\n",
        "[Service]\n#Environment=PGDATA=/a\n", "[Service]\nEnvironment=OLDPGDATA=/a\n",
        "[Service]\nEnvironment=PGDATA=/var/lib/pgsql/%i\n", "[Service]\nEnvironment=PGDATA=\n",
        "[Service]\nEnvironmentFile=PGDATA=/a\n", "[Service]\nExecStart=/bin/true PGDATA=/a\n"}) {
    EXPECT_EQ(data_directory_in_unit(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace standfast::server

#include "pg/client/secret_store.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace standfast::client {
namespace {

using base::Secret;
using Written = SecretStore::Written;

class SecretStoreTest : public testing::Test {
 protected:
  SecretStoreTest() {
    char pattern[] = "/tmp/standfast-store-test-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~SecretStoreTest() override { static_cast<void>(env::remove_tree(files_, folder_)); }

  env::FileSystem& files_ = env::posix_file_system();
  std::string folder_;
  pg::SystemId id_{7000000000000000001U};
};

TEST_F(SecretStoreTest, WhatIsWrittenIsReadBackFrom0600FilesIn0700Folders) {
  const SecretStore store(files_, folder_ + "/store");
  EXPECT_FALSE(store.read(id_, "primary.pgpass")->has_value());
  EXPECT_EQ(*store.write(id_, "primary.pgpass", Secret("a")), Written::kNew);
  EXPECT_EQ(*store.write(id_, "primary.pgpass", Secret("a")), Written::kUnchanged);
  EXPECT_EQ(*store.write(id_, "primary.pgpass", Secret("b")), Written::kReplaced);
  EXPECT_EQ((*store.read(id_, "primary.pgpass"))->reveal(), "b");
  EXPECT_EQ((*files_.inspect(store.path_of(id_, "primary.pgpass")))->mode, 0600U);
  EXPECT_EQ((*files_.inspect(store.root()))->mode, 0700U);
  EXPECT_EQ((*files_.inspect(store.root() + "/7000000000000000001"))->mode, 0700U);
}

TEST_F(SecretStoreTest, ANameMayHaveAFolderBeforeIt) {
  const SecretStore store(files_, folder_ + "/store");
  ASSERT_TRUE(store.make_folder_of(id_, "ca/members.json"));
  EXPECT_EQ((*files_.inspect(store.root() + "/7000000000000000001/ca"))->mode, 0700U);
  EXPECT_EQ(*store.write(id_, "ca/members.json", Secret("a")), Written::kNew);
  EXPECT_EQ((*store.read(id_, "ca/members.json"))->reveal(), "a");
  // Each folder on the way has to be ours alone.
  ASSERT_TRUE(files_.set_mode(store.root() + "/7000000000000000001", 0770));
  EXPECT_FALSE(store.write(id_, "ca/members.json", Secret("b")));
  EXPECT_FALSE(store.make_folder_of(id_, "ca/members.json"));
}

TEST_F(SecretStoreTest, AFileThatOthersMayReadIsRefusedAndNotOverwritten) {
  const SecretStore store(files_, folder_ + "/store");
  ASSERT_TRUE(store.write(id_, "x.token", Secret("secret")));
  ASSERT_TRUE(files_.set_mode(store.path_of(id_, "x.token"), 0640));
  const auto read = store.read(id_, "x.token");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, base::ErrorCode::kPermission);
  EXPECT_EQ(read.error().message.find("secret\""), std::string::npos);
  EXPECT_FALSE(store.write(id_, "x.token", Secret("other")));
}

TEST_F(SecretStoreTest, AFolderThatOthersMayWriteIntoIsRefused) {
  const SecretStore store(files_, folder_ + "/store");
  ASSERT_TRUE(files_.make_directory(folder_ + "/store", 0770));
  EXPECT_FALSE(store.write(id_, "x.token", Secret("secret")));
}

TEST_F(SecretStoreTest, ALinkInPlaceOfASecretIsRefused) {
  const SecretStore store(files_, folder_ + "/store");
  ASSERT_TRUE(store.write(id_, "real", Secret("secret")));
  ASSERT_TRUE(files_.make_symlink(store.path_of(id_, "real"), store.path_of(id_, "link")));
  EXPECT_FALSE(store.read(id_, "link"));
}

TEST_F(SecretStoreTest, NoPlaceInsideAnyDataDirectoryIsAccepted) {
  const std::string data = folder_ + "/data";
  ASSERT_TRUE(files_.make_directory(data, 0700));
  EXPECT_FALSE(SecretStore(files_, data).refuse_inside(data));
  EXPECT_FALSE(SecretStore(files_, data + "/deep/store").refuse_inside(data));
  EXPECT_TRUE(SecretStore(files_, folder_ + "/store").refuse_inside(data));

  ASSERT_TRUE(files_.make_symlink(data, folder_ + "/link"));
  EXPECT_FALSE(SecretStore(files_, folder_ + "/link/store").refuse_inside(data));
  EXPECT_FALSE(SecretStore(files_, data + "/store").refuse_inside(folder_ + "/link"));

  const std::string other = folder_ + "/other";
  ASSERT_TRUE(files_.make_directory(other, 0700));
  ASSERT_TRUE(env::write_file_durably(files_, other + "/PG_VERSION", "15\n", {}));
  EXPECT_FALSE(SecretStore(files_, other + "/store").refuse_inside(data));
}

TEST_F(SecretStoreTest, RemovingWhatIsNotThereIsFine) {
  const SecretStore store(files_, folder_ + "/store");
  EXPECT_TRUE(store.remove(id_, "x.token"));
  ASSERT_TRUE(store.write(id_, "x.token", Secret("secret")));
  EXPECT_TRUE(store.remove(id_, "x.token"));
  EXPECT_FALSE(store.read(id_, "x.token")->has_value());
}

TEST_F(SecretStoreTest, FolderOfAClusterGoesWithItsLastFile) {
  const SecretStore store(files_, folder_ + "/store");
  ASSERT_TRUE(store.write(id_, "x.pgpass", Secret("secret")));
  ASSERT_TRUE(store.write(id_, "x.crt", Secret("certificate")));
  ASSERT_TRUE(store.remove(id_, "x.crt"));
  EXPECT_TRUE(store.read(id_, "x.pgpass")->has_value());
  ASSERT_TRUE(store.remove(id_, "x.pgpass"));
  EXPECT_TRUE(env::is_empty_directory(files_, folder_ + "/store").value());
}

TEST_F(SecretStoreTest, StandfastHomeMustBeAbsolute) {
  ASSERT_EQ(setenv("STANDFAST_HOME", "relative/path", 1), 0);
  EXPECT_FALSE(SecretStore::locate(files_));
  ASSERT_EQ(setenv("STANDFAST_HOME", folder_.c_str(), 1), 0);
  EXPECT_EQ(SecretStore::locate(files_)->root(), folder_);
  unsetenv("STANDFAST_HOME");
}

}  // namespace
}  // namespace standfast::client

#include "setup/role_passwords.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "setup/names.h"

namespace standfast::setup {
namespace {

using base::Secret;

// The password "pencil", as in RFC 7677.
const Secret kPencil(
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");

class PasswordFileTest : public testing::Test {
 protected:
  PasswordFileTest() : store_(env::posix_file_system(), make_folder()) {}
  ~PasswordFileTest() override {
    static_cast<void>(env::remove_tree(env::posix_file_system(), store_.root()));
  }
  static std::string make_folder() {
    char pattern[] = "/tmp/standfast-passwords-test-XXXXXX";
    return mkdtemp(pattern);
  }
  PasswordFile read() { return *PasswordFile::read(store_, id_); }
  bool is_there(std::string_view name) { return store_.read(id_, name)->has_value(); }

  client::SecretStore store_;
  pg::SystemId id_{7000000000000000001U};
};

TEST_F(PasswordFileTest, WhatIsSettledIsFoundByTheNextRun) {
  PasswordFile file = read();
  EXPECT_TRUE(file.candidates("replicator").empty());
  file.announce("replicator", Secret("a:b\\c"));
  file.announce("standfast_monitor", Secret("d"));
  ASSERT_TRUE(file.write_announced());
  ASSERT_TRUE(file.settle());
  EXPECT_TRUE(read().holds("replicator", Secret("a:b\\c")));
  EXPECT_TRUE(read().holds("standfast_monitor", Secret("d")));
  EXPECT_FALSE(is_there(kNextPrimaryPassfile));
}

TEST_F(PasswordFileTest, ARunKilledBetweenLeavesBothPasswordsToChooseFrom) {
  PasswordFile first = read();
  first.announce("replicator", Secret("old"));
  ASSERT_TRUE(first.write_announced());
  ASSERT_TRUE(first.settle());
  PasswordFile killed = read();
  killed.announce("replicator", Secret("new"));
  ASSERT_TRUE(killed.write_announced());

  const PasswordFile next = read();
  ASSERT_EQ(next.candidates("replicator").size(), 2U);
  EXPECT_EQ(next.candidates("replicator")[0], Secret("new"));
  EXPECT_EQ(next.candidates("replicator")[1], Secret("old"));
  EXPECT_TRUE(next.holds("replicator", Secret("old")));
  EXPECT_FALSE(next.holds("replicator", Secret("new")));
}

TEST_F(PasswordFileTest, SettlingKeepsWhatWasNotAnnouncedAnew) {
  PasswordFile first = read();
  first.announce("replicator", Secret("r"));
  first.announce("standfast_monitor", Secret("m"));
  ASSERT_TRUE(first.settle());
  PasswordFile second = read();
  second.announce("replicator", Secret("r2"));
  ASSERT_TRUE(second.write_announced());
  ASSERT_TRUE(second.settle());
  EXPECT_TRUE(read().holds("replicator", Secret("r2")));
  EXPECT_TRUE(read().holds("standfast_monitor", Secret("m")));
}

TEST(FindPassword, TheCandidateThatTheRoleHasIsFound) {
  const auto found = find_password_of("user", kPencil, std::nullopt, {Secret("new"), Secret("pencil")});
  EXPECT_EQ(found.state, PasswordState::kKnown);
  EXPECT_EQ(*found.password, Secret("pencil"));
}

TEST(FindPassword, WithoutCandidatesItIsUnknownAndWithWrongOnesChanged) {
  EXPECT_EQ(find_password_of("user", kPencil, std::nullopt, {}).state, PasswordState::kUnknown);
  EXPECT_EQ(find_password_of("user", kPencil, std::nullopt, {Secret("old")}).state, PasswordState::kChanged);
  EXPECT_EQ(find_password_of("user", Secret("nonsense"), std::nullopt, {Secret("old")}).state,
            PasswordState::kChanged);
}

TEST(FindPassword, TheOneTheUserGaveCountsAloneRightOrWrong) {
  EXPECT_EQ(find_password_of("user", kPencil, Secret("pencil"), {}).state, PasswordState::kKnown);
  EXPECT_EQ(find_password_of("user", kPencil, Secret("wrong"), {Secret("pencil")}).state,
            PasswordState::kGivenDiffers);
}

}  // namespace
}  // namespace standfast::setup

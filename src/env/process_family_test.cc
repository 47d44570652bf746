#include "env/process_family.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"

namespace standfast::env {
namespace {

using std::chrono_literals::operator""s;

TEST(ProcessStat, IsReadFromTheLineWhateverTheName) {
  const auto stat = parse_process_stat(
      "42 (a) S 1) S 7 42 42 0 -1 4194304 120 0 0 0 0 0 0 0 20 0 1 0 998877 2355200 200 "
      "18446744073709551615\n");
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(*stat, (ProcessStat{.state = 'S', .parent = 7, .start_ticks = 998877}));
}

TEST(ProcessStat, IsNotReadFromALineThatIsShortOrOther) {
  for (const char* text : {"", "42", "42 (name)", "42 (name) ", "42 (name) S 7 42 42\n",
                           "42 (name) S x 42 42 0 -1 4194304 120 0 0 0 0 0 0 0 20 0 1 0 998877 1\n",
                           "42 (name) S 7 42 42 0 -1 4194304 120 0 0 0 0 0 0 0 20 0 1 0 -5 1\n"}) {
    EXPECT_FALSE(parse_process_stat(text).has_value()) << text;
  }
}

/// A process with two children, all of whom hold the write end of the pipe and wait for ever.
pid_t start_family(int (&ends)[2]) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  close(ends[0]);
  for (int i = 0; i < 2; ++i) {
    if (fork() == 0) break;
  }
  const char here = 'x';
  [[maybe_unused]] const ssize_t written = write(ends[1], &here, 1);
  while (true) pause();
}

TEST(KillWithChildren, EndsAllOfThemAndSaysHowMany) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t pid = start_family(ends);
  close(ends[1]);
  char byte = 0;
  for (int i = 0; i < 3; ++i) ASSERT_EQ(read(ends[0], &byte, 1), 1);
  const auto killed = kill_with_children(posix_file_system(), pid, Wait::for_at_most(60s));
  ASSERT_TRUE(killed.has_value()) << killed.error().message;
  EXPECT_EQ(*killed, 3U);
  EXPECT_EQ(read(ends[0], &byte, 1), 0) << "one of them still holds the pipe";
  close(ends[0]);
  EXPECT_NE(kill(pid, 0), 0) << "nobody has waited for it";
}

TEST(KillWithChildren, OfADaemonThatWasAdoptedNothingIsLeft) {
  adopt_orphans();
  int ends[2];
  int ids[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(pipe(ids), 0);
  const pid_t starter = fork();
  if (starter == 0) {
    const pid_t started = start_family(ends);
    [[maybe_unused]] const ssize_t written = write(ids[1], &started, sizeof started);
    _exit(0);
  }
  ASSERT_EQ(waitpid(starter, nullptr, 0), starter);
  close(ends[1]);
  pid_t daemon = 0;
  ASSERT_EQ(read(ids[0], &daemon, sizeof daemon), static_cast<ssize_t>(sizeof daemon));
  close(ids[0]);
  close(ids[1]);
  char byte = 0;
  for (int i = 0; i < 3; ++i) ASSERT_EQ(read(ends[0], &byte, 1), 1);
  const auto killed = kill_with_children(posix_file_system(), daemon, Wait::for_at_most(60s));
  ASSERT_TRUE(killed.has_value()) << killed.error().message;
  EXPECT_EQ(*killed, 3U);
  EXPECT_NE(kill(daemon, 0), 0);
  EXPECT_EQ(read(ends[0], &byte, 1), 0) << "one of them still holds the pipe";
  close(ends[0]);
}

TEST(KillWithChildren, OfNoProcessIsNothing) {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
  const auto killed = kill_with_children(posix_file_system(), pid, Wait::for_at_most(60s));
  ASSERT_TRUE(killed.has_value());
  EXPECT_EQ(*killed, 0U);
}

}  // namespace
}  // namespace standfast::env

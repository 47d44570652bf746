// SIGHUP as something that a poll() can wait for, instead of as the end. Blocked for the threads too that are
// started afterwards.
//
// Threading: made before any other thread. Ownership: owns its descriptor.
#pragma once

#include <csignal>

#include <sys/signalfd.h>
#include <unistd.h>

namespace standfast::cli {

class HangupFd {
 public:
  HangupFd() {
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hangup, &before_);
    fd_ = signalfd(-1, &hangup, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~HangupFd() {
    if (fd_ >= 0) close(fd_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  HangupFd(const HangupFd&) = delete;
  HangupFd& operator=(const HangupFd&) = delete;
  int fd() const { return fd_; }

 private:
  sigset_t before_{};
  int fd_ = -1;
};

}  // namespace standfast::cli

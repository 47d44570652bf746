#include "env/service_manager.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace standfast::env {
namespace {

constexpr const char* kVariable = "NOTIFY_SOCKET";
/// systemd takes more; a line for a person needs less.
constexpr std::size_t kMaxStatusBytes = 500;

std::string taken_from_environment() {
  const char* const value = std::getenv(kVariable);
  std::string socket = value == nullptr ? "" : value;
  unsetenv(kVariable);
  return socket;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  return ServiceManager(taken_from_environment());
}

ServiceManager::ServiceManager(std::string_view socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool is_name = socket.starts_with('/') || socket.starts_with('@');
  if (!is_name || socket.size() < 2 || socket.size() >= sizeof address.sun_path) return;
  std::copy(socket.begin(), socket.end(), address.sun_path);
  if (socket.front() == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size() +
                                             (socket.front() == '@' ? 0 : 1));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0) {
    fd_ = fd;
  } else {
    close(fd);
  }
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) close(fd_);
}

void ServiceManager::ready() const {
  send("READY=1");
}

void ServiceManager::reloading() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  constexpr long kNanosecondsInMicrosecond = 1000;
  constexpr long long kMicrosecondsInSecond = 1'000'000;
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                   now.tv_sec * kMicrosecondsInSecond + now.tv_nsec / kNanosecondsInMicrosecond));
}

void ServiceManager::stopping() const {
  send("STOPPING=1");
}

void ServiceManager::status(std::string_view line) const {
  std::string text(line.substr(0, kMaxStatusBytes));
  std::replace(text.begin(), text.end(), '\n', ' ');
  send("STATUS=" + text);
}

/// A manager that does not read must not hold the service up.
void ServiceManager::send(std::string_view message) const {
  if (fd_ < 0) return;
  [[maybe_unused]] const ssize_t sent =
      ::send(fd_, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace standfast::env

// What a service tells systemd of itself (sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names).
// Without that variable nobody is told and nothing is done.
//
// Threading: any. Ownership: owns its socket. Never fails: that systemd could not be told is no reason to end
// a service.
#pragma once

#include <string>
#include <string_view>

namespace standfast::env {

class ServiceManager {
 public:
  /// The one that started this process. Children do not inherit the variable.
  static ServiceManager from_environment();
  /// `socket` as NOTIFY_SOCKET has it: a path, or '@' and an abstract name; "": none.
  explicit ServiceManager(std::string_view socket);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  bool is_there() const { return fd_ >= 0; }
  void ready() const;
  /// Ends with ready().
  void reloading() const;
  void stopping() const;
  void status(std::string_view line) const;

 private:
  void send(std::string_view message) const;
  int fd_ = -1;
};

}  // namespace standfast::env

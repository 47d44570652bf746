// How long one address of a list may take to be connected to. libpq leaves its connect_timeout to whoever
// waits for a connection, and gives him no way to go on with the next address (interfaces/libpq/fe-connect.c
// does it from within). So the kernel is told when to give up on one (tcp(7), TCP_USER_TIMEOUT): libpq then
// takes the next. Without a connect_timeout all share the time that there is.
//
// Threading: one thread. Ownership: borrows the connection. Fails: never; where the kernel refuses it, an
// address takes as long as the kernel likes.
#pragma once

#include "env/stop_event.h"

struct pg_conn;

namespace standfast::client {

class AddressTime {
 public:
  AddressTime(pg_conn* connection, const env::Wait& wait);
  /// To be called before each wait: libpq may have gone on to another address.
  void begin() const;
  /// When the connection is made.
  void end() const;

 private:
  void set(int milliseconds) const;

  pg_conn* connection_;
  int milliseconds_ = 0;  ///< zero: no bound
  int afterwards_ = 0;    ///< the connection's own tcp_user_timeout
};

}  // namespace standfast::client

// Whether somebody is there at all, of a server that gave no usable answer: one that is starting up, full or
// frozen takes connections, one whose host is down does not.
//
// Threading: one thread at a time. Fails: never; what cannot be reached in time is not there. Sends no
// password. Follows: libpq's fe-connect.c, the states of PQconnectPoll().
#pragma once

#include "pg/client/connection.h"

namespace standfast::client {

bool takes_connections(const ConnectOptions& options, const env::Wait& wait);

}  // namespace standfast::client

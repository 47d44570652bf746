// What libpq and servers say, as Errors with a hint. The texts of libpq come from fe-connect.c and fe-auth.c;
// where a server sent an SQLSTATE that decides, else the English text does (messages of a connection attempt
// have no SQLSTATE).
//
// Pure functions. No text that goes in here carries a secret: libpq never puts a password into a message.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "pg/format/backend_message.h"

struct pg_result;

namespace standfast::client {

/// The first line without "ERROR:" and the like, the rest (DETAIL lines) left out.
std::string one_line(std::string_view message);
/// A failed attempt to connect.
base::Error connect_error(std::string_view message, bool server_asks_for_password);
/// An error result of a statement, its hint the server's own, or ours where we know better.
base::Error server_error(const pg::ServerReport& report);
base::Error server_error(const pg_result& result);

}  // namespace standfast::client

#include "pg/client/errors.h"

#include <array>

#include <libpq-fe.h>

namespace standfast::client {
namespace {

using base::Error;
using base::ErrorCode;

std::string_view strip_severity(std::string_view line) {
  for (const std::string_view severity : {"FATAL:  ", "ERROR:  ", "PANIC:  "}) {
    if (const auto at = line.find(severity); at != std::string_view::npos)
      line.remove_prefix(at + severity.size());
  }
  return line;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

struct ConnectRule {
  std::string_view text;
  ErrorCode code;
  std::string_view hint;
  bool retryable;
};

// The first rule whose text is part of the message decides.
constexpr auto kConnectRules = std::to_array<ConnectRule>({
    {"password authentication failed", ErrorCode::kAuthentication,
     "The password is wrong, or the role has none or may not log in. On the primary, \"standfast primary "
     "setup "
     "--rotate-password\" gives a new one.",
     false},
    {"no pg_hba.conf entry", ErrorCode::kAuthentication,
     "The server's pg_hba.conf admits no such connection from here. On the primary run \"standfast primary "
     "setup "
     "--standby ADDRESS\" with the address of this host.",
     false},
    {"pg_hba.conf rejects", ErrorCode::kAuthentication,
     "A \"reject\" line in the server's pg_hba.conf takes this connection first. Put the line for this host "
     "before it.",
     false},
    {"must be superuser or replication role", ErrorCode::kAuthentication,
     "Give the role the right on the primary: ALTER ROLE ... REPLICATION.", false},
    {"permission denied to start WAL sender", ErrorCode::kAuthentication,
     "Give the role the right on the primary: ALTER ROLE ... REPLICATION.", false},
    {"no password supplied", ErrorCode::kAuthentication,
     "Give the password with -W, in ~/.pgpass, or in a passfile.", false},
    {"authentication failed", ErrorCode::kAuthentication,
     "Check the role, its password, and the lines of pg_hba.conf and pg_ident.conf on the server.", false},
    {"is not permitted to log in", ErrorCode::kAuthentication,
     "Give the role the right on the primary: ALTER ROLE ... LOGIN.", false},
    {"too many connections for role", ErrorCode::kAuthentication,
     "The role has reached its limit; ALTER ROLE ... CONNECTION LIMIT raises it.", true},
    {"too many connections for database", ErrorCode::kAuthentication,
     "The database has reached its limit; ALTER DATABASE ... CONNECTION LIMIT raises it.", true},
    {"permission denied for database", ErrorCode::kAuthentication,
     "Give the role the right: GRANT CONNECT ON DATABASE ... TO the role.", false},
    {"not currently accepting connections", ErrorCode::kPrecondition,
     "Let it take them: ALTER DATABASE ... ALLOW_CONNECTIONS true.", false},
    {"FATAL:  role \"", ErrorCode::kAuthentication,
     "Name the role with -U or user=; without, it is the name of the operating system user.", false},
    {"FATAL:  database \"", ErrorCode::kPrecondition,
     "The server has no such database: name another one, or make it there.", false},
    {"channel binding", ErrorCode::kAuthentication,
     "The server did not prove that it holds both the certificate and the password. Check that nothing "
     "stands between the hosts.",
     false},
    {"certificate verify failed", ErrorCode::kCertificate,
     "The server's certificate is not the one that is trusted here. If it was renewed, make a new token with "
     "\"standfast primary setup\"; if not, someone may be in between.",
     false},
    {"root certificate file", ErrorCode::kCertificate,
     "Give the file with sslrootcert, or ask for another sslmode.", false},
    {"server certificate for", ErrorCode::kCertificate,
     "Connect by a name that the certificate holds, or use sslmode=verify-ca.", false},
    {"server does not support SSL", ErrorCode::kCertificate,
     "The connection must be encrypted but the server has ssl = off. Turn it on, or, where the network is "
     "trusted, use "
     "sslmode=prefer.",
     false},
    {"the database system is starting up", ErrorCode::kConnect,
     "Wait until recovery has got far enough, then run this again.", true},
    {"the database system is shutting down", ErrorCode::kConnect, "Start the server, then run this again.",
     true},
    {"the database system is not accepting connections", ErrorCode::kConnect,
     "The server is up but in recovery without hot_standby; wait, or set hot_standby = on.", true},
    {"exceeds max_wal_senders", ErrorCode::kPrecondition,
     "All WAL senders of the server are in use. Raise max_wal_senders there (it needs a restart), or end "
     "one.",
     true},
    {"number of requested standby connections", ErrorCode::kPrecondition,
     "All WAL senders of the server are in use. Raise max_wal_senders there (it needs a restart), or end "
     "one.",
     true},
    {"too many clients", ErrorCode::kConnect,
     "All connections of the server are in use; end one or raise max_connections.", true},
    {"remaining connection slots", ErrorCode::kConnect,
     "All connections of the server are in use; end one or raise max_connections.", true},
    {"Connection refused", ErrorCode::kConnect,
     "Is the server running there, and does listen_addresses admit that address? Check the port too.", true},
    {"No such file or directory", ErrorCode::kConnect,
     "There is no such socket. Is the server running, and is the socket directory right (-h)?", true},
    {"could not translate host name", ErrorCode::kConnect, "Check the host name and the name service.", true},
    {"No route to host", ErrorCode::kConnect,
     "Check the address, the network between the hosts, and the firewall.", true},
    {"Network is unreachable", ErrorCode::kConnect,
     "Check the address, the network between the hosts, and the firewall.", true},
    {"this server takes no SQL", ErrorCode::kConnect,
     "It is a witness, which has WAL and no database. Connect to the primary; where the primary is looked "
     "for "
     "by a standby's own settings, name it with -d.",
     false},
    {"timeout expired", ErrorCode::kConnect,
     "Check the address, the network between the hosts, and the firewall.", true},
    {"server closed the connection unexpectedly", ErrorCode::kConnect, "The server's log tells why.", true},
    {"FATAL:  ", ErrorCode::kConnect,
     "The server can be reached, and turned this connection away; see its log.", false},
});

}  // namespace

std::string one_line(std::string_view message) {
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.remove_suffix(1);
  // libpq lists one line for each attempt (encrypted, then not); the first reason is the one that counts.
  const std::string_view first = message.substr(0, message.find('\n'));
  return std::string(strip_severity(first));
}

Error connect_error(std::string_view message, bool server_asks_for_password) {
  std::string line = one_line(message);
  for (const ConnectRule& rule : kConnectRules) {
    if (!contains(message, rule.text)) continue;
    Error error(rule.code, std::move(line), std::string(rule.hint));
    error.retryable = rule.retryable;
    return error;
  }
  if (server_asks_for_password) {
    return {ErrorCode::kAuthentication, std::move(line),
            "Give the password with -W, in ~/.pgpass, or in a passfile."};
  }
  Error error(ErrorCode::kConnect, std::move(line),
              "Check the address, the port, and that the server is running.");
  return error;
}

Error server_error(const pg_result& result) {
  const auto field = [&result](int code) -> std::string {
    const char* text = PQresultErrorField(&result, code);
    return text != nullptr ? text : "";
  };
  const pg::ServerReport report{.sqlstate = field(PG_DIAG_SQLSTATE),
                                .message = field(PG_DIAG_MESSAGE_PRIMARY),
                                .hint = field(PG_DIAG_MESSAGE_HINT)};
  if (!report.message.empty()) return server_error(report);
  // Made by libpq itself: the connection broke.
  Error error(ErrorCode::kConnect, one_line(PQresultErrorMessage(&result)));
  error.retryable = true;
  return error;
}

Error server_error(const pg::ServerReport& report) {
  Error error(ErrorCode::kSql, report.message, report.hint);
  error.sqlstate = report.sqlstate;
  if (error.sqlstate == "53100") {
    error.code = ErrorCode::kDiskFull;
  } else if (error.sqlstate == "55006" && contains(error.message, "replication slot")) {
    error.code = ErrorCode::kSlot;
    if (error.hint.empty()) {
      error.hint =
          "Another standby or backup uses this slot. Give this one a slot of its own (-S), or stop the "
          "other.";
    }
  } else if (contains(error.message, "replication slot") &&
             (error.sqlstate == "42704" || error.sqlstate == "42710" || error.sqlstate == "53400")) {
    error.code = ErrorCode::kSlot;
  } else if (error.sqlstate == "57P01" || error.sqlstate == "57P02" || error.sqlstate == "57P03") {
    error.code = ErrorCode::kConnect;
    error.retryable = true;
  } else if (error.sqlstate == "42501") {
    error.code = ErrorCode::kPermission;
  } else if (error.sqlstate == "XX001") {
    error.code = ErrorCode::kDamaged;
  }
  return error;
}

}  // namespace standfast::client

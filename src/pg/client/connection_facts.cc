// What a connection and its answers tell, without a word to the server.
#include <libpq-fe.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "pg/client/connection.h"

namespace standfast::client {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {
std::string text_or_empty(const char* text) {
  return text != nullptr ? text : "";
}
}  // namespace

// ---------------------------------------------------------------- Rows

Rows::Rows(pg_result* result) : result_(result) {}
Rows::~Rows() {
  PQclear(result_);
}
Rows::Rows(Rows&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
Rows& Rows::operator=(Rows&& other) noexcept {
  std::swap(result_, other.result_);
  return *this;
}
int Rows::count() const {
  return PQntuples(result_);
}
int Rows::column_count() const {
  return PQnfields(result_);
}
std::string_view Rows::column_name(int column) const {
  return PQfname(result_, column);
}
bool Rows::is_null(int row, int column) const {
  return PQgetisnull(result_, row, column) != 0;
}
std::string_view Rows::text(int row, int column) const {
  CHECK(row < count() && column < column_count());
  return {PQgetvalue(result_, row, column), static_cast<std::size_t>(PQgetlength(result_, row, column))};
}
std::optional<std::string> Rows::get(int row, std::string_view column) const {
  for (int i = 0; i < column_count(); ++i) {
    if (column_name(i) != column) continue;
    if (is_null(row, i)) return std::nullopt;
    return std::string(text(row, i));
  }
  base::check_failed("column exists", std::string(column).c_str(), __FILE__, __LINE__);
}
std::string Rows::command_tag() const {
  return PQcmdStatus(result_);
}

// ---------------------------------------------------------------- the connection

pg::Version Connection::server_version() const {
  return pg::Version(PQserverVersion(connection_));
}
std::optional<std::string> Connection::parameter_status(const std::string& name) const {
  const char* value = PQparameterStatus(connection_, name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}
std::string Connection::host() const {
  return text_or_empty(PQhost(connection_));
}
std::string Connection::port() const {
  return text_or_empty(PQport(connection_));
}
std::string Connection::user() const {
  return text_or_empty(PQuser(connection_));
}
std::string Connection::database() const {
  return text_or_empty(PQdb(connection_));
}
bool Connection::uses_tls() const {
  return PQsslInUse(connection_) != 0;
}
int Connection::socket_fd() const {
  return PQsocket(connection_);
}
bool Connection::is_open() const {
  return connection_ != nullptr && PQstatus(connection_) == CONNECTION_OK;
}

int Connection::backend_pid() const {
  return PQbackendPID(connection_);
}

std::string Connection::native_conninfo_value(const std::string& keyword) const {
  std::string value;
  PQconninfoOption* options = PQconninfo(connection_);
  for (const PQconninfoOption* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    if (keyword == option->keyword && option->val != nullptr) value = option->val;
  }
  PQconninfoFree(options);
  return value;
}

std::vector<ResolvedOption> Connection::resolved_options() const {
  std::vector<ResolvedOption> resolved;
  PQconninfoOption* options = PQconninfo(connection_);
  for (const PQconninfoOption* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    const bool secret = option->dispchar != nullptr && *option->dispchar == '*';
    if (secret || option->val == nullptr || *option->val == '\0') continue;
    resolved.push_back({option->keyword, option->val, text_or_empty(option->compiled)});
  }
  PQconninfoFree(options);
  return resolved;
}

bool Connection::used_password() const {
  return PQconnectionUsedPassword(connection_) != 0;
}

std::optional<PeerCertificate> Connection::peer_certificate() const {
  auto* tls = static_cast<SSL*>(PQsslStruct(connection_, "OpenSSL"));
  if (tls == nullptr) return std::nullopt;
  X509* certificate = SSL_get1_peer_certificate(tls);
  if (certificate == nullptr) return std::nullopt;
  PeerCertificate peer;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_bytes = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &digest_bytes) == 1) {
    peer.sha256_hex = base::to_hex(std::as_bytes(std::span(digest, digest_bytes)));
  }
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(memory, certificate);
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory, &text);
  peer.pem.assign(text, static_cast<std::size_t>(length));
  BIO_free(memory);
  X509_free(certificate);
  return peer;
}

// ---------------------------------------------------------------- computed by libpq

Result<base::Secret> Connection::scram_verifier(const std::string& user, const base::Secret& password) const {
  char* verifier =
      PQencryptPasswordConn(connection_, password.reveal().c_str(), user.c_str(), "scram-sha-256");
  if (verifier == nullptr)
    return Error(ErrorCode::kFailed, "could not compute the SCRAM verifier of a password");
  base::Secret secret{std::string(verifier)};
  PQfreemem(verifier);
  return secret;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_conninfo(const std::string& text) {
  char* message = nullptr;
  PQconninfoOption* options = PQconninfoParse(text.c_str(), &message);
  if (options == nullptr) {
    // libpq's message can quote the text, and the text can hold a password.
    if (message != nullptr) PQfreemem(message);
    return Error(ErrorCode::kUsage, "the connection string is not understood",
                 "Write it as \"host=... port=... user=... dbname=...\" or as "
                 "\"postgresql://user@host:port/dbname\".");
  }
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val != nullptr) pairs.emplace_back(option->keyword, option->val);
  }
  PQconninfoFree(options);
  return pairs;
}

}  // namespace standfast::client

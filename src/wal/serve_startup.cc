// From the first byte to the first ReadyForQuery.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "wal/serve_session.h"

namespace standfast::wal {
namespace {

constexpr std::size_t kMaxNameBytes = 63;  // NAMEDATALEN - 1
constexpr std::string_view kScram = "SCRAM-SHA-256";
constexpr std::string_view kScramPlus = "SCRAM-SHA-256-PLUS";

std::string printable(std::string_view text) {
  std::string clean(text.substr(0, kMaxNameBytes));
  for (char& c : clean) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return clean;
}

/// As PostgreSQL's parse_bool(): words, in any case, that may be cut short as long as they differ.
std::optional<bool> parse_boolean(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto begins = [&lower](std::string_view word, std::size_t least) {
    return lower.size() >= least && word.starts_with(lower);
  };
  if (begins("true", 1) || begins("yes", 1) || begins("on", 2) || lower == "1") return true;
  if (begins("false", 1) || begins("no", 1) || begins("off", 2) || lower == "0") return false;
  return std::nullopt;
}

}  // namespace

void ServeSession::on_startup_packet(base::Bytes body, base::Bytes& rest) {
  const auto packet = pg::parse_startup_packet(body);
  if (!packet) return end_fatally(packet.error().sqlstate.c_str(), packet.error().message);
  if (std::holds_alternative<pg::CancelRequest>(*packet))
    return end("a cancel request; nothing runs here to cancel");
  if (std::holds_alternative<pg::SslRequest>(*packet)) {
    return on_encryption_request(ssl_was_asked_, "SSL", options_.tls != Tls::kNotOffered, rest);
  }
  if (std::holds_alternative<pg::GssEncryptionRequest>(*packet)) {
    return on_encryption_request(gss_was_asked_, "GSSAPI encryption", false, rest);
  }
  on_startup_message(std::get<pg::StartupMessage>(*packet));
}

void ServeSession::on_encryption_request(bool& was_asked, const char* name, bool is_accepted,
                                         base::Bytes& rest) {
  if (std::exchange(was_asked, true) || is_encrypted_) {
    return end_fatally("0A000", fmt::format("a second request for {}", name));
  }
  if (!is_accepted) return send("N");
  // What came in clear may be a stranger's and must not be taken for the client's.
  if (!rest.empty()) return end(fmt::format("received unencrypted data after {} request", name));
  send("S");
  state_ = State::kTlsHandshake;
  actions_.emplace_back(serve::StartTls{});
}

void ServeSession::on_tls(serve::ChannelBinding binding) {
  if (state_ != State::kTlsHandshake) return;
  is_encrypted_ = true;
  binding_ = binding;
  state_ = State::kStartup;
}

void ServeSession::on_startup_message(const pg::StartupMessage& startup) {
  if (startup.minor_version > 0 || !startup.protocol_options.empty()) {
    send(pg::encode_negotiate_protocol_version(startup.protocol_options));
  }
  if (options_.tls == Tls::kRequired && !is_encrypted_) {
    return end_fatally("28000", "this server does not take logins in clear text",
                       "Connect with sslmode=require, or better verify-full.");
  }
  if (!accepts_connection_kind(startup)) return;
  user_ = std::string(startup.find("user").value_or("").substr(0, kMaxNameBytes));
  application_name_ = printable(startup.find("application_name").value_or(""));
  if (user_.empty()) return end_fatally("28000", "no PostgreSQL user name specified in startup packet");
  offer_sasl();
}

bool ServeSession::accepts_connection_kind(const pg::StartupMessage& startup) {
  const std::string_view replication = startup.find("replication").value_or("false");
  const char* const hint = "Connect with replication=true; for SQL connect to the primary or a standby.";
  if (replication == "database") {
    end_fatally("0A000", "this server has no databases: it serves WAL by physical replication only", hint);
    return false;
  }
  const auto is_physical = parse_boolean(replication);
  if (!is_physical) {
    end_fatally("22023", fmt::format("invalid value for parameter \"replication\": \"{}\"", replication),
                "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
  } else if (!*is_physical) {
    end_fatally("0A000", fmt::format("{}: it serves WAL by physical replication only", serve::kTakesNoSql),
                hint);
  }
  return is_physical.value_or(false);
}

std::vector<std::string_view> ServeSession::sasl_mechanisms() const {
  if (binding_ == serve::ChannelBinding::kAvailable) return {kScramPlus, kScram};
  return {kScram};
}

void ServeSession::offer_sasl() {
  send(pg::encode_authentication_sasl(sasl_mechanisms()));
  framer_.expect(pg::FrontendPhase::kAuthentication);
  state_ = State::kSaslMechanism;
}

void ServeSession::on_sasl_message(const pg::FrontendMessage& message) {
  if (message.kind == 'X') return end("the client ended the login");
  if (message.kind != 'p') {
    return end_fatally("08P01", fmt::format("expected SASL response, got message type {}",
                                            static_cast<unsigned char>(message.kind)));
  }
  if (state_ == State::kSaslMechanism) return begin_scram(message.body);
  state_ = State::kSaslVerdict;
  actions_.emplace_back(serve::ContinueScram{std::string(base::as_text(message.body))});
}

void ServeSession::begin_scram(base::Bytes body) {
  const auto response = pg::parse_sasl_initial_response(body);
  if (!response) return end_for_violation(response.error());
  const auto offered = sasl_mechanisms();
  if (std::find(offered.begin(), offered.end(), response->mechanism) == offered.end()) {
    return end_fatally("08P01", "client selected an invalid SASL authentication mechanism");
  }
  if (!response->data) return end_fatally("08P01", "a SCRAM exchange begins with the client's message");
  state_ = State::kSaslChallenge;
  actions_.emplace_back(serve::BeginScram{user_, std::string(response->mechanism),
                                          std::string(base::as_text(*response->data))});
}

void ServeSession::on_scram_challenge(base::Bytes server_first) {
  if (state_ != State::kSaslChallenge) return;
  send(pg::encode_authentication_sasl_continue(server_first));
  state_ = State::kSaslProof;
}

void ServeSession::on_scram_refused() {
  if (state_ != State::kSaslChallenge && state_ != State::kSaslVerdict) return;
  send(pg::encode_report({.severity = pg::Severity::kFatal,
                          .sqlstate = "28P01",
                          .message = fmt::format("password authentication failed for user \"{}\"", user_)}));
  end(fmt::format("password authentication failed for user \"{}\"", printable(user_)));
}

void ServeSession::on_scram_accepted(base::Bytes server_final) {
  if (state_ != State::kSaslVerdict) return;
  actions_.emplace_back(serve::LoggedIn{printable(user_), application_name_});
  send(pg::encode_authentication_sasl_final(server_final));
  send(pg::encode_authentication_ok());
  for (const auto& [name, value] : reported_parameters()) send(pg::encode_parameter_status(name, value));
  send(pg::encode_backend_key_data(options_.key));
  send(pg::encode_ready_for_query());
  framer_.expect(pg::FrontendPhase::kCommands);
  state_ = State::kIdle;
}

/// What servers of 12 to 18 report on such a connection. It is read-only and no primary, so that a client
/// that looks for one of those (target_session_attrs) goes on to the next host of its list.
ServeSession::Parameters ServeSession::reported_parameters() const {
  return {{"in_hot_standby", "on"},
          {"default_transaction_read_only", "on"},
          {"integer_datetimes", "on"},
          {"standard_conforming_strings", "on"},
          {"server_version", options_.facts.server_version},
          {"server_encoding", "SQL_ASCII"},
          {"client_encoding", "SQL_ASCII"},
          {"DateStyle", "ISO, MDY"},
          {"IntervalStyle", "postgres"},
          {"TimeZone", "Etc/UTC"},
          {"is_superuser", "off"},
          {"session_authorization", user_},
          {"application_name", application_name_}};
}

}  // namespace standfast::wal

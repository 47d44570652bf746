// Judging who may connect, and how: pg_hba.conf, passwords, roles, TLS.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "pg/format/sql_text.h"
#include "setup/doctor_findings.h"

namespace standfast::setup {
namespace {

constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr std::int64_t kWarnDaysBeforeExpiry = 30;

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(list.size(), end + 1));
  }
  return false;
}

bool is_local(const HbaRuleFact& rule) {
  return rule.type == "local" || rule.address == "127.0.0.1" || rule.address == "::1" ||
         rule.address == "localhost";
}

bool admits_everyone(const HbaRuleFact& rule) {
  return rule.address == "all" || rule.netmask == "0.0.0.0" || rule.netmask == "::";
}

std::string where(const HbaRuleFact& rule) {
  return fmt::format("{} line {}", rule.file.empty() ? "pg_hba.conf" : rule.file, rule.line);
}

void judge_method(const HbaRuleFact& rule, Findings& findings) {
  const std::string what = fmt::format("{} admits replication by {}", where(rule), rule.method);
  const std::string remedy = "Let it ask for scram-sha-256, and reload.";
  if (rule.method == "trust" && !is_local(rule)) {
    findings.wrong("hba_method", what, "whoever reaches the port from there copies the whole cluster",
                   remedy);
  } else if (rule.method == "trust") {
    findings.risk("hba_method", what, "every user of this host can copy the whole cluster",
                  "Let it ask for peer on the socket and scram-sha-256 on an address, and reload.");
  } else if (rule.method == "password") {
    findings.risk("hba_method", what, "the password goes over the network as it is", remedy);
  } else if (rule.method == "md5") {
    findings.risk("hba_method", what,
                  "what crosses the network or lies in the server is as good as the password", remedy);
  }
}

void judge_hba(const RunningFacts& server, Findings& findings) {
  if (!server.hba_rules) {
    findings.unknown("hba_file", "the rules of pg_hba.conf", server.hba_rules.why_not);
    return;
  }
  bool is_without_errors = true;
  bool admits_another_host = false;
  for (const HbaRuleFact& rule : *server.hba_rules) {
    // Loaded all the same: hostssl without ssl.
    if (rule.error.find("record cannot match") != std::string::npos) {
      findings.risk("hba_file", fmt::format("{}: {}", where(rule), rule.error), "the rule admits nobody",
                    "Set ssl = on, or take the rule out.");
      continue;
    }
    if (!rule.error.empty()) {
      findings.wrong("hba_file", fmt::format("{}: {}", where(rule), rule.error),
                     "a reload keeps the old rules, and the server does not start with these",
                     "Mend that line.");
      is_without_errors = false;
      continue;
    }
    if (!has_word(rule.databases, "replication") || rule.method == "reject") continue;
    judge_method(rule, findings);
    if (is_local(rule)) continue;
    admits_another_host = true;
    if (admits_everyone(rule)) {
      findings.risk("hba_replication", fmt::format("{} admits replication from every address", where(rule)),
                    "only the password is between the network and a copy of the cluster",
                    "Name the address of each standby, as \"standfast primary setup --standby\" does.");
    }
  }
  if (is_without_errors) findings.well("hba_file", "pg_hba.conf is without errors");
  if (admits_another_host) {
    findings.well("hba_replication", "pg_hba.conf admits replication from another host");
  } else {
    findings.risk("hba_replication", "pg_hba.conf admits replication from no other host",
                  "no standby can connect",
                  "Run \"standfast primary setup\" with the address of the standby.");
  }
}

void judge_roles(const RunningFacts& server, Findings& findings) {
  if (!server.roles) {
    findings.unknown("roles", "the roles and how their passwords are stored", server.roles.why_not);
    return;
  }
  std::string with_md5;
  bool can_replicate = false;
  for (const RoleFact& role : *server.roles) {
    if (role.password == PasswordForm::kMd5)
      with_md5 += (with_md5.empty() ? "\"" : ", \"") + role.name + "\"";
    if (!role.has_replication || !role.can_login) continue;
    can_replicate = can_replicate || !role.is_superuser;
    if (role.is_expired) {
      findings.wrong("replication_roles", fmt::format("the password of role \"{}\" has expired", role.name),
                     "its standbys cannot connect again",
                     fmt::format("ALTER ROLE {} VALID UNTIL 'infinity';", pg::quote_identifier(role.name)));
    } else if (!role.is_superuser) {
      findings.well("replication_roles", fmt::format("role \"{}\" may replicate", role.name));
    }
  }
  if (!can_replicate) {
    findings.risk("replication_roles", "no role but superusers may replicate",
                  "a standby would have to hold a superuser's password",
                  "\"standfast primary setup\" makes one, or: CREATE ROLE replicator LOGIN REPLICATION.");
  }
  if (!with_md5.empty()) {
    findings.risk("md5_passwords", fmt::format("passwords are stored as md5 for {}", with_md5),
                  "md5 is broken, and PostgreSQL is about to drop it",
                  "Set them again with password_encryption = scram-sha-256.");
  } else {
    findings.well("md5_passwords", "no password is stored as md5");
  }
}

std::string date_of(std::int64_t unix_seconds) {
  const auto when = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  gmtime_r(&when, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

}  // namespace

void judge_access(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "access");
  if (const auto encryption = setting_of(facts, "password_encryption")) {
    // "on" is md5's other name up to 13.
    if (*encryption == "scram-sha-256") {
      findings.well("password_encryption", "password_encryption is scram-sha-256");
    } else {
      findings.risk("password_encryption", fmt::format("password_encryption is {}", *encryption),
                    "new passwords are stored as md5",
                    "ALTER SYSTEM SET password_encryption = 'scram-sha-256';");
    }
  }
  if (!facts.server) {
    findings.unknown("access", "who may connect, and the roles", facts.server.why_not);
    return;
  }
  judge_hba(*facts.server, findings);
  judge_roles(*facts.server, findings);
}

void judge_tls(const DataDirectoryFacts& facts, std::int64_t now_unix_seconds,
               std::vector<DoctorFinding>& into) {
  Findings findings(into, "TLS");
  const auto ssl = setting_of(facts, "ssl");
  if (!ssl) return;
  if (*ssl != "on") {
    findings.risk("ssl", "ssl is off", "what is replicated crosses the network for everyone to read",
                  "Give the server a certificate and a key, and set ssl = on.");
    return;
  }
  findings.well("ssl", "ssl is on");
  if (!facts.certificate) {
    findings.unknown("certificate", "the server's certificate", facts.certificate.why_not);
    return;
  }
  const CertificateFacts& certificate = *facts.certificate;
  const std::int64_t days = (certificate.valid_until_unix_seconds - now_unix_seconds) / kSecondsPerDay;
  const std::string until = date_of(certificate.valid_until_unix_seconds);
  const std::string remedy =
      "Put a new one in its place and reload; standbys that pin it need the new one as well.";
  if (certificate.valid_until_unix_seconds <= now_unix_seconds) {
    findings.wrong("certificate", fmt::format("the certificate {} ended on {}", certificate.path, until),
                   "whoever verifies it does not connect", remedy);
  } else if (certificate.valid_from_unix_seconds > now_unix_seconds) {
    findings.wrong("certificate",
                   fmt::format("the certificate {} begins on {}", certificate.path,
                               date_of(certificate.valid_from_unix_seconds)),
                   "whoever verifies it does not connect", "See whether the clock of this host is right.");
  } else if (days < kWarnDaysBeforeExpiry) {
    findings.risk("certificate", fmt::format("the certificate {} ends on {}", certificate.path, until),
                  "after that day whoever verifies it does not connect", remedy);
  } else {
    findings.well("certificate", fmt::format("the certificate is good until {}", until));
  }
}

}  // namespace standfast::setup

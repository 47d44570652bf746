// What a cluster's certificates say: whose they are, from when to when, and of which cluster. Made by
// certificate_authority.h; docs/formats/members.md has each field.
//
// Threading: pure functions on values. Fails: kCertificate for what is no certificate of a member.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/openssl.h"
#include "pg/format/lsn.h"

namespace standfast::agent {

using UnixSeconds = std::chrono::sys_seconds;

constexpr std::size_t kMaxPemBytes = 16384;
/// Certificates begin that much early, for hosts whose clocks are behind.
constexpr std::chrono::seconds kClockSlack = std::chrono::hours(1);

/// 1 to 63 letters, digits, '-', '_' and '.', the first a letter or a digit.
bool is_member_name(std::string_view name);

struct Member {
  pg::SystemId system_id;
  std::string name;
  bool operator==(const Member&) const = default;
};
/// "standfast:SYSTEMID/NAME", a certificate's only alternative name.
std::string uri_of(const Member& member);
std::optional<Member> parse_member_uri(std::string_view uri);

struct CertificateFacts {
  Member member;
  std::string serial;  ///< 128 bits, 32 lower-case hexadecimal digits
  UnixSeconds issued;  ///< kClockSlack after it began to be valid
  UnixSeconds expires;
};
base::Result<CertificateFacts> facts_of(const X509& certificate);
/// Of the first certificate in the text.
base::Result<CertificateFacts> read_certificate(std::string_view pem);
/// From a third of its life on.
UnixSeconds renew_from(const CertificateFacts& facts);

/// SHA-256 of the certificate's DER form, 64 lower-case hexadecimal digits.
base::Result<std::string> fingerprint_of(std::string_view certificate_pem);

// What the files beside this one share: PEM to OpenSSL's objects and back.

base::Result<net::CertificateHandle> certificate_from(std::string_view pem);
base::Result<net::KeyHandle> key_from(std::string_view pem);
base::Result<std::string> fingerprint_of(const X509& certificate);
base::Result<std::string> hex_of_serial(const ASN1_INTEGER* serial);
std::optional<UnixSeconds> time_of(const ASN1_TIME* time);
net::TimeHandle asn1_time(UnixSeconds time);
/// Of a number without sign, the highest byte first.
net::IntegerHandle asn1_integer(std::span<const unsigned char> magnitude);
net::BufferHandle buffer_over(std::string_view text);
std::string text_in(BIO& buffer);
/// For OpenSSL's readers of PEM, which else would ask at the terminal.
int no_passphrase(char* buffer, int size, int is_for_writing, void* data);

}  // namespace standfast::agent

#include "agent/certificate_authority.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>

namespace standfast::agent {
namespace {

using base::ErrorCode;
using std::chrono::hours;

constexpr pg::SystemId kCluster(7710978553056627143U);
constexpr UnixSeconds kNow{std::chrono::seconds(1'800'000'000)};
const Member kMember{kCluster, "standby1"};

/// A request that asks for more than it gets.
std::string greedy_request(EVP_PKEY& key, EVP_PKEY& signed_with) {
  const net::RequestHandle request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), &key);
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("primary"), -1, -1, 0);
  STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(extensions,
                         X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE"));
  sk_X509_EXTENSION_push(
      extensions, X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "URI:standfast:1/primary"));
  X509_REQ_add_extensions(request.get(), extensions);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_sign(request.get(), &signed_with, EVP_sha256());
  const net::BufferHandle buffer(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(buffer.get(), request.get());
  return text_in(*buffer);
}

std::string greedy_request(EVP_PKEY& key) {
  return greedy_request(key, key);
}

net::KeyHandle new_p256() {
  return net::KeyHandle(EVP_EC_gen("P-256"));
}

std::string extension_text(const X509& certificate, int nid) {
  const int at = X509_get_ext_by_NID(&certificate, nid, -1);
  if (at < 0) return "none";
  const net::BufferHandle buffer(BIO_new(BIO_s_mem()));
  X509V3_EXT_print(buffer.get(), X509_get_ext(&certificate, at), 0, 0);
  return text_in(*buffer);
}

std::string common_name(const X509& certificate) {
  std::array<char, 100> name{};
  const auto* subject = X509_get_subject_name(&certificate);
  EXPECT_EQ(X509_NAME_entry_count(subject), 1);
  X509_NAME_get_text_by_NID(subject, NID_commonName, name.data(), name.size());
  return name.data();
}

TEST(CertificateAuthority, IsOneOfMembersAndOfNothingBelow) {
  const Authority authority = *make_authority(kCluster, kNow);
  const auto certificate = *certificate_from(authority.certificate_pem);
  EXPECT_EQ(common_name(*certificate), "standfast 7710978553056627143");
  EXPECT_EQ(extension_text(*certificate, NID_basic_constraints), "CA:TRUE, pathlen:0");
  EXPECT_EQ(extension_text(*certificate, NID_key_usage), "Certificate Sign, CRL Sign");
  EXPECT_EQ(*time_of(X509_get0_notBefore(certificate.get())), kNow - kClockSlack);
  EXPECT_EQ(*time_of(X509_get0_notAfter(certificate.get())), kNow + hours(24 * 3650));
  EXPECT_EQ(X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())), 1);
  const std::string fingerprint = *fingerprint_of(authority.certificate_pem);
  EXPECT_EQ(fingerprint.size(), 64U);
  EXPECT_NE(fingerprint, *fingerprint_of(make_authority(kCluster, kNow)->certificate_pem));
  EXPECT_FALSE(read_certificate(authority.certificate_pem));  // no member's
}

TEST(CertificateAuthority, OnlyThePublicKeyOfARequestGoesIn) {
  const Authority authority = *make_authority(kCluster, kNow);
  const auto key = new_p256();
  const auto request = check_request(greedy_request(*key));
  ASSERT_TRUE(request) << request.error().message;
  const auto made = sign_member(authority, *request, kMember, kNow);
  ASSERT_TRUE(made) << made.error().message;
  const auto certificate = *certificate_from(made->certificate_pem);
  EXPECT_EQ(common_name(*certificate), "standby1");
  EXPECT_EQ(extension_text(*certificate, NID_basic_constraints), "CA:FALSE");
  EXPECT_EQ(extension_text(*certificate, NID_key_usage), "Digital Signature");
  EXPECT_EQ(extension_text(*certificate, NID_ext_key_usage),
            "TLS Web Client Authentication, TLS Web Server Authentication");
  EXPECT_EQ(extension_text(*certificate, NID_subject_alt_name), "URI:standfast:7710978553056627143/standby1");
  EXPECT_EQ(X509_get_ext_count(certificate.get()), 6);
  EXPECT_EQ(EVP_PKEY_eq(X509_get0_pubkey(certificate.get()), key.get()), 1);
  EXPECT_EQ(*time_of(X509_get0_notBefore(certificate.get())), kNow - kClockSlack);
  const auto facts = read_certificate(made->certificate_pem);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->member, kMember);
  EXPECT_EQ(facts->issued, kNow);
  EXPECT_EQ(facts->expires, kNow + hours(24 * 30));
  EXPECT_EQ(facts->serial.size(), 32U);
  EXPECT_NE(facts->serial, sign_member(authority, *request, kMember, kNow)->facts.serial);
}

TEST(CertificateAuthority, ARenewalAsksForTheSameKey) {
  const base::Secret key = *make_key();
  const auto first = check_request(*make_request(key));
  const auto second = check_request(*make_request(key));
  const auto other = check_request(*make_request(*make_key()));
  ASSERT_TRUE(first && second && other);
  EXPECT_EQ(first->key_sha256, second->key_sha256);
  EXPECT_NE(first->key_sha256, other->key_sha256);
}

TEST(CertificateAuthority, RefusesOtherKindsOfKeys) {
  const net::KeyHandle rsa(EVP_RSA_gen(2048));
  const net::KeyHandle larger(EVP_EC_gen("P-384"));
  const net::KeyHandle edwards(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  for (EVP_PKEY* key : {rsa.get(), larger.get()}) {
    const auto checked = check_request(greedy_request(*key));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::kCertificate);
    EXPECT_NE(checked.error().message.find("P-256"), std::string::npos);
  }
  const net::RequestHandle request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), edwards.get());
  X509_REQ_sign(request.get(), edwards.get(), nullptr);
  const net::BufferHandle buffer(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(buffer.get(), request.get());
  EXPECT_FALSE(check_request(text_in(*buffer)));
}

TEST(CertificateAuthority, RefusesACurveThatIsDescribedInsteadOfNamed) {
  const auto key = new_p256();
  ASSERT_EQ(
      EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_EXPLICIT),
      1);
  const auto checked = check_request(greedy_request(*key));
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("P-256"), std::string::npos);
}

TEST(CertificateAuthority, RefusesAKeyThatWhoAsksDoesNotHave) {
  const auto checked = check_request(greedy_request(*new_p256(), *new_p256()));
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("own key"), std::string::npos);
}

TEST(CertificateAuthority, RefusesWhatIsNoRequest) {
  const std::string good = *make_request(*make_key());
  for (const std::string& text :
       {std::string(), std::string("no PEM"), good.substr(0, good.size() / 2),
        make_authority(kCluster, kNow)->certificate_pem, std::string(kMaxPemBytes + 1, 'A')}) {
    const auto checked = check_request(text);
    ASSERT_FALSE(checked) << text;
    EXPECT_EQ(checked.error().code, ErrorCode::kCertificate);
    EXPECT_EQ(ERR_peek_error(), 0U);
  }
}

TEST(Certificate, IsRenewedFromAThirdOfItsLifeOn) {
  const CertificateFacts facts{kMember, "", kNow, kNow + hours(24 * 30)};
  EXPECT_EQ(renew_from(facts), kNow + hours(24 * 10));
}

TEST(Certificate, MembersHaveNamesThatNeedNoQuotes) {
  for (const char* name : {"a", "standby_1", "10.0.0.1", "A-b", "7"})
    EXPECT_TRUE(is_member_name(name)) << name;
  for (const char* name : {"", "-a", ".a", "a b", "a/b", "a,URI:x", "a:b", "\xc3\xa4"}) {
    EXPECT_FALSE(is_member_name(name)) << name;
  }
  EXPECT_TRUE(is_member_name(std::string(63, 'a')));
  EXPECT_FALSE(is_member_name(std::string(64, 'a')));
  EXPECT_FALSE(is_member_name(std::string("a\0b", 3)));
  EXPECT_EQ(parse_member_uri(uri_of(kMember)), kMember);
  for (const char* uri :
       {"standfast:1", "standfast:/a", "standfast:x/a", "other:1/a", "standfast:1/a/b", ""}) {
    EXPECT_FALSE(parse_member_uri(uri)) << uri;
  }
}

TEST(RevokedList, IsReadAsItWasSigned) {
  const Authority authority = *make_authority(kCluster, kNow);
  const RevokedList list{.number = 7,
                         .made = kNow,
                         .serials = {{"00000000000000000000000000000a0b", kNow - hours(1)},
                                     {"ff0102030405060708090a0b0c0d0e0f", kNow}}};
  const auto pem = sign_revoked_list(authority, list);
  ASSERT_TRUE(pem) << pem.error().message;
  const auto read = read_revoked_list(*pem, authority.certificate_pem);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->number, 7U);
  EXPECT_EQ(read->made, kNow);
  EXPECT_EQ(read->serials, list.serials);
  EXPECT_TRUE(read_revoked_list(*sign_revoked_list(authority, {.number = 1, .made = kNow, .serials = {}}),
                                authority.certificate_pem)
                  ->serials.empty());
}

TEST(RevokedList, OfSomebodyElseIsRefused) {
  const Authority authority = *make_authority(kCluster, kNow);
  const auto other =
      sign_revoked_list(*make_authority(kCluster, kNow), {.number = 9, .made = kNow, .serials = {}});
  for (const std::string& pem : {*other, std::string("none"), authority.certificate_pem}) {
    const auto read = read_revoked_list(pem, authority.certificate_pem);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kCertificate);
  }
}

TEST(RevokedList, IsNewerByItsNumberThenItsTime) {
  const auto list = [](std::uint64_t number, UnixSeconds made) {
    return RevokedList{.number = number, .made = made, .serials = {}};
  };
  EXPECT_TRUE(is_newer(list(2, kNow - hours(5)), list(1, kNow)));
  EXPECT_TRUE(is_newer(list(1, kNow), list(1, kNow - hours(5))));
  EXPECT_FALSE(is_newer(list(1, kNow), list(1, kNow)));
  EXPECT_FALSE(is_newer(list(1, kNow), list(2, kNow - hours(5))));
}

}  // namespace
}  // namespace standfast::agent

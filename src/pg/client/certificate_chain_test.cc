#include "pg/client/certificate_chain.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace standfast::client {
namespace {

using base::ErrorCode;

constexpr long kDay = 86400;

struct Freed {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};

/// A certificate with its key, and what it signs.
struct Made {
  std::unique_ptr<EVP_PKEY, Freed> key;
  std::unique_ptr<X509, Freed> certificate;

  std::string pem() const {
    BIO* memory = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(memory, certificate.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory, &text);
    std::string pem(text, static_cast<std::size_t>(size));
    BIO_free(memory);
    return pem;
  }
};

struct Wanted {
  std::string name;
  const Made* signer = nullptr;  ///< none: itself
  bool is_ca = false;
  std::string names = {};
  long valid_from = -kDay;
  long valid_until = kDay;
  const char* usage = nullptr;
};

void add_extension(X509* certificate, X509* signer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, signer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Made make(const Wanted& wanted) {
  static long serial = 0;
  Made made{std::unique_ptr<EVP_PKEY, Freed>(EVP_EC_gen("P-256")), std::unique_ptr<X509, Freed>(X509_new())};
  X509* certificate = made.certificate.get();
  X509* signer = wanted.signer != nullptr ? wanted.signer->certificate.get() : certificate;
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), wanted.valid_from);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wanted.valid_until);
  X509_set_pubkey(certificate, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  add_extension(certificate, signer, NID_basic_constraints, wanted.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (!wanted.names.empty()) add_extension(certificate, signer, NID_subject_alt_name, wanted.names);
  if (wanted.usage != nullptr) add_extension(certificate, signer, NID_ext_key_usage, wanted.usage);
  X509_sign(certificate, wanted.signer != nullptr ? wanted.signer->key.get() : made.key.get(), EVP_sha256());
  return made;
}

class ChainTest : public testing::Test {
 protected:
  const Made root_ = make({.name = "root", .is_ca = true});
  const Made middle_ = make({.name = "middle", .signer = &root_, .is_ca = true});
  const Made leaf_ =
      make({.name = "h1", .signer = &middle_, .names = "DNS:db1.example,IP:10.20.20.1,IP:fd00::1"});
};

TEST_F(ChainTest, WhatTheServerDoesNotSendOfItsChainIsWhatIsMissing) {
  const std::string root_and_middle = root_.pem() + middle_.pem();
  const auto all = verify_chain(leaf_.pem() + middle_.pem() + root_.pem(), "");
  ASSERT_TRUE(all);
  EXPECT_FALSE(all->finding);
  EXPECT_EQ(all->missing_der, "");
  const auto no_root = verify_chain(leaf_.pem() + middle_.pem(), root_and_middle);
  ASSERT_TRUE(no_root);
  EXPECT_FALSE(no_root->finding);
  EXPECT_EQ(pem_of_der(no_root->missing_der).value(), root_.pem());
  const auto alone = verify_chain(leaf_.pem(), root_and_middle);
  ASSERT_TRUE(alone);
  EXPECT_FALSE(alone->finding);
  EXPECT_EQ(pem_of_der(alone->missing_der).value(), middle_.pem() + root_.pem());
}

TEST_F(ChainTest, AnIssuerThatNobodyHasIsNamed) {
  const Made stranger = make({.name = "root", .is_ca = true});
  for (const std::string& trusted : {std::string(), middle_.pem()}) {
    const auto verdict = verify_chain(leaf_.pem() + middle_.pem(), trusted);
    ASSERT_TRUE(verdict && verdict->finding);
    EXPECT_EQ(verdict->finding->problem, ChainProblem::kNoIssuer);
    EXPECT_EQ(verdict->finding->certificate, "CN = root");
  }
  // One of the same name that did not sign it is no issuer.
  EXPECT_TRUE(verify_chain(leaf_.pem() + middle_.pem(), stranger.pem())->finding);
}

TEST_F(ChainTest, ASelfSignedOneVerifiesByItselfCaOrNot) {
  for (const bool is_ca : {false, true}) {
    const Made own = make({.name = "h1", .is_ca = is_ca});
    const auto verdict = verify_chain(own.pem(), "");
    ASSERT_TRUE(verdict);
    EXPECT_FALSE(verdict->finding);
    EXPECT_EQ(verdict->missing_der, "");
    EXPECT_TRUE(read_leaf(own.pem())->is_self_signed);
  }
  EXPECT_FALSE(read_leaf(leaf_.pem())->is_self_signed);
}

TEST_F(ChainTest, DatesAndPurposesAreJudged) {
  const auto problem = [this](const Wanted& wanted) {
    const auto verdict = verify_chain(make(wanted).pem(), root_.pem());
    return verdict && verdict->finding ? std::optional(verdict->finding->problem) : std::nullopt;
  };
  EXPECT_EQ(problem({.name = "h1", .signer = &root_, .valid_until = -1}), ChainProblem::kExpired);
  EXPECT_EQ(problem({.name = "h1", .signer = &root_, .valid_from = kDay / 2}), ChainProblem::kExpired);
  EXPECT_EQ(problem({.name = "h1", .signer = &root_, .usage = "clientAuth"}), ChainProblem::kUnfit);
  EXPECT_EQ(problem({.name = "h1", .signer = &root_, .usage = "serverAuth"}), std::nullopt);
  const Made no_ca = make({.name = "no ca", .signer = &root_});
  EXPECT_TRUE(verify_chain(make({.name = "h1", .signer = &no_ca}).pem() + no_ca.pem(), root_.pem())->finding);
  // No CA's certificate mends one that has expired, so that is what is told.
  EXPECT_EQ(
      verify_chain(make({.name = "h1", .signer = &root_, .valid_until = -1}).pem(), "")->finding->problem,
      ChainProblem::kExpired);
}

TEST_F(ChainTest, NamesAndAddressesAreReadAndCompared) {
  const auto leaf = read_leaf(leaf_.pem());
  ASSERT_TRUE(leaf);
  EXPECT_EQ(leaf->names, (std::vector<std::string>{"db1.example", "10.20.20.1", "fd00::1"}));
  EXPECT_EQ(leaf->issuer, "CN = middle");
  EXPECT_TRUE(leaf->is_alone);
  EXPECT_FALSE(read_leaf(leaf_.pem() + root_.pem())->is_alone);
  EXPECT_EQ(read_leaf(make({.name = "only.cn"}).pem())->names, std::vector<std::string>{"only.cn"});
  for (const char* host : {"db1.example", "DB1.example", "10.20.20.1", "fd00:0::1"}) {
    EXPECT_TRUE(is_for_host(leaf_.pem(), host).value()) << host;
  }
  for (const char* host : {"h1", "db2.example", "10.20.20.2", ""}) {
    EXPECT_FALSE(is_for_host(leaf_.pem(), host).value()) << host;
  }
}

TEST_F(ChainTest, TheNameIsVerifiedWhereACaVouchesAndTheLibpqCompares) {
  const pg::Version old_libpq(140000);
  const pg::Version new_libpq(150000);
  EXPECT_EQ(sslmode_for(leaf_.pem(), "10.20.20.1", new_libpq).value(), "verify-full");
  EXPECT_EQ(sslmode_for(leaf_.pem(), "10.20.20.1", old_libpq).value(), "verify-ca");
  EXPECT_EQ(sslmode_for(leaf_.pem(), "db1.example", old_libpq).value(), "verify-full");
  EXPECT_EQ(sslmode_for(leaf_.pem(), "10.20.20.9", new_libpq).value(), "verify-ca");
  EXPECT_EQ(sslmode_for(make({.name = "own", .names = "DNS:own"}).pem(), "own", new_libpq).value(),
            "verify-ca");
}

TEST(CertificateText, WhatIsNoCertificateIsAnError) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----\n";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----\n";
  for (const std::string& text : {std::string(), std::string("nothing"), std::string(kBegin),
                                  std::string(kBegin) + "AAAA\n" + std::string(kEnd)}) {
    const auto leaf = read_leaf(text);
    ASSERT_FALSE(leaf) << text;
    EXPECT_EQ(leaf.error().code, ErrorCode::kCertificate);
    EXPECT_FALSE(leaf.error().hint.empty());
  }
  EXPECT_FALSE(pem_of_der("no DER"));
  EXPECT_EQ(pem_of_der("").value(), "");
}

}  // namespace
}  // namespace standfast::client

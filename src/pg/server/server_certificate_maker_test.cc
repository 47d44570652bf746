#include "pg/server/server_certificate_maker.h"

#include <cstdlib>
#include <filesystem>
#include <memory>

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

namespace standfast::server {
namespace {

using base::ErrorCode;

class CertificateTest : public testing::Test {
 protected:
  CertificateTest() {
    char name[] = "/tmp/standfast-certificate-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~CertificateTest() override { std::filesystem::remove_all(folder_); }

  base::Result<CertificateFiles> make() {
    return make_server_certificate(files_, folder_,
                                   {.common_name = "db1.example.org",
                                    .addresses = {"10.20.20.1", "fd00:20::1"},
                                    .dns_names = {"db1.example.org", "localhost"}});
  }
  using X509Pointer = std::unique_ptr<X509, decltype(&X509_free)>;
  X509Pointer read_certificate() {
    FILE* file = fopen((folder_ + "/server.crt").c_str(), "r");
    X509Pointer certificate(PEM_read_X509(file, nullptr, nullptr, nullptr), X509_free);
    fclose(file);
    return certificate;
  }
  env::FileSystem& files_ = env::posix_file_system();
  std::string folder_;
};

TEST_F(CertificateTest, VerifiesWithItselfAsTheOnlyAuthorityUnderStrictRules) {
  ASSERT_TRUE(make().has_value());
  const auto certificate = read_certificate();
  ASSERT_NE(certificate, nullptr);
  std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  X509_STORE_add_cert(store.get(), certificate.get());
  X509_STORE_set_flags(store.get(), X509_V_FLAG_X509_STRICT);
  std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(),
                                                                          X509_STORE_CTX_free);
  X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr);
  X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
  EXPECT_EQ(X509_verify_cert(context.get()), 1)
      << X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

TEST_F(CertificateTest, HoldsItsNamesAndAddresses) {
  ASSERT_TRUE(make().has_value());
  const auto certificate = read_certificate();
  EXPECT_EQ(X509_check_host(certificate.get(), "db1.example.org", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(certificate.get(), "localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(certificate.get(), "db2.example.org", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.20.20.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "fd00:20::1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.20.20.2", 0), 0);
}

TEST_F(CertificateTest, KeyIsPrivateAndFitsTheCertificate) {
  const auto made = make();
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(files_.inspect(made->key).value()->mode, mode_t{0600});
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> tls(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  EXPECT_EQ(SSL_CTX_use_certificate_file(tls.get(), made->certificate.c_str(), SSL_FILETYPE_PEM), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey_file(tls.get(), made->key.c_str(), SSL_FILETYPE_PEM), 1);
  EXPECT_EQ(SSL_CTX_check_private_key(tls.get()), 1);
}

TEST_F(CertificateTest, EachHasASerialNumberOfItsOwn) {
  ASSERT_TRUE(make().has_value());
  const auto first = read_certificate();
  std::filesystem::remove(folder_ + "/server.crt");
  std::filesystem::remove(folder_ + "/server.key");
  ASSERT_TRUE(make().has_value());
  const auto second = read_certificate();
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(first.get()), X509_get0_serialNumber(second.get())), 0);
}

TEST_F(CertificateTest, FilesThatAreThereAreNeverReplaced) {
  for (const char* name : {"server.crt", "server.key"}) {
    const std::string path = folder_ + "/" + name;
    ASSERT_TRUE(env::write_file_durably(files_, path, "mine", {}).has_value());
    const auto made = make();
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code, ErrorCode::kInUse);
    EXPECT_EQ(env::read_whole_file(files_, path, 100).value(), "mine");
    EXPECT_EQ(files_.list(folder_)->size(), 1U);
    std::filesystem::remove(path);
  }
}

TEST_F(CertificateTest, WhatIsNoAddressIsRefusedAndNothingIsWritten) {
  const auto made =
      make_server_certificate(files_, folder_, {.common_name = "x", .addresses = {"10.20.20.256"}});
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, ErrorCode::kUsage);
  EXPECT_TRUE(files_.list(folder_)->empty());
}

}  // namespace
}  // namespace standfast::server

#include "agent/tls.h"

#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "agent/certificate_authority.h"
#include "base/check.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using net::openssl_failed;
using Stack = std::unique_ptr<STACK_OF(X509), net::Free<[](STACK_OF(X509) * stack) { sk_X509_free(stack); }>>;

/// The chain is a member's certificate and the authority's.
constexpr int kMaxIntermediates = 0;

Error not_ours(std::string_view what) {
  return {ErrorCode::kCertificate, std::string(what),
          "Let this host join the cluster again, with a new token of \"standfast primary setup\"."};
}

/// The files of a host may be of different ages, but not of different clusters.
Result<void> check_own(const ClusterTrust& trust, const X509& certificate, X509& authority) {
  const CertificateFacts facts = TRY(facts_of(certificate));
  if (facts.member.system_id != trust.system_id) {
    return not_ours(fmt::format("the certificate is one of the cluster {}, not of {}",
                                facts.member.system_id.to_string(), trust.system_id.to_string()));
  }
  const bool is_signed = X509_verify(const_cast<X509*>(&certificate), X509_get0_pubkey(&authority)) == 1;
  ERR_clear_error();
  if (!is_signed) return not_ours("the cluster's authority did not sign the certificate");
  return base::ok();
}

Result<void> show(SSL_CTX& context, const ClusterTrust& trust, const Credentials& own) {
  const auto certificate = TRY(certificate_from(own.certificate_pem));
  const auto authority = TRY(certificate_from(trust.ca_pem));
  const auto key = TRY(key_from(own.key_pem.reveal()));
  TRY(check_own(trust, *certificate, *authority));
  // The authority's goes along for those who know only its fingerprint.
  if (SSL_CTX_use_certificate(&context, certificate.get()) != 1 ||
      SSL_CTX_add1_chain_cert(&context, authority.get()) != 1) {
    return openssl_failed("use a certificate");
  }
  const bool fits =
      SSL_CTX_use_PrivateKey(&context, key.get()) == 1 && SSL_CTX_check_private_key(&context) == 1;
  ERR_clear_error();
  if (!fits) return not_ours("the certificate was not given to this key");
  return base::ok();
}

Result<void> add_revoked_list(X509_STORE& store, const ClusterTrust& trust) {
  if (trust.revoked_list_pem.empty()) return base::ok();
  TRY(read_revoked_list(trust.revoked_list_pem, trust.ca_pem));
  const auto buffer = buffer_over(trust.revoked_list_pem);
  const net::RevokedListHandle list(PEM_read_bio_X509_CRL(buffer.get(), nullptr, no_passphrase, nullptr));
  if (!list || X509_STORE_add_crl(&store, list.get()) != 1 ||
      X509_STORE_set_flags(&store, X509_V_FLAG_CRL_CHECK) != 1) {
    return openssl_failed("use a list of revoked certificates");
  }
  return base::ok();
}

/// The context's own store is used, which nothing of the system's is in.
Result<void> trust_only(SSL_CTX& context, const ClusterTrust& trust) {
  const auto authority = TRY(certificate_from(trust.ca_pem));
  X509_STORE* store = SSL_CTX_get_cert_store(&context);
  if (X509_STORE_add_cert(store, authority.get()) != 1) return openssl_failed("trust an authority");
  return add_revoked_list(*store, trust);
}

Result<net::TlsContextHandle> new_context(const ClusterTrust& trust, const Credentials& own) {
  auto context = TRY(net::new_tls_context(net::OldestTls::k13));
  SSL_CTX_set_verify_depth(context.get(), kMaxIntermediates);
  TRY(show(*context, trust, own));
  TRY(trust_only(*context, trust));
  return context;
}

/// Trusts, of what the peer sent, the one certificate that has the fingerprint; the rest is OpenSSL's usual
/// work.
int verify_by_fingerprint(X509_STORE_CTX* verification, void* ca_sha256) {
  const Stack trusted(sk_X509_new_null());
  STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(verification);
  for (int i = 0; trusted && i < sk_X509_num(sent); ++i) {
    X509* certificate = sk_X509_value(sent, i);
    const auto fingerprint = fingerprint_of(*certificate);
    if (fingerprint && *fingerprint == *static_cast<const std::string*>(ca_sha256)) {
      sk_X509_push(trusted.get(), certificate);
    }
  }
  X509_STORE_CTX_set0_trusted_stack(verification, trusted.get());
  const int result = X509_verify_cert(verification);
  X509_STORE_CTX_set0_trusted_stack(verification, nullptr);
  return result;
}

}  // namespace

Result<std::shared_ptr<const MemberContext>> MemberContext::for_server(const ClusterTrust& trust,
                                                                       const Credentials& own,
                                                                       Strangers strangers) {
  auto context = TRY(new_context(trust, own));
  const int needed = strangers == Strangers::kRefused ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | needed, nullptr);
  return std::shared_ptr<const MemberContext>(new MemberContext(trust.system_id, std::move(context)));
}

Result<std::shared_ptr<const MemberContext>> MemberContext::for_client(const ClusterTrust& trust,
                                                                       const Credentials& own) {
  auto context = TRY(new_context(trust, own));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return std::shared_ptr<const MemberContext>(new MemberContext(trust.system_id, std::move(context)));
}

Result<std::shared_ptr<const MemberContext>> MemberContext::for_joining(pg::SystemId system_id,
                                                                        std::string_view ca_sha256) {
  auto context = TRY(net::new_tls_context(net::OldestTls::k13));
  SSL_CTX_set_verify_depth(context.get(), kMaxIntermediates);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const std::shared_ptr<MemberContext> joining(new MemberContext(system_id, std::move(context)));
  joining->ca_sha256_ = ca_sha256;
  // Called by the handshake alone, during which this value is there.
  SSL_CTX_set_cert_verify_callback(joining->context_.get(), verify_by_fingerprint, &joining->ca_sha256_);
  return std::shared_ptr<const MemberContext>(joining);
}

Result<std::optional<Peer>> MemberContext::peer_of(const net::TlsChannel& channel) const {
  const X509* certificate = SSL_get0_peer_certificate(channel.tls());
  if (certificate == nullptr) return std::optional<Peer>();
  CHECK(SSL_get_verify_result(channel.tls()) == X509_V_OK);
  const CertificateFacts facts = TRY(facts_of(*certificate));
  if (facts.member.system_id != system_id_) {
    return Error(ErrorCode::kCertificate,
                 fmt::format("the other side is a member of the cluster {}, not of {}",
                             facts.member.system_id.to_string(), system_id_.to_string()));
  }
  return std::optional(Peer{.name = facts.member.name, .serial = facts.serial, .expires = facts.expires});
}

Result<std::optional<Peer>> MemberContext::accept(net::TlsChannel& channel, const env::Wait& wait) const {
  TRY(channel.accept_tls(*context_, wait));
  return peer_of(channel);
}

Result<Peer> MemberContext::connect(net::TlsChannel& channel, const std::optional<std::string>& wanted,
                                    const env::Wait& wait) const {
  TRY(channel.connect_tls(*context_, wait));
  auto peer = TRY(peer_of(channel));
  if (!peer) return Error(ErrorCode::kCertificate, "the other side shows no certificate");
  if (wanted && peer->name != *wanted) {
    return Error(ErrorCode::kCertificate,
                 fmt::format("the other side is \"{}\", not \"{}\"", peer->name, *wanted),
                 "See whether the address is that member's.");
  }
  return *std::move(peer);
}

}  // namespace standfast::agent

#include "tls_settings.hpp"

#include <roundhouse/crypto/openssl_cause.hpp>

#include <openssl/ssl.h>

#include <array>
#include <string_view>
#include <utility>

namespace roundhouse::server {

namespace {

using context_ptr = std::shared_ptr<SSL_CTX>;

unexpected cannot_use(std::string_view variable, const std::string& file) {
    return fail(errc::invalid_request,
                std::string(variable).append(": ").append(file).append(": ") +
                    crypto::openssl_cause());
}

/// Of the protocols that a client offers this server speaks one (RFC 7301). A client that offers
/// only others is served all the same, as one that offers none.
int choose_protocol(SSL* /*connection*/, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned offered_size, void* /*unused*/) {
    static constexpr std::array<unsigned char, 9> known{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    unsigned char* found = nullptr;
    if (::SSL_select_next_proto(&found, chosen_size, known.data(), known.size(), offered,
                                offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

result<void> ask_for_client_certificates(SSL_CTX& context, const std::string& file) {
    auto* const names = ::SSL_load_client_CA_file(file.c_str());
    if (names == nullptr) return cannot_use("ORCH_TLS_CLIENT_CA", file);
    ::SSL_CTX_set_client_CA_list(&context, names); // which owns them now
    if (::SSL_CTX_load_verify_file(&context, file.c_str()) != 1)
        return cannot_use("ORCH_TLS_CLIENT_CA", file);
    ::SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return {};
}

result<context_ptr> make_context(const tls_files& files) {
    const context_ptr context(::SSL_CTX_new(::TLS_server_method()), ::SSL_CTX_free);
    if (!context) return cannot_use("ORCH_TLS_CERT", files.certificate);
    ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    // Requests say where they end: a client that closes without a notice cuts nothing off.
    ::SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                             SSL_OP_IGNORE_UNEXPECTED_EOF |
                                             SSL_OP_CIPHER_SERVER_PREFERENCE);
    // Replies are sent from memory that may move, and idle connections keep no buffers.
    ::SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                          SSL_MODE_RELEASE_BUFFERS);
    static constexpr std::array<unsigned char, 10> name{'r', 'o', 'u', 'n', 'd',
                                                        'h', 'o', 'u', 's', 'e'};
    ::SSL_CTX_set_session_id_context(context.get(), name.data(), name.size());
    ::SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
    if (::SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
        return cannot_use("ORCH_TLS_CERT", files.certificate);
    if (::SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        ::SSL_CTX_check_private_key(context.get()) != 1)
        return cannot_use("ORCH_TLS_KEY", files.key);
    if (!files.client_ca.empty())
        if (auto asked = ask_for_client_certificates(*context, files.client_ca); !asked)
            return unexpected(std::move(asked.error()));
    return context;
}

} // namespace

result<std::shared_ptr<tls_settings>> tls_settings::load(const tls_files& files) {
    std::shared_ptr<tls_settings> out(new tls_settings(files));
    if (auto loaded = out->reload(); !loaded) return unexpected(std::move(loaded.error()));
    return out;
}

result<void> tls_settings::reload() {
    auto made = make_context(files_);
    if (!made) return unexpected(std::move(made.error()));
    const std::lock_guard lock(mutex_);
    context_ = std::move(*made);
    return {};
}

std::shared_ptr<SSL_CTX> tls_settings::context() const {
    const std::lock_guard lock(mutex_);
    return context_;
}

} // namespace roundhouse::server

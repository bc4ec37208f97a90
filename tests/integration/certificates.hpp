#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace roundhouse_tests {

template <class T, void (*Free)(T*)> struct freed_with {
    void operator()(T* made) const noexcept { Free(made); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, freed_with<EVP_PKEY, EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, freed_with<X509, X509_free>>;

/// A key with a certificate that is signed by another key, or by itself. `hosts` are what it is for,
/// as in x509v3_config(5): `DNS:a.example,IP:127.0.0.1`.
class signed_key {
public:
    explicit signed_key(const std::string& name, const signed_key* signer = nullptr,
                        const std::string& hosts = {})
        : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
        auto* const certificate = certificate_.get();
        X509_set_version(certificate, 2);
        static long serial = 0;
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
        X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
        X509_set_pubkey(certificate, key_.get());
        X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
        const auto& by = signer != nullptr ? *signer : *this;
        X509_set_issuer_name(certificate, X509_get_subject_name(by.certificate_.get()));
        if (signer == nullptr) extend(NID_basic_constraints, "critical,CA:TRUE");
        if (!hosts.empty()) extend(NID_subject_alt_name, hosts);
        if (X509_sign(certificate, by.key_.get(), EVP_sha256()) == 0)
            throw std::runtime_error("a certificate cannot be signed");
    }

    [[nodiscard]] EVP_PKEY* key() const noexcept { return key_.get(); }
    [[nodiscard]] X509* certificate() const noexcept { return certificate_.get(); }

    void write_certificate(const std::filesystem::path& file) const {
        write(file, [&](std::FILE* to) { return PEM_write_X509(to, certificate_.get()); });
    }
    void write_key(const std::filesystem::path& file) const {
        write(file, [&](std::FILE* to) {
            return PEM_write_PrivateKey(to, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
        });
    }

private:
    void extend(int kind, const std::string& value) {
        auto* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
        X509_add_ext(certificate_.get(), extension, -1);
        X509_EXTENSION_free(extension);
    }

    template <class Write>
    static void write(const std::filesystem::path& file, const Write& write_to) {
        std::FILE* const to = std::fopen(file.c_str(), "w");
        if (to == nullptr) throw std::runtime_error("cannot write " + file.string());
        const int written = write_to(to);
        std::fclose(to);
        if (written != 1) throw std::runtime_error("cannot write " + file.string());
    }

    key_ptr key_;
    certificate_ptr certificate_;
};

} // namespace roundhouse_tests

#pragma once

#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/crypto/secret.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Fernet tokens (https://github.com/fernet/spec, version 0x80). Engine keys are stored in this
/// format, so that any Fernet implementation can read what another wrote.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace crypto {

namespace detail {

inline constexpr std::uint8_t fernet_version = 0x80;
inline constexpr std::size_t fernet_block = 16;
inline constexpr std::size_t fernet_header = 1 + 8 + fernet_block; ///< version, timestamp, IV
inline constexpr std::size_t fernet_mac = 32;
inline constexpr std::size_t fernet_key_text = 44;

/// A Fernet key: one half signs, the other encrypts. Wiped by its destructor.
struct fernet_key {
    std::array<std::uint8_t, fernet_block> signing{};
    std::array<std::uint8_t, fernet_block> encryption{};

    fernet_key() = default;
    fernet_key(const fernet_key&) = default;
    fernet_key& operator=(const fernet_key&) = default;
    ~fernet_key() {
        OPENSSL_cleanse(signing.data(), signing.size());
        OPENSSL_cleanse(encryption.data(), encryption.size());
    }

    bool operator==(const fernet_key& other) const noexcept {
        return CRYPTO_memcmp(signing.data(), other.signing.data(), signing.size()) == 0 &&
               CRYPTO_memcmp(encryption.data(), other.encryption.data(), encryption.size()) == 0;
    }
};

struct free_mac_context {
    void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
};

struct free_cipher_context {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};

using mac_context = std::unique_ptr<EVP_MAC_CTX, free_mac_context>;
using cipher_context = std::unique_ptr<EVP_CIPHER_CTX, free_cipher_context>;

inline mac_context make_hmac_sha256() {
    // Never freed, like sha256_algorithm.
    static EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    mac_context made(EVP_MAC_CTX_new(algorithm));
    char digest[] = "SHA256";
    const std::array parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                OSSL_PARAM_construct_end()};
    if (made == nullptr || EVP_MAC_CTX_set_params(made.get(), parameters.data()) != 1)
        throw_openssl_error("HMAC-SHA256 is not available");
    return made;
}

inline cipher_context make_cipher_context() {
    cipher_context made(EVP_CIPHER_CTX_new());
    if (made == nullptr) throw_openssl_error("no memory for a cipher");
    return made;
}

inline const EVP_CIPHER* aes_128_cbc() {
    static const EVP_CIPHER* const algorithm = EVP_CIPHER_fetch(nullptr, "AES-128-CBC", nullptr);
    if (algorithm == nullptr) throw_openssl_error("AES-128-CBC is not available");
    return algorithm;
}

/// A thread's contexts for opening tokens. They stay set up for the key that was used last: setting
/// up is half of the work, and a thread that answers admits opens all tokens with the same key.
class token_opener {
public:
    /// The calling thread's opener, set up for a key.
    static token_opener& with(const fernet_key& key) {
        thread_local token_opener opener;
        if (!opener.ready_ || !(opener.key_ == key)) opener.set_up(key);
        return opener;
    }

    std::array<std::uint8_t, fernet_mac> sign(std::span<const std::uint8_t> bytes) {
        std::array<std::uint8_t, fernet_mac> mac{};
        std::size_t size = 0;
        if (EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) != 1 ||
            EVP_MAC_update(mac_.get(), bytes.data(), bytes.size()) != 1 ||
            EVP_MAC_final(mac_.get(), mac.data(), &size, mac.size()) != 1)
            throw_openssl_error("HMAC-SHA256 failed");
        return mac;
    }

    /// The plain text of a token's encrypted part; empty if its padding is wrong.
    std::optional<std::string> decrypt(std::span<const std::uint8_t> iv,
                                       std::span<const std::uint8_t> sealed) {
        std::string plain(sealed.size(), '\0');
        auto* const out = reinterpret_cast<unsigned char*>(plain.data());
        int body = 0;
        int tail = 0;
        if (EVP_DecryptInit_ex2(cipher_.get(), nullptr, nullptr, iv.data(), nullptr) != 1)
            throw_openssl_error("AES-128-CBC failed");
        if (EVP_DecryptUpdate(cipher_.get(), out, &body, sealed.data(),
                              static_cast<int>(sealed.size())) != 1 ||
            EVP_DecryptFinal_ex(cipher_.get(), out + body, &tail) != 1) {
            ERR_clear_error(); // else a later failure would report it
            return std::nullopt;
        }
        plain.resize(static_cast<std::size_t>(body + tail));
        return plain;
    }

private:
    void set_up(const fernet_key& key) {
        ready_ = false;
        key_ = key;
        if (EVP_MAC_init(mac_.get(), key.signing.data(), key.signing.size(), nullptr) != 1 ||
            EVP_DecryptInit_ex2(cipher_.get(), aes_128_cbc(), key.encryption.data(), nullptr,
                                nullptr) != 1)
            throw_openssl_error("a Fernet key cannot be set up");
        ready_ = true;
    }

    mac_context mac_ = make_hmac_sha256();
    cipher_context cipher_ = make_cipher_context();
    fernet_key key_;
    bool ready_ = false;
};

/// Appends the encrypted, PKCS #7 padded text to a token whose last 16 bytes are the IV.
inline void fernet_encrypt(const fernet_key& key, std::string_view plain,
                           std::vector<std::uint8_t>& token) {
    std::array<std::uint8_t, fernet_block> iv{};
    std::copy_n(token.end() - fernet_block, fernet_block, iv.begin());
    const auto start = token.size();
    token.resize(start + (plain.size() / fernet_block + 1) * fernet_block);
    const auto context = make_cipher_context();
    int body = 0;
    int tail = 0;
    if (EVP_EncryptInit_ex2(context.get(), aes_128_cbc(), key.encryption.data(), iv.data(),
                            nullptr) != 1 ||
        EVP_EncryptUpdate(context.get(), token.data() + start, &body,
                          reinterpret_cast<const unsigned char*>(plain.data()),
                          static_cast<int>(plain.size())) != 1 ||
        EVP_EncryptFinal_ex(context.get(), token.data() + start + body, &tail) != 1)
        throw_openssl_error("AES-128-CBC failed");
}

} // namespace detail

/// The longest text that can be sealed, in bytes.
inline constexpr std::size_t max_sealed_text = 1U << 20U;

/// Fernet keys, of which the first seals and all unseal. A key is replaced by adding the new one in
/// front.
///
/// Copyable; wiped by its destructor; cannot be printed. All const members may be called from any
/// thread. A thread keeps a copy of the key that it used last until it uses another or ends.
class key_ring {
public:
    /// Reads a comma-separated list of Fernet keys, each 44 characters of base64url that hold 32
    /// bytes. White space around an entry is ignored. A failure (`invalid_request`) names the wrong
    /// entry by its position, and never contains its text.
    [[nodiscard]] static result<key_ring> parse(std::string_view comma_separated) {
        key_ring ring;
        for (std::size_t position = 1;; ++position) {
            const auto comma = comma_separated.find(',');
            auto key = parse_key(trimmed(comma_separated.substr(0, comma)));
            if (!key) return fail(errc::invalid_request, malformed(position));
            ring.keys_.push_back(*key);
            if (comma == std::string_view::npos) return ring;
            comma_separated.remove_prefix(comma + 1);
        }
    }

    /// A new Fernet key, as `parse` reads it.
    [[nodiscard]] static std::string make_key(const entropy& random) {
        std::array<std::uint8_t, 2 * detail::fernet_block> bytes{};
        random(bytes);
        auto text = base64url_encode(bytes, padding::required);
        OPENSSL_cleanse(bytes.data(), bytes.size());
        return text;
    }

    /// The Fernet token (its base64url text) of a text of up to `max_sealed_text` bytes, under the
    /// first key. Throws `std::length_error` beyond that, and what `random` throws.
    [[nodiscard]] std::string seal(std::string_view plain, instant now,
                                   const entropy& random) const {
        if (plain.size() > max_sealed_text) throw std::length_error("a text to seal is over 1 MiB");
        std::vector<std::uint8_t> token(detail::fernet_header);
        token.reserve(detail::fernet_header + plain.size() + detail::fernet_block +
                      detail::fernet_mac);
        token[0] = detail::fernet_version;
        const auto seconds = static_cast<std::uint64_t>(
            std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count());
        for (unsigned i = 0; i < 8; ++i)
            token[1 + i] = static_cast<std::uint8_t>(seconds >> (56U - 8U * i));
        random(std::span(token).last(detail::fernet_block));
        detail::fernet_encrypt(keys_.front(), plain, token);
        const auto mac = detail::token_opener::with(keys_.front()).sign(token);
        token.insert(token.end(), mac.begin(), mac.end());
        return base64url_encode(token, padding::required);
    }

    /// The text that a token seals, under any of the keys. The token's age does not matter. A
    /// failure (`internal_error`) means that the token is damaged or its key is not in the ring.
    [[nodiscard]] result<std::string> unseal(std::string_view token) const {
        const auto bytes = decode_token(token);
        if (!bytes)
            return fail(errc::internal_error,
                        "a sealed text is not a Fernet token: the record is damaged");
        const auto all = std::span(*bytes);
        const auto signed_part = all.first(all.size() - detail::fernet_mac);
        const auto mac = all.last(detail::fernet_mac);
        for (const auto& key : keys_) {
            auto& opener = detail::token_opener::with(key);
            const auto expected = opener.sign(signed_part);
            if (CRYPTO_memcmp(expected.data(), mac.data(), mac.size()) != 0) continue;
            auto plain = opener.decrypt(signed_part.subspan(9, detail::fernet_block),
                                        signed_part.subspan(detail::fernet_header));
            if (plain) return std::move(*plain);
        }
        return fail(errc::internal_error,
                    "a sealed text was sealed with none of the master keys, or is damaged: put "
                    "the key that sealed it back into the list");
    }

    /// The number of keys.
    [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }

    template <class Stream> friend Stream& operator<<(Stream&, const key_ring&) = delete;

private:
    key_ring() = default;

    static std::string_view trimmed(std::string_view text) noexcept {
        constexpr std::string_view white = " \t\r\n";
        const auto first = text.find_first_not_of(white);
        if (first == std::string_view::npos) return {};
        return text.substr(first, text.find_last_not_of(white) - first + 1);
    }

    static std::optional<detail::fernet_key> parse_key(std::string_view text) {
        if (text.size() != detail::fernet_key_text) return std::nullopt;
        auto bytes = base64url_decode(text, padding::required);
        if (!bytes || bytes->size() != 2 * detail::fernet_block) return std::nullopt;
        detail::fernet_key key;
        std::copy_n(bytes->begin(), detail::fernet_block, key.signing.begin());
        std::copy_n(bytes->begin() + detail::fernet_block, detail::fernet_block,
                    key.encryption.begin());
        OPENSSL_cleanse(bytes->data(), bytes->size());
        return key;
    }

    static std::string malformed(std::size_t position) {
        return "entry " + std::to_string(position) +
               " is not a Fernet key (44 characters of base64url that hold 32 bytes): make one "
               "with `python3 -c \"from cryptography.fernet import Fernet; "
               "print(Fernet.generate_key().decode())\"` or `head -c 32 /dev/urandom | base64 | "
               "tr '+/' '-_'`";
    }

    /// Decodes a token. Empty if its text or its size cannot be that of a token.
    static std::optional<std::vector<std::uint8_t>> decode_token(std::string_view token) {
        // The token of the longest text is shorter than this.
        if (token.size() > 2 * max_sealed_text) return std::nullopt;
        auto bytes = base64url_decode(token, padding::required);
        constexpr auto least_size = detail::fernet_header + detail::fernet_block +
                                    detail::fernet_mac;
        if (!bytes || bytes->size() < least_size) return std::nullopt;
        if ((bytes->size() - detail::fernet_header - detail::fernet_mac) % detail::fernet_block !=
            0)
            return std::nullopt;
        if (bytes->front() != detail::fernet_version) return std::nullopt;
        return bytes;
    }

    /// Never empty.
    std::vector<detail::fernet_key, secret_allocator<detail::fernet_key>> keys_;
};

} // namespace crypto
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

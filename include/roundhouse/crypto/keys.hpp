#pragma once

#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/types.hpp>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

/// Keys, their hashes, and their source of randomness.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace crypto {

/// Fills a whole span with random bytes, or throws. Pass `system_entropy`, except in simulations,
/// which need a seeded generator.
using entropy = std::function<void(std::span<std::uint8_t>)>;

inline constexpr std::string_view platform_key_prefix = "pk-sept-";
inline constexpr std::string_view engine_key_prefix = "sk-sept-";
inline constexpr std::size_t engine_key_size = engine_key_prefix.size() + 43;

namespace detail {

/// Throws OpenSSL's last error. Its text has names of functions and algorithms, never data.
[[noreturn]] inline void throw_openssl_error(const char* failed_step) {
    const auto code = ERR_get_error();
    std::array<char, 256> text{};
    ERR_error_string_n(code, text.data(), text.size());
    throw std::system_error(std::make_error_code(std::errc::io_error),
                            std::string(failed_step) + ": " + text.data());
}

struct free_digest_context {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

/// The algorithm, which is fetched once: OpenSSL 3 does so on every one-shot `SHA256` call, which
/// costs five times the digest itself. Never freed, because static objects may hash while the
/// process ends.
inline const EVP_MD* sha256_algorithm() {
    static const EVP_MD* const algorithm = [] {
        const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
        if (fetched == nullptr) throw_openssl_error("SHA-256 is not available");
        return fetched;
    }();
    return algorithm;
}

inline EVP_MD_CTX* digest_context() {
    thread_local const std::unique_ptr<EVP_MD_CTX, free_digest_context> context(EVP_MD_CTX_new());
    if (context == nullptr) throw_openssl_error("no memory for a digest");
    return context.get();
}

inline std::string make_key(std::string_view prefix, const entropy& random) {
    std::array<std::uint8_t, 32> bytes{};
    random(bytes);
    auto key = std::string(prefix) + base64url_encode(bytes, padding::none);
    OPENSSL_cleanse(bytes.data(), bytes.size());
    return key;
}

} // namespace detail

/// Fills a span from OpenSSL's cryptographic generator, which the kernel seeds. Thread-safe, and
/// safe after a fork. Throws `std::system_error` if the generator fails.
inline void system_entropy(std::span<std::uint8_t> out) {
    // RAND_bytes takes an int.
    constexpr std::size_t part_limit = std::numeric_limits<int>::max();
    while (!out.empty()) {
        const auto part = out.first(out.size() < part_limit ? out.size() : part_limit);
        if (RAND_bytes(part.data(), static_cast<int>(part.size())) != 1)
            detail::throw_openssl_error("the system has no randomness to make keys of");
        out = out.subspan(part.size());
    }
}

/// The SHA-256 digest of bytes. Allocates only in a thread's first call.
[[nodiscard]] inline sha256_digest sha256(std::string_view bytes) {
    sha256_digest digest{};
    auto* const context = detail::digest_context();
    if (EVP_DigestInit_ex2(context, detail::sha256_algorithm(), nullptr) != 1 ||
        EVP_DigestUpdate(context, bytes.data(), bytes.size()) != 1 ||
        EVP_DigestFinal_ex(context, digest.data(), nullptr) != 1)
        detail::throw_openssl_error("SHA-256 failed");
    return digest;
}

/// A new platform key: `pk-sept-` and 43 characters of base64url, holding 32 random bytes.
[[nodiscard]] inline std::string make_platform_key(const entropy& random) {
    return detail::make_key(platform_key_prefix, random);
}

/// A new engine key: `sk-sept-` and 43 characters of base64url, holding 32 random bytes.
[[nodiscard]] inline std::string make_engine_key(const entropy& random) {
    return detail::make_key(engine_key_prefix, random);
}

/// A new UUID of version 4 (RFC 9562 §5.4): random except for its version and variant bits.
[[nodiscard]] inline uuid make_uuid(const entropy& random) {
    uuid id;
    random(id.bytes);
    id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0FU) | 0x40U);
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3FU) | 0x80U);
    return id;
}

/// Whether two texts are equal. The time that it takes depends on the lengths only, not on where
/// the texts differ.
[[nodiscard]] inline bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Whether two digests are equal, in a time that does not depend on where they differ.
[[nodiscard]] inline bool equal_constant_time(const sha256_digest& a,
                                              const sha256_digest& b) noexcept {
    return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

} // namespace crypto
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

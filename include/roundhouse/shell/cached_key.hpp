#pragma once

#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/crypto/keys.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The key of an engine that runs, as it was unsealed for the first admit: to unseal it again for
/// each costs more than all else that an admit does. It is as secret as the master key beside it in
/// memory, and wiped when it goes. Not thread-safe.
class cached_key {
public:
    cached_key() = default;
    ~cached_key() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
    cached_key(const cached_key&) = delete;
    cached_key& operator=(const cached_key&) = delete;

    /// Keeps a key that `crypto::make_engine_key` made. False for one of another form, which is not
    /// kept.
    bool keep(std::string_view key) {
        if (!key.starts_with(crypto::engine_key_prefix)) return false;
        auto bytes = crypto::base64url_decode(key.substr(crypto::engine_key_prefix.size()),
                                              crypto::padding::none);
        if (!bytes) return false;
        const bool fits = bytes->size() == bytes_.size();
        if (fits) std::ranges::copy(*bytes, bytes_.begin());
        OPENSSL_cleanse(bytes->data(), bytes->size());
        return fits;
    }

    /// The key that was kept last. One must have been.
    [[nodiscard]] std::array<char, crypto::engine_key_size> text() const {
        std::array<char, crypto::engine_key_size> out{};
        auto* const end = std::ranges::copy(crypto::engine_key_prefix, out.data()).out;
        crypto::base64url_write(end, bytes_);
        return out;
    }

    /// Keeps the key that another keeps.
    void take(const cached_key& other) noexcept { bytes_ = other.bytes_; }

private:
    static constexpr std::size_t size = 32;
    static_assert(crypto::engine_key_size ==
                  crypto::engine_key_prefix.size() + crypto::base64url_size(size));

    std::array<std::uint8_t, size> bytes_{};
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/types.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
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

    /// Appends the key owner SHA-256 is `hash`; nothing if another is kept, or none.
    void append_to(std::string& text, const sha256_digest& hash) const {
        const auto wanted = tag_of(hash);
        if (wanted == none || wanted != tag_) return;
        text.reserve(text.size() + crypto::engine_key_size);
        text += crypto::engine_key_prefix;
        crypto::base64url_append(text, bytes_, crypto::padding::none);
    }

    /// Keeps a key that `crypto::make_engine_key` made; one of another form is not kept.
    void keep(std::string_view key, const sha256_digest& hash) {
        if (!key.starts_with(crypto::engine_key_prefix)) return;
        auto bytes = crypto::base64url_decode(key.substr(crypto::engine_key_prefix.size()),
                                              crypto::padding::none);
        if (!bytes) return;
        if (bytes->size() == bytes_.size()) {
            std::ranges::copy(*bytes, bytes_.begin());
            tag_ = tag_of(hash);
        }
        OPENSSL_cleanse(bytes->data(), bytes->size());
    }

    /// Keeps the key that another keeps, if it does.
    void take(const cached_key& other) noexcept {
        if (other.tag_ == none) return;
        bytes_ = other.bytes_;
        tag_ = other.tag_;
    }

private:
    static constexpr std::uint64_t none = 0;

    /// Enough to tell an engine's keys apart.
    static std::uint64_t tag_of(const sha256_digest& hash) noexcept {
        std::uint64_t tag = none;
        std::memcpy(&tag, hash.data(), sizeof tag);
        return tag;
    }

    std::array<std::uint8_t, 32> bytes_{};
    std::uint64_t tag_ = none;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

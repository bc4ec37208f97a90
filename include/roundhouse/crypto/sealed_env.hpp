#pragma once

#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <openssl/crypto.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

/// The variables of an engine as they are kept (SPEC §8).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace crypto {

/// Seals variables as one text: each as `NAME=value` with a byte 0 behind it, as environ(7) has them.
/// No name may hold `=`, and no value a byte 0 (`core::check_options`). Empty if there are none.
/// Throws what `key_ring::seal` throws.
[[nodiscard]] inline std::string seal_env(const named_texts& env, const key_ring& keys, instant now,
                                          const entropy& random) {
    if (env.empty()) return {};
    std::size_t size = 0;
    for (const auto& [name, value] : env) size += name.size() + value.size() + 2;
    std::string plain;
    plain.reserve(size); // so that no copy is left behind
    for (const auto& [name, value] : env) {
        plain.append(name).append(1, '=').append(value).append(1, '\0');
    }
    auto sealed = keys.seal(plain, now, random);
    OPENSSL_cleanse(plain.data(), plain.size());
    return sealed;
}

/// The variables that a text seals; none of an empty one. A failure (`internal_error`) means that it
/// is damaged, or that its key is not in the ring. It never contains a part of the text.
[[nodiscard]] inline result<named_texts> unseal_env(std::string_view sealed, const key_ring& keys) {
    named_texts env;
    if (sealed.empty()) return env;
    auto plain = keys.unseal(sealed);
    if (!plain) return unexpected(std::move(plain.error()));
    for (std::string_view rest = *plain; !rest.empty();) {
        const auto end = rest.find('\0');
        const auto variable = rest.substr(0, end);
        const auto equals = variable.find('=');
        if (end == std::string_view::npos || equals == std::string_view::npos)
            return fail(errc::internal_error,
                        "a sealed environment does not hold variables: the record is damaged");
        env.emplace(variable.substr(0, equals), variable.substr(equals + 1));
        rest.remove_prefix(end + 1);
    }
    OPENSSL_cleanse(plain->data(), plain->size());
    return env;
}

} // namespace crypto
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// How the platform keys of a product come and go (SPEC §3).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The most keys that a product may have.
inline constexpr std::size_t max_platform_keys = 16;

/// The longest time that older keys may stay in force after a rotation.
inline constexpr duration longest_key_overlap = std::chrono::hours{24 * 30};

[[nodiscard]] inline bool has_expired(const platform_key& key, instant now) noexcept {
    return key.expires_at && *key.expires_at <= now;
}

/// Removes the keys that have expired.
inline void remove_expired_keys(product& record, instant now) {
    std::erase_if(record.keys, [now](const platform_key& key) { return has_expired(key, now); });
}

[[nodiscard]] inline error too_many_keys(const product& record) {
    return {errc::invalid_request,
            "Product '" + record.slug + "' has " + std::to_string(max_platform_keys) +
                " platform keys, which are as many as it may have. Delete one that is not used any "
                "more, or rotate with an overlap_s of 0."};
}

/// Gives a product a further key, after whose overlap the others expire. Fails with
/// `errc::invalid_request` if it would have too many, which it never has without an overlap.
[[nodiscard]] inline result<void> rotate_platform_key(product& record, const sha256_digest& hash,
                                                      duration overlap, instant now) {
    for (auto& key : record.keys)
        key.expires_at = std::min(key.expires_at.value_or(instant::max()), now + overlap);
    remove_expired_keys(record, now);
    if (record.keys.size() >= max_platform_keys) return unexpected(too_many_keys(record));
    record.keys.push_back(platform_key{++record.last_key_id, hash, now});
    return {};
}

/// What a configured key has come to, and whether that changes the product's record.
struct configured_key_change {
    configured_key outcome = configured_key::not_taken;
    bool changed = false;
};

/// Gives a product the key that an operator has configured, in place of those that were configured
/// before, which expire after the overlap. Other keys stay. If no key in force was ever configured, it
/// is not taken: it may be one that an administrator has ended. A key that the product has stays as
/// it is, but comes back from expiring where another one was configured since. Fails with
/// `errc::invalid_request` if the product would have too many keys.
[[nodiscard]] inline result<configured_key_change>
configure_platform_key(product& record, const sha256_digest& hash, duration overlap, instant now) {
    remove_expired_keys(record, now);
    const auto wanted = std::ranges::find(record.keys, hash, &platform_key::hash);
    const bool known = wanted != record.keys.end();
    const auto is_earlier = [&](const platform_key& key) {
        return key.configured && key.hash != hash;
    };
    if (!known && std::ranges::none_of(record.keys, is_earlier)) return configured_key_change{};
    configured_key_change out{configured_key::in_force, !known};
    if (known) {
        const bool comes_back = wanted->expires_at &&
                                std::ranges::any_of(record.keys, [&](const platform_key& key) {
                                    return is_earlier(key) && key.id > wanted->id;
                                });
        if (comes_back) wanted->expires_at.reset();
        out.changed = !std::exchange(wanted->configured, true) || comes_back;
    }
    for (auto& key : record.keys) {
        if (!is_earlier(key) || key.expires_at.value_or(instant::max()) <= now + overlap) continue;
        key.expires_at = now + overlap;
        out.outcome = configured_key::rotated;
        out.changed = true;
    }
    remove_expired_keys(record, now);
    if (known) return out;
    out.outcome = configured_key::rotated;
    if (record.keys.size() >= max_platform_keys) return unexpected(too_many_keys(record));
    record.keys.push_back(platform_key{++record.last_key_id, hash, now, std::nullopt, true});
    return out;
}

/// Takes a key from a product. Fails with `errc::platform_key_not_found`.
[[nodiscard]] inline result<void> delete_platform_key(product& record, std::uint64_t id) {
    if (std::erase_if(record.keys, [id](const platform_key& key) { return key.id == id; }) > 0)
        return {};
    return fail(errc::platform_key_not_found, "Product '" + record.slug + "' has no platform key " +
                                                  std::to_string(id) +
                                                  ". Look up which keys it has.");
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

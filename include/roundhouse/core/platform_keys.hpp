#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
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

/// Gives a product a further key, after whose overlap the others expire. Fails with
/// `errc::invalid_request` if it would have too many, which it never has without an overlap.
[[nodiscard]] inline result<void> rotate_platform_key(product& record, const sha256_digest& hash,
                                                      duration overlap, instant now) {
    for (auto& key : record.keys)
        key.expires_at = std::min(key.expires_at.value_or(instant::max()), now + overlap);
    remove_expired_keys(record, now);
    if (record.keys.size() >= max_platform_keys)
        return fail(errc::invalid_request,
                    "Product '" + record.slug + "' has " + std::to_string(max_platform_keys) +
                        " platform keys, which are as many as it may have. Delete one that is not "
                        "used any more, or rotate with an overlap_s of 0.");
    record.keys.push_back(platform_key{++record.last_key_id, hash, now});
    return {};
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

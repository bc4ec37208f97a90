#pragma once

#include <roundhouse/types.hpp>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

/// Calls that carry an idempotency key (SPEC §3 "Idempotency"), and what is kept of them.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// How long after the first call a key stands for that call.
inline constexpr duration idempotency_lifetime = std::chrono::hours{24};
/// The most records that a store keeps of one product. The oldest go first.
inline constexpr std::uint64_t max_idempotency_records = 10'000;
/// The longest key, in bytes.
inline constexpr std::size_t max_idempotency_key_bytes = 255;

/// Names a call: a product's key for it, or that of an administrator. Only the SHA-256 of the key is
/// kept.
struct idempotency_id {
    uuid product_id{}; ///< Zero for the keys of administrators, which all of them share.
    sha256_digest key_hash{};

    friend auto operator<=>(const idempotency_id&, const idempotency_id&) = default;
};

/// What is kept of a call that made an engine or a product. It is stored by the commit that inserts the
/// engine, without the answer, and again with the answer once that is known; with a product at once
/// with the answer.
struct idempotency_record {
    idempotency_id id;
    sha256_digest request{}; ///< Of what was asked for: another request with the key is refused.
    uuid engine_id{};        ///< The engine that was made, or the product.
    instant created_at{};
    std::string sealed_answer = {}; ///< Sealed with the master keys. Empty: there is none yet.
    /// Counts the records of the product; set by the store. A record that is put again for the same
    /// engine keeps its own.
    std::uint64_t sequence = 0;

    friend bool operator==(const idempotency_record&, const idempotency_record&) = default;
};

/// As stores return it: immutable. Null means that there is none.
using idempotency_ptr = std::shared_ptr<const idempotency_record>;

/// Whether a record of this age still stands for its call.
[[nodiscard]] inline bool is_in_force(const idempotency_record& record, instant now) noexcept {
    return now < record.created_at + idempotency_lifetime;
}

/// Whether the oldest of a product's records has to go, where these are the lowest and the highest
/// of their sequences.
[[nodiscard]] constexpr bool are_too_many(std::uint64_t lowest, std::uint64_t highest) noexcept {
    return highest - lowest >= max_idempotency_records;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

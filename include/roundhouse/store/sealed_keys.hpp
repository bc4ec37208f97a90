#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// The engines' sealed keys (SPEC §8), of all rows of a store at once.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// How many sealed keys a store holds, and how many of them no master key opens.
struct sealed_key_count {
    std::uint64_t total = 0;
    std::uint64_t unreadable = 0;
};

/// What `reseal_keys` has done.
struct resealing {
    std::uint64_t engines = 0;         ///< Rows whose keys are now under the first master key.
    std::uint64_t damaged_records = 0; ///< Left as they are, since they cannot be read at all.
};

namespace detail {

/// Rows of one commit: enough that a commit's cost is shared, few enough that nobody waits for it.
inline constexpr std::size_t reseal_batch = 100;
/// A batch that lost a race is done again, from a fresh read, at most so often.
inline constexpr int reseal_attempts = 8;

/// The row with its key, and the one that a rotation hands over, under the ring's first key.
inline result<engine_record> resealed(engine_record engine, const crypto::key_ring& keys,
                                      instant now, const crypto::entropy& random) {
    for (auto* const sealed : {&engine.sealed_key, &engine.next_sealed_key}) {
        if (sealed == &engine.next_sealed_key && sealed->empty()) continue;
        const auto key = keys.unseal(*sealed);
        if (!key)
            return fail(key.error().code,
                        "engine " + to_string(engine.id) + ": " + key.error().message);
        *sealed = keys.seal(*key, now, random);
    }
    return engine;
}

/// The update of each of these engines that is still there.
template <store Store>
result<change_set> resealed_rows(const Store& store, std::span<const uuid> engines,
                                 const crypto::key_ring& keys, instant now,
                                 const crypto::entropy& random) {
    change_set set;
    for (const auto& id : engines) {
        const auto found = store.find_engine_by_id(id);
        if (!found) return unexpected(found.error());
        if (*found == nullptr) continue;
        auto record = resealed(**found, keys, now, random);
        if (!record) return unexpected(std::move(record.error()));
        set.changes.emplace_back(update_engine{std::move(*record), {}});
    }
    return set;
}

/// Seals one batch again, and answers with how many rows that were.
template <store Store>
result<std::size_t> reseal_rows(Store& store, std::span<const uuid> engines,
                                const crypto::key_ring& keys, instant now,
                                const crypto::entropy& random) {
    for (int attempt = 1;; ++attempt) {
        const auto set = resealed_rows(store, engines, keys, now, random);
        if (!set) return unexpected(set.error());
        if (set->changes.empty()) return 0;
        const auto done = store.commit(*set);
        if (done) return set->changes.size();
        const bool lost_a_race = done.error().code == errc::revision_conflict;
        if (!lost_a_race || attempt == reseal_attempts) return unexpected(done.error());
    }
}

} // namespace detail

/// Counts the engines' keys, and those of them that none of the master keys opens. Records that
/// cannot be read at all are not counted. Reads every row, and opens its key, which takes a few
/// microseconds each; fails if the store cannot be read.
template <store Store>
[[nodiscard]] result<sealed_key_count> count_unreadable_keys(const Store& store,
                                                             const crypto::key_ring& keys) {
    sealed_key_count out;
    const auto count = [&](const std::string& sealed) {
        ++out.total;
        if (!keys.unseal(sealed)) ++out.unreadable;
    };
    auto visited = store.for_each_engine([&](const result<engine_ptr>& engine) {
        if (!engine) return;
        count((*engine)->sealed_key);
        if (!(*engine)->next_sealed_key.empty()) count((*engine)->next_sealed_key);
    });
    if (!visited) return unexpected(std::move(visited.error()));
    return out;
}

/// Seals the keys of every engine again, under the first master key; after that the others are not
/// needed any more. Blocks on one commit for each hundred rows.
///
/// If a key cannot be opened it fails before anything is changed. A failure later (the store has no
/// room) leaves some rows under the first key and the others as they were, which the same master
/// keys can read: call it again. It may run beside an orchestrator, but an engine that is made
/// meanwhile is sealed with that one's first key.
template <store Store>
[[nodiscard]] result<resealing> reseal_keys(Store& store, const crypto::key_ring& keys, instant now,
                                            const crypto::entropy& random) {
    const auto known = count_unreadable_keys(store, keys);
    if (!known) return unexpected(known.error());
    if (known->unreadable > 0)
        return fail(errc::internal_error,
                    std::to_string(known->unreadable) + " of " + std::to_string(known->total) +
                        " sealed keys were sealed with none of the master keys, or are damaged: "
                        "put the key that sealed them back into the list. Nothing was changed.");
    resealing out;
    std::vector<uuid> engines;
    auto visited = store.for_each_engine([&](const result<engine_ptr>& engine) {
        if (engine) engines.push_back((*engine)->id);
        else ++out.damaged_records;
    });
    if (!visited) return unexpected(std::move(visited.error()));
    for (auto rest = std::span<const uuid>(engines); !rest.empty();) {
        const auto batch = rest.first(std::min(rest.size(), detail::reseal_batch));
        const auto done = detail::reseal_rows(store, batch, keys, now, random);
        if (!done) return unexpected(done.error());
        out.engines += *done;
        rest = rest.subspan(batch.size());
    }
    return out;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

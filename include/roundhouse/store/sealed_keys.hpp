#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// Operations on what is sealed in a store (SPEC §8): engine keys and environments, and the answers
/// that are kept for idempotency keys.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The number of sealed texts in a store, keys, environments and answers, and of those that no master
/// key opens.
struct sealed_key_count {
    std::uint64_t total = 0;
    std::uint64_t unreadable = 0;
};

/// The result of `reseal_keys`.
struct resealing {
    std::uint64_t engines = 0; ///< Rows in which all is sealed with the first master key now.
    std::uint64_t damaged_records = 0; ///< Unreadable rows, which are left as they are.
};

namespace detail {

/// Rows per commit: enough to share the cost of a commit, and few enough to keep it short.
inline constexpr std::size_t reseal_batch = 100;
/// How often a batch is tried, from a fresh read each time, if other commits change its rows.
inline constexpr int reseal_attempts = 8;

/// The texts that are sealed in a row: its key, the next key of a rotation, and its environment, also
/// that of its present workload.
inline std::vector<const std::string*> sealed_texts(const engine_record& engine) {
    std::vector<const std::string*> out{&engine.sealed_key};
    const auto& settings = settings_of(engine);
    for (const auto* const sealed :
         {&engine.next_sealed_key, &settings.sealed_env, &settings.pending.sealed_env})
        if (!sealed->empty()) out.push_back(sealed);
    return out;
}

/// The row with all that is sealed in it sealed with the ring's first key.
inline result<engine_record> resealed(engine_record engine, const crypto::key_ring& keys,
                                      instant now, const crypto::entropy& random) {
    const auto settings = std::make_shared<engine_settings>(settings_of(engine));
    for (auto* const sealed : {&engine.sealed_key, &engine.next_sealed_key, &settings->sealed_env,
                               &settings->pending.sealed_env}) {
        if (sealed != &engine.sealed_key && sealed->empty()) continue;
        const auto plain = keys.unseal(*sealed);
        if (!plain)
            return fail(plain.error().code,
                        "engine " + to_string(engine.id) + ": " + plain.error().message);
        *sealed = keys.seal(*plain, now, random);
    }
    if (engine.settings) engine.settings = settings;
    return engine;
}

/// The variables that are sealed in a product's defaults, also those that were replaced.
inline std::vector<std::string*> sealed_texts(product_defaults& defaults) {
    std::vector<std::string*> out;
    if (!defaults.settings.sealed_env.empty()) out.push_back(&defaults.settings.sealed_env);
    for (auto& former : defaults.former)
        if (!former.sealed_env.empty()) out.push_back(&former.sealed_env);
    return out;
}

/// Calls `visit(product)` for each product that has defaults.
template <store Store, class Visit>
result<void> for_each_with_defaults(const Store& store, const Visit& visit) {
    for (product_query query{.limit = reseal_batch};;) {
        const auto page = store.list_products(query);
        if (!page) return unexpected(page.error());
        for (const auto& found : page->products)
            if (found->defaults)
                if (auto done = visit(found); !done) return done;
        if (!page->next) return {};
        query.after = *page->next;
    }
}

/// Seals the defaults of one product again.
template <store Store>
result<void> reseal_defaults(Store& store, const uuid& product, const crypto::key_ring& keys,
                             instant now, const crypto::entropy& random) {
    for (int attempt = 1;; ++attempt) {
        const auto found = store.find_product_by_id(product);
        if (!found) return unexpected(found.error());
        if (!*found || !(*found)->defaults) return {};
        auto defaults = std::make_shared<product_defaults>(*(*found)->defaults);
        std::map<std::string, std::string> again; // equal texts stay equal
        for (auto* const sealed : sealed_texts(*defaults)) {
            auto& text = again[*sealed];
            const auto plain = keys.unseal(*sealed);
            if (!plain)
                return fail(plain.error().code,
                            "product '" + (*found)->slug + "': " + plain.error().message);
            if (text.empty()) text = keys.seal(*plain, now, random);
            *sealed = text;
        }
        change_set set;
        auto& put = set.changes.emplace_back(put_product{**found});
        std::get<put_product>(put).record.defaults = std::move(defaults);
        const auto done = store.commit(set);
        if (done) return {};
        const bool lost_a_race = done.error().code == errc::revision_conflict;
        if (!lost_a_race || attempt == reseal_attempts) return unexpected(done.error());
    }
}

/// Updates of those of the engines that still exist.
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

/// Seals the keys of one batch again. Returns the number of rows.
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

/// The idempotency records that have an answer.
template <store Store> result<std::vector<idempotency_ptr>> kept_answers(const Store& store) {
    std::vector<idempotency_ptr> out;
    auto visited = store.for_each_idempotency([&](const result<idempotency_ptr>& record) {
        if (record && !(*record)->sealed_answer.empty()) out.push_back(*record);
    });
    if (!visited) return unexpected(std::move(visited.error()));
    return out;
}

/// Seals the answers of these records again. A record that was removed meanwhile comes back, and is
/// removed again with those of its age.
template <store Store>
result<void> reseal_answers(Store& store, std::span<const idempotency_ptr> records,
                            const crypto::key_ring& keys, instant now,
                            const crypto::entropy& random) {
    for (auto rest = records; !rest.empty();) {
        change_set set;
        for (const auto& record : rest.first(std::min(rest.size(), reseal_batch))) {
            auto next = *record;
            const auto plain = keys.unseal(next.sealed_answer);
            if (!plain) return unexpected(plain.error());
            next.sealed_answer = keys.seal(*plain, now, random);
            set.changes.emplace_back(put_idempotency{std::move(next)});
        }
        rest = rest.subspan(set.changes.size());
        if (auto done = store.commit(set); !done) return unexpected(std::move(done.error()));
    }
    return {};
}

} // namespace detail

/// Counts the engine keys and environments, those of products' defaults included, and the kept answers,
/// and those of them that none of the master keys opens. Those of unreadable rows are not counted.
/// Reads every row and opens what is sealed in it, which
/// takes a few microseconds each.
/// Fails if the store cannot be read.
template <store Store>
[[nodiscard]] result<sealed_key_count> count_unreadable_keys(const Store& store,
                                                             const crypto::key_ring& keys) {
    sealed_key_count out;
    auto visited = store.for_each_engine([&](const result<engine_ptr>& engine) {
        if (!engine) return;
        for (const auto* const sealed : detail::sealed_texts(**engine)) {
            ++out.total;
            if (!keys.unseal(*sealed)) ++out.unreadable;
        }
    });
    if (!visited) return unexpected(std::move(visited.error()));
    auto counted = detail::for_each_with_defaults(store, [&](const product_ptr& product) {
        auto defaults = *product->defaults;
        for (const auto* const sealed : detail::sealed_texts(defaults)) {
            ++out.total;
            if (!keys.unseal(*sealed)) ++out.unreadable;
        }
        return result<void>{};
    });
    if (!counted) return unexpected(std::move(counted.error()));
    const auto answers = detail::kept_answers(store);
    if (!answers) return unexpected(answers.error());
    for (const auto& record : *answers) {
        ++out.total;
        if (!keys.unseal(record->sealed_answer)) ++out.unreadable;
    }
    return out;
}

/// Seals the key and the environment of every engine again, the variables of the defaults of every
/// product, and every kept answer, with the first master key. Afterwards the other master keys are no
/// longer needed. Blocks on one commit per hundred rows, and on one for each product that has defaults.
///
/// Fails before any change if a key cannot be opened. A later failure (the store has no room)
/// leaves some rows sealed with the first key and the others as they were; the same master keys
/// read both, so the call can be repeated. May run beside an orchestrator, which seals the keys of
/// new engines with its own first key.
template <store Store>
[[nodiscard]] result<resealing> reseal_keys(Store& store, const crypto::key_ring& keys, instant now,
                                            const crypto::entropy& random) {
    const auto known = count_unreadable_keys(store, keys);
    if (!known) return unexpected(known.error());
    if (known->unreadable > 0)
        return fail(
            errc::internal_error,
            std::to_string(known->unreadable) + " of " + std::to_string(known->total) +
                " sealed keys, environments and answers were sealed with none of the master "
                "keys, or are damaged: put the key that sealed them back into the list. Nothing "
                "was changed.");
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
    auto products = detail::for_each_with_defaults(store, [&](const product_ptr& product) {
        return detail::reseal_defaults(store, product->id, keys, now, random);
    });
    if (!products) return unexpected(std::move(products.error()));
    const auto answers = detail::kept_answers(store);
    if (!answers) return unexpected(answers.error());
    if (auto done = detail::reseal_answers(store, *answers, keys, now, random); !done)
        return unexpected(std::move(done.error()));
    return out;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

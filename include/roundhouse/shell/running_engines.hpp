#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/core/moment.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/hash_index.hpp>
#include <roundhouse/detail/striped_mutex.hpp>
#include <roundhouse/shell/cached_key.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What is known of a running engine and changes too often to be stored each time. Times are the
/// steady clock's, but for the last healthy answer, which callers see.
struct running_engine {
    static constexpr auto never = std::numeric_limits<std::int64_t>::min();

    uuid id;
    std::uint32_t life = 0; ///< A new number each time that the engine begins to run.
    std::atomic<std::uint16_t> failures_in_a_row = 0;
    std::atomic<bool> use_is_stored = true;         ///< The store knows of the last use.
    std::atomic<std::int64_t> last_used_ms = never; ///< The last admit or activity.
    std::atomic<std::int64_t> leased_until_ms = never;
    std::atomic<std::int64_t> healthy_since_ms = never;
    std::atomic<std::int64_t> health_row_ms = never;  ///< The record's last healthy answer.
    std::atomic<std::int64_t> last_probe_ms = never;  ///< When the last probe was begun.
    std::atomic<std::int64_t> next_check_ms = never;  ///< When the prober looks at it next.
    std::atomic<std::int64_t> last_health_ms = never; ///< Wall time.
    cached_key key; ///< Read under the table's lock, written while nobody reads.

    static std::optional<duration> read(const std::atomic<std::int64_t>& from) noexcept {
        const auto ms = from.load(std::memory_order_relaxed);
        if (ms == never) return std::nullopt;
        return duration{ms};
    }
    static void write(std::atomic<std::int64_t>& to, duration at) noexcept {
        to.store(at.count(), std::memory_order_relaxed);
    }
    static void raise(std::atomic<std::int64_t>& to, duration at) noexcept {
        if (to.load(std::memory_order_relaxed) < at.count()) write(to, at);
    }

    void use(duration now) noexcept {
        raise(last_used_ms, now);
        use_is_stored.store(false, std::memory_order_relaxed);
    }
    [[nodiscard]] std::optional<instant> last_health() const noexcept {
        const auto at = read(last_health_ms);
        return at ? std::optional(instant{*at}) : std::nullopt;
    }
};

/// What a running engine is found by. The hash is of its owner, so that an admit can find the engine
/// by the record that it has read.
struct running_engine_ref {
    std::uint64_t hash;
    uuid id;

    static running_engine_ref of(const engine_record& engine) noexcept {
        return {engine_owner_hash::mix(engine.product_id, engine.user_id), engine.id};
    }
    bool operator()(const running_engine& engine) const noexcept { return engine.id == id; }
};

/// A use of an engine that the store does not know of.
struct unstored_use {
    running_engine_ref engine;
    duration at; ///< Steady time.
};

/// The running engines. Thread-safe; a reader waits for a writer only while an engine begins or ceases
/// to run.
class running_engines {
public:
    /// An engine begins to run; its record was decided or found then. If the engine ran before, its
    /// use, lease and health keep their times; else they are those of the record, and what seems to
    /// lie in the future was noted by another wall clock and counts from then.
    void add(const engine_record& engine, const core::moment& then);
    /// The record of a running engine has changed; the change was decided then.
    void follow(const engine_record& before, const engine_record& after, const core::moment& then);
    /// An engine ceases to run. It may run again.
    void suspend(const engine_record& engine);
    /// An engine is gone.
    void remove(const engine_record& engine);

    /// Calls `look(running_engine&)`, which must not call this table and changes nothing but what
    /// is atomic. False if the engine is not running.
    template <class Look> bool visit(const running_engine_ref& engine, const Look& look) const {
        return visit_first(engine.hash, engine, look);
    }
    template <class Look> bool visit(const engine_record& engine, const Look& look) const {
        return visit(running_engine_ref::of(engine), look);
    }

    /// The same for one life of the engine: false if it has begun another.
    template <class Look>
    bool visit(const engine_record& engine, std::uint32_t life, const Look& look) const {
        bool same = false;
        visit(engine, [&](running_engine& running) {
            same = running.life == life;
            if (same) look(running);
        });
        return same;
    }

    /// The same for the first engine with this hash for which `is(running_engine&)` holds.
    template <class Is, class Look>
    bool visit_first(std::uint64_t hash, const Is& is, const Look& look) const {
        auto& part = of(hash);
        const striped_mutex::reading lock(mutex_);
        const auto* const found = part.engines.find(hash, is);
        if (found == nullptr) return false;
        look(**found);
        return true;
    }

    // An engine that was not used for a while is in no cache, and each step to it waits for memory.
    // An admit has these two steps fetched while it waits for the store's, which makes it faster by
    // more than a third in a fleet of a million (docs/performance.md).

    void prefetch_place(std::uint64_t hash) const noexcept { of(hash).engines.prefetch(hash); }
    void prefetch_engine(std::uint64_t hash) const {
        visit_first(
            hash, [](const running_engine&) { return true; },
            [](const running_engine& running) {
                __builtin_prefetch(&running);
                __builtin_prefetch(reinterpret_cast<const char*>(&running) + sizeof running - 1);
            });
    }

    /// When a running engine was last used, in steady time; nothing if it does not run.
    [[nodiscard]] std::optional<duration> last_used(const engine_record& engine) const;

    /// Until when a running engine is leased, in steady time; nothing if it is not.
    [[nodiscard]] std::optional<duration> leased_until(const engine_record& engine) const;

    /// For how long an engine that runs, or ran and sleeps, has been healthy; nothing if that is not
    /// known.
    [[nodiscard]] std::optional<duration> healthy_for(const engine_record& engine,
                                                      duration steady_now) const;

    /// How long ago a healthy answer of a running engine was stored; nothing if it does not run.
    [[nodiscard]] std::optional<duration> since_health_row(const engine_record& engine,
                                                           duration steady_now) const;

    /// Notes a use of an engine, if it runs.
    void use(const engine_record& engine, duration steady_now) const;

    /// Keeps the key of a running engine.
    void cache_key(const engine_record& engine, std::string_view key) const;

    /// The uses that the store does not know of, by engine id.
    [[nodiscard]] std::vector<unstored_use> unstored() const;
    void stored(std::span<const unstored_use> uses) const;

private:
    struct suspended_times {
        std::int64_t last_used_ms;
        std::int64_t leased_until_ms;
        std::optional<instant> healthy_since; ///< The record's, which a new boot replaces.
        std::int64_t healthy_since_ms;
    };

    struct alignas(64) shard {
        hash_index<std::unique_ptr<running_engine>> engines;
        std::unordered_map<uuid, suspended_times> suspended; ///< Engines that have run.
        std::uint32_t lives = 0;

        running_engine& add(const running_engine_ref& ref) {
            if (auto* const known = engines.find(ref.hash, ref)) return **known;
            auto added = std::make_unique<running_engine>();
            added->id = ref.id;
            added->life = ++lives;
            return *engines.insert(ref.hash, std::move(added));
        }
    };

    shard& of(std::uint64_t hash) const noexcept { return shards_[hash % shards_.size()]; }

    mutable striped_mutex mutex_;
    mutable std::array<shard, 64> shards_; ///< Each grows by itself, which takes a moment only.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/running_engines.ipp>
#endif

#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/hash_index.hpp>
#include <roundhouse/shell/cached_key.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What is known of a running engine and changes too often to be written down each time.
struct running_engine {
    static constexpr auto never = std::numeric_limits<std::int64_t>::min();

    uuid id;
    std::uint32_t life = 0; ///< Another one each time that it begins to run.
    std::atomic<std::uint32_t> failures_in_a_row = 0;
    std::atomic<std::int64_t> last_used_ms = never;    ///< Wall time of the last admit or activity.
    std::atomic<std::int64_t> last_written_ms = never; ///< What the store knows of that.
    std::atomic<std::int64_t> last_health_ms = never;
    std::atomic<std::int64_t> last_probe_ms = never; ///< When the last probe was begun.
    std::atomic<std::int64_t> next_look_ms = never;  ///< Steady time at which it is looked at next.
    cached_key key; ///< Read under the table's lock, written while nobody reads.

    static std::optional<instant> read(const std::atomic<std::int64_t>& from) noexcept {
        const auto ms = from.load(std::memory_order_relaxed);
        if (ms == never) return std::nullopt;
        return instant{duration{ms}};
    }
    static void write(std::atomic<std::int64_t>& to, instant at) noexcept {
        to.store(at.time_since_epoch().count(), std::memory_order_relaxed);
    }

    void use(instant now) noexcept {
        const auto known = read(last_used_ms);
        if (!known || *known < now) write(last_used_ms, now);
    }
};

/// What a running engine is found by: the hash of its product and user, so that an admit can look for
/// it before it has read the engine's record.
struct running_engine_ref {
    std::uint64_t hash;
    uuid id;

    static running_engine_ref of(const engine_record& engine) noexcept {
        return {engine_owner_hash::mix(engine.product_id, engine.user_id), engine.id};
    }
    bool operator()(const running_engine& one) const noexcept { return one.id == id; }
};

/// When an engine was used, and has not been written down to be.
struct unwritten_use {
    running_engine_ref engine;
    instant at;
};

/// The running engines. Thread-safe; a reader waits for a writer only while an engine of the same
/// shard comes or goes.
class running_engines {
public:
    /// An engine begins to run. Its last healthy answer stands for its first probe.
    void add(const engine_record& engine) {
        const auto ref = running_engine_ref::of(engine);
        auto& part = of(ref.hash);
        const std::unique_lock lock(part.mutex);
        auto& one = part.add(ref);
        running_engine::write(one.last_used_ms, engine.last_activity_at);
        running_engine::write(one.last_written_ms, engine.last_activity_at);
        if (engine.last_health_at) {
            running_engine::write(one.last_health_ms, *engine.last_health_at);
            running_engine::write(one.last_probe_ms, *engine.last_health_at);
        }
        one.failures_in_a_row.store(0, std::memory_order_relaxed);
    }

    void remove(const engine_record& engine) {
        const auto ref = running_engine_ref::of(engine);
        auto& part = of(ref.hash);
        const std::unique_lock lock(part.mutex);
        part.engines.erase(ref.hash, ref);
    }

    /// Calls `look(running_engine&)`, which must not call this table and changes nothing but what is
    /// atomic; false if the engine is not running.
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
        visit(engine, [&](running_engine& one) {
            same = one.life == life;
            if (same) look(one);
        });
        return same;
    }

    /// The same for the first with this hash of which `is(running_engine)`.
    template <class Is, class Look>
    bool visit_first(std::uint64_t hash, const Is& is, const Look& look) const {
        auto& part = of(hash);
        const std::shared_lock lock(part.mutex);
        const auto* const one = part.engines.find(hash, is);
        if (one == nullptr) return false;
        look(**one);
        return true;
    }

    // An engine that was not used for a while is in no cache, and each step to it waits for memory.
    // An admit takes these steps while it waits for the store's.

    void prefetch_place(std::uint64_t hash) const noexcept { of(hash).engines.prefetch(hash); }

    void prefetch_engine(std::uint64_t hash) const {
        visit_first(
            hash, [](const running_engine&) { return true; },
            [](const running_engine& one) {
                __builtin_prefetch(&one);
                __builtin_prefetch(reinterpret_cast<const char*>(&one) + sizeof one - 1);
            });
    }

    /// When a running engine was last used; nothing if that is not known.
    [[nodiscard]] std::optional<instant> last_used(const engine_record& engine) const {
        std::optional<instant> out;
        visit(engine,
              [&](const running_engine& one) { out = running_engine::read(one.last_used_ms); });
        return out;
    }

    /// Notes that an engine is used, if it runs.
    void touch(const engine_record& engine, instant now) const {
        visit(engine, [&](running_engine& one) { one.use(now); });
    }

    /// Keeps the key of a running engine.
    void cache_key(const engine_record& engine, std::string_view key) const {
        const auto ref = running_engine_ref::of(engine);
        auto& part = of(ref.hash);
        const std::unique_lock lock(part.mutex);
        if (const auto* const one = part.engines.find(ref.hash, ref))
            (*one)->key.keep(key, engine.key_hash);
    }

    /// What was used since it was last written down.
    [[nodiscard]] std::vector<unwritten_use> unwritten() const {
        std::vector<unwritten_use> out;
        for (auto& part : shards_) {
            const std::shared_lock lock(part.mutex);
            part.engines.for_each([&](std::uint64_t hash, const running_engine& one) {
                const auto used = running_engine::read(one.last_used_ms);
                if (used && used != running_engine::read(one.last_written_ms))
                    out.push_back({{hash, one.id}, *used});
            });
        }
        return out;
    }

    void written(std::span<const unwritten_use> seen) const {
        for (const auto& use : seen)
            visit(use.engine,
                  [&](running_engine& one) { running_engine::write(one.last_written_ms, use.at); });
    }

private:
    struct alignas(64) shard {
        mutable std::shared_mutex mutex;
        hash_index<std::unique_ptr<running_engine>> engines;
        std::uint32_t lives = 0;

        running_engine& add(const running_engine_ref& ref) {
            if (auto* const known = engines.find(ref.hash, ref)) return **known;
            auto one = std::make_unique<running_engine>();
            one->id = ref.id;
            one->life = ++lives;
            return *engines.insert(ref.hash, std::move(one));
        }
    };

    shard& of(std::uint64_t hash) const noexcept { return shards_[hash % shards_.size()]; }

    mutable std::array<shard, 64> shards_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

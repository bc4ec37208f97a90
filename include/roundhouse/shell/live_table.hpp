#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/hash_index.hpp>
#include <roundhouse/shell/kept_key.hpp>
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

namespace roundhouse::inline ROUNDHOUSE_ABI::detail {

/// What is known of a running engine and changes too often to be written down each time.
struct live_engine {
    static constexpr auto never = std::numeric_limits<std::int64_t>::min();

    uuid id;
    std::uint32_t life = 0; ///< Another one each time that it begins to run.
    std::atomic<std::uint32_t> failures_in_a_row = 0;
    std::atomic<std::int64_t> last_used_ms = never;    ///< Wall time of the last admit or activity.
    std::atomic<std::int64_t> last_written_ms = never; ///< What the store knows of that.
    std::atomic<std::int64_t> last_health_ms = never;
    std::atomic<std::int64_t> last_probe_ms = never; ///< When the last probe was begun.
    std::atomic<std::int64_t> next_look_ms = never;  ///< Steady time at which it is looked at next.
    kept_key key; ///< Read under the table's lock, written while nobody reads.

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

/// Whether a live engine is the one that is looked for.
struct is_engine {
    const uuid& id;
    bool operator()(const live_engine& one) const noexcept { return one.id == id; }
};

/// The running engines. Thread-safe; a reader waits for a writer only while an engine of the same
/// shard comes or goes.
class live_table {
public:
    /// `healthy` is its last healthy answer, which stands for its first probe.
    void add(const uuid& engine, instant used, std::optional<instant> healthy) {
        auto& part = of(engine);
        const std::unique_lock lock(part.mutex);
        auto& one = part.add(engine);
        live_engine::write(one.last_used_ms, used);
        live_engine::write(one.last_written_ms, used);
        if (healthy) {
            live_engine::write(one.last_health_ms, *healthy);
            live_engine::write(one.last_probe_ms, *healthy);
        }
        one.failures_in_a_row.store(0, std::memory_order_relaxed);
    }

    void remove(const uuid& engine) {
        auto& part = of(engine);
        const std::unique_lock lock(part.mutex);
        part.engines.erase(hash_of(engine), is_engine{engine});
    }

    /// Calls `look(live_engine&)`, which must not call this table and changes nothing but what is
    /// atomic; false if the engine is not running.
    template <class Look> bool visit(const uuid& engine, const Look& look) const {
        auto& part = of(engine);
        const std::shared_lock lock(part.mutex);
        const auto* const one = part.engines.find(hash_of(engine), is_engine{engine});
        if (one == nullptr) return false;
        look(**one);
        return true;
    }

    /// The same for one life of the engine: false if it has begun another.
    template <class Look>
    bool visit(const uuid& engine, std::uint32_t life, const Look& look) const {
        bool same = false;
        visit(engine, [&](live_engine& one) {
            same = one.life == life;
            if (same) look(one);
        });
        return same;
    }

    /// When a running engine was last used; nothing if that is not known.
    [[nodiscard]] std::optional<instant> last_used(const uuid& engine) const {
        std::optional<instant> out;
        visit(engine, [&](const live_engine& one) { out = live_engine::read(one.last_used_ms); });
        return out;
    }

    /// Notes that an engine is used, if it runs.
    void touch(const uuid& engine, instant now) const {
        visit(engine, [&](live_engine& one) { one.use(now); });
    }

    /// Keeps the key of a running engine, whose SHA-256 is `hash`.
    void keep_key(const uuid& engine, std::string_view key, const sha256_digest& hash) const {
        auto& part = of(engine);
        const std::unique_lock lock(part.mutex);
        if (const auto* const one = part.engines.find(hash_of(engine), is_engine{engine}))
            (*one)->key.keep(key, hash);
    }

    /// What was used since it was last written down.
    [[nodiscard]] std::vector<engine_activity> unwritten() const {
        std::vector<engine_activity> out;
        for (auto& part : shards_) {
            const std::shared_lock lock(part.mutex);
            part.engines.for_each([&](const live_engine& one) {
                const auto used = live_engine::read(one.last_used_ms);
                if (used && used != live_engine::read(one.last_written_ms))
                    out.push_back({one.id, *used});
            });
        }
        return out;
    }

    void written(std::span<const engine_activity> seen) const {
        for (const auto& what : seen)
            visit(what.engine_id,
                  [&](live_engine& one) { live_engine::write(one.last_written_ms, what.at); });
    }

private:
    struct alignas(64) shard {
        mutable std::shared_mutex mutex;
        hash_index<std::unique_ptr<live_engine>> engines;
        std::uint32_t lives = 0;

        live_engine& add(const uuid& engine) {
            if (auto* const known = engines.find(hash_of(engine), is_engine{engine}))
                return **known;
            auto one = std::make_unique<live_engine>();
            one->id = engine;
            one->life = ++lives;
            return *engines.insert(hash_of(engine), std::move(one));
        }
    };

    static std::uint64_t hash_of(const uuid& engine) noexcept { return std::hash<uuid>{}(engine); }

    shard& of(const uuid& engine) const noexcept {
        return shards_[engine.bytes.back() % shards_.size()];
    }

    mutable std::array<shard, 64> shards_;
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI::detail

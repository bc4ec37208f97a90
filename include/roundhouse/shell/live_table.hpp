#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

namespace roundhouse::inline ROUNDHOUSE_ABI::detail {

/// What is known of a running engine and changes too often to be written down each time.
struct live_engine {
    static constexpr auto never = std::numeric_limits<std::int64_t>::min();

    std::atomic<std::int64_t> last_used_ms = never;    ///< Wall time of the last admit or activity.
    std::atomic<std::int64_t> last_written_ms = never; ///< What the store knows of that.
    std::atomic<std::int64_t> last_health_ms = never;
    std::atomic<std::int64_t> last_probe_ms = never; ///< When the last probe was begun.
    std::atomic<std::uint32_t> failures_in_a_row = 0;

    static std::optional<instant> read(const std::atomic<std::int64_t>& from) noexcept {
        const auto ms = from.load(std::memory_order_relaxed);
        if (ms == never) return std::nullopt;
        return instant{duration{ms}};
    }
    static void write(std::atomic<std::int64_t>& to, instant at) noexcept {
        to.store(at.time_since_epoch().count(), std::memory_order_relaxed);
    }
};

/// The running engines. Thread-safe; a reader waits for a writer only while an engine of the same
/// shard comes or goes.
class live_table {
public:
    /// `healthy` is its last healthy answer, which stands for its first probe.
    void add(const uuid& engine, instant used, std::optional<instant> healthy) {
        auto& part = of(engine);
        const std::unique_lock lock(part.mutex);
        auto& one = part.engines[engine];
        if (!one) one = std::make_shared<live_engine>();
        live_engine::write(one->last_used_ms, used);
        live_engine::write(one->last_written_ms, used);
        if (healthy) {
            live_engine::write(one->last_health_ms, *healthy);
            live_engine::write(one->last_probe_ms, *healthy);
        }
        one->failures_in_a_row.store(0, std::memory_order_relaxed);
    }

    void remove(const uuid& engine) {
        auto& part = of(engine);
        const std::unique_lock lock(part.mutex);
        part.engines.erase(engine);
    }

    /// Null if the engine is not running.
    [[nodiscard]] std::shared_ptr<live_engine> find(const uuid& engine) const {
        auto& part = of(engine);
        const std::shared_lock lock(part.mutex);
        const auto found = part.engines.find(engine);
        return found == part.engines.end() ? nullptr : found->second;
    }

    /// Notes that an engine is used; false if it is not among the running ones.
    bool touch(const uuid& engine, instant now) const {
        const auto one = find(engine);
        if (!one) return false;
        const auto known = live_engine::read(one->last_used_ms);
        if (!known || *known < now) live_engine::write(one->last_used_ms, now);
        return true;
    }

    /// What was used since it was last written down.
    [[nodiscard]] std::vector<engine_activity> unwritten() const {
        std::vector<engine_activity> out;
        for (auto& part : shards_) {
            const std::shared_lock lock(part.mutex);
            for (const auto& [id, one] : part.engines) {
                const auto used = live_engine::read(one->last_used_ms);
                if (used && used != live_engine::read(one->last_written_ms))
                    out.push_back({id, *used});
            }
        }
        return out;
    }

    void written(std::span<const engine_activity> seen) const {
        for (const auto& what : seen)
            if (const auto one = find(what.engine_id))
                live_engine::write(one->last_written_ms, what.at);
    }

private:
    struct shard {
        mutable std::shared_mutex mutex;
        std::unordered_map<uuid, std::shared_ptr<live_engine>> engines;
    };

    shard& of(const uuid& engine) const noexcept {
        return shards_[engine.bytes.back() % shards_.size()];
    }

    mutable std::array<shard, 64> shards_;
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI::detail

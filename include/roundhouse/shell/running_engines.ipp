#pragma once

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/shell/running_engines.hpp>

#include <algorithm>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL running_engines::~running_engines() {
    for (auto& part : shards_)
        part.engines.for_each([&](std::uint64_t /*hash*/, running_engine& engine) {
            running_engine::remove(pool_, &engine);
        });
}

ROUNDHOUSE_DECL bool running_engines::add(const engine_record& engine, const core::moment& then) {
    const auto ref = running_engine_ref::of(engine);
    auto& part = of(ref.hash);
    const std::unique_lock lock(mutex_);
    const bool begins = part.engines.find(ref.hash, ref) == nullptr;
    auto& running = add(part, engine);
    running_engine::write(running.last_used_ms, then.past_steady_at(engine.last_activity_at));
    running.use_is_stored.store(true, std::memory_order_relaxed);
    if (engine.healthy_since)
        running_engine::write(running.healthy_since_ms, then.past_steady_at(*engine.healthy_since));
    if (const auto before = part.suspended.extract(engine.id)) {
        const auto& times = before.mapped();
        running_engine::raise(running.last_used_ms, duration{times.last_used_ms});
        running.leased_until_ms.store(times.leased_until_ms, std::memory_order_relaxed);
        if (engine.healthy_since == times.healthy_since)
            running.healthy_since_ms.store(times.healthy_since_ms, std::memory_order_relaxed);
    } else if (engine.busy_until > then.wall) {
        running_engine::write(running.leased_until_ms, std::min(then.steady_at(engine.busy_until),
                                                                then.steady + core::longest_lease));
    }
    if (engine.last_health_at) {
        running_engine::write(running.last_health_ms, engine.last_health_at->time_since_epoch());
        const auto at = then.past_steady_at(*engine.last_health_at);
        running_engine::write(running.health_row_ms, at);
        running_engine::write(running.last_probe_ms, at);
    }
    running.last_probe_failed.store(false, std::memory_order_relaxed);
    return begins;
}

ROUNDHOUSE_DECL void running_engines::follow(const engine_record& before,
                                             const engine_record& after, const core::moment& then) {
    visit(after, [&](running_engine& running) {
        if (after.busy_until != before.busy_until)
            running_engine::raise(running.leased_until_ms, then.steady_at(after.busy_until));
        if (after.last_health_at && after.last_health_at != before.last_health_at)
            running_engine::write(running.health_row_ms,
                                  then.past_steady_at(*after.last_health_at));
    });
}

ROUNDHOUSE_DECL bool running_engines::suspend(const engine_record& engine) {
    const auto ref = running_engine_ref::of(engine);
    auto& part = of(ref.hash);
    const std::unique_lock lock(mutex_);
    const auto* const running = part.engines.find(ref.hash, ref);
    if (running == nullptr) return false;
    part.suspended[engine.id] = {(*running)->last_used_ms.load(std::memory_order_relaxed),
                                 (*running)->leased_until_ms.load(std::memory_order_relaxed),
                                 engine.healthy_since,
                                 (*running)->healthy_since_ms.load(std::memory_order_relaxed)};
    return erase(part, ref);
}

ROUNDHOUSE_DECL bool running_engines::remove(const engine_record& engine) {
    const auto ref = running_engine_ref::of(engine);
    auto& part = of(ref.hash);
    const std::unique_lock lock(mutex_);
    part.suspended.erase(engine.id);
    return erase(part, ref);
}

ROUNDHOUSE_DECL std::optional<duration>
running_engines::last_used(const engine_record& engine) const {
    std::optional<duration> out;
    visit(engine,
          [&](const running_engine& running) { out = running_engine::read(running.last_used_ms); });
    return out;
}

ROUNDHOUSE_DECL std::optional<duration>
running_engines::leased_until(const engine_record& engine) const {
    std::optional<duration> out;
    visit(engine, [&](const running_engine& running) {
        out = running_engine::read(running.leased_until_ms);
    });
    return out;
}

ROUNDHOUSE_DECL std::optional<duration> running_engines::healthy_for(const engine_record& engine,
                                                                     duration steady_now) const {
    if (!engine.healthy_since) return std::nullopt;
    const auto ref = running_engine_ref::of(engine);
    auto& part = of(ref.hash);
    const striped_mutex::reading lock(mutex_);
    std::optional<duration> since;
    if (const auto* const running = part.engines.find(ref.hash, ref))
        since = running_engine::read((*running)->healthy_since_ms);
    else if (const auto known = part.suspended.find(engine.id);
             known != part.suspended.end() && known->second.healthy_since == engine.healthy_since)
        since = duration{known->second.healthy_since_ms};
    if (!since) return std::nullopt;
    return steady_now - *since;
}

ROUNDHOUSE_DECL std::optional<duration>
running_engines::since_health_row(const engine_record& engine, duration steady_now) const {
    std::optional<duration> at;
    visit(engine,
          [&](const running_engine& running) { at = running_engine::read(running.health_row_ms); });
    if (!at) return std::nullopt;
    return steady_now - *at;
}

ROUNDHOUSE_DECL std::optional<instant>
running_engines::last_health(const engine_record& engine) const {
    auto at = engine.last_health_at;
    visit(engine, [&](const running_engine& running) { at = running.last_health(); });
    return at;
}

ROUNDHOUSE_DECL bool running_engines::use(const engine_record& engine, duration steady_now,
                                          engine_use by) const {
    return visit(engine, [&](running_engine& running) { running.use(steady_now, by); });
}

ROUNDHOUSE_DECL std::optional<running_engine_row>
running_engines::row_of(const running_engine_owner& owner) const {
    std::optional<running_engine_row> out;
    visit_first(owner.hash, owner, [&](const running_engine& running) {
        if (const auto row = running.row()) out = {{owner.hash, running.id}, running.life, *row};
    });
    return out;
}

ROUNDHOUSE_DECL void running_engines::keep(const running_engine_row& row,
                                           const engine_record& engine,
                                           std::string_view key) const {
    auto& part = of(row.engine.hash);
    cached_key decoded; // before the lock, which holds off all readers
    if (!decoded.keep(key)) return;
    const std::unique_lock lock(mutex_);
    const auto* const running = part.engines.find(row.engine.hash, row.engine);
    if (running == nullptr || (*running)->life != row.life) return;
    (*running)->keep(row.row, engine.port, decoded);
}

ROUNDHOUSE_DECL std::vector<unstored_use> running_engines::unstored() const {
    std::vector<unstored_use> out;
    std::vector<std::uint64_t> hashes;
    for (const auto& part : shards_) {
        // Engines are in no cache. To look at those of a whole part under one lock would hold off
        // whoever waits to write, and with it all readers, for milliseconds.
        hashes.clear();
        {
            const striped_mutex::reading lock(mutex_);
            part.engines.for_each(
                [&](std::uint64_t hash, const running_engine&) { hashes.push_back(hash); });
        }
        for (const auto hash : hashes) {
            std::optional<unstored_use> found; // of an owner's two engines, one is about to go
            const auto is_unstored = [](const running_engine& running) {
                return !running.use_is_stored.load(std::memory_order_relaxed);
            };
            visit_first(hash, is_unstored, [&](const running_engine& running) {
                if (const auto used = running_engine::read(running.last_used_ms))
                    found = {{hash, running.id}, *used};
            });
            if (found) out.push_back(*found);
        }
    }
    std::ranges::sort(out, {}, [](const unstored_use& use) { return use.engine.id; });
    return out;
}

ROUNDHOUSE_DECL void running_engines::stored(std::span<const unstored_use> uses) const {
    for (const auto& use : uses)
        visit(use.engine, [&](running_engine& running) {
            running.use_is_stored.store(true, std::memory_order_relaxed);
            // A use that came meanwhile is still to be stored.
            if (running_engine::read(running.last_used_ms) != use.at)
                running.use_is_stored.store(false, std::memory_order_relaxed);
        });
}

ROUNDHOUSE_DECL running_engine& running_engines::add(shard& part, const engine_record& engine) {
    const auto ref = running_engine_ref::of(engine);
    if (auto* const known = part.engines.find(ref.hash, ref)) return **known;
    auto& [kind, engines] = *kinds_.try_emplace({engine.product_id, engine.version}).first;
    ++engines;
    return *part.engines.insert(ref.hash, running_engine::make(pool_, engine, kind, ++part.lives));
}

ROUNDHOUSE_DECL bool running_engines::erase(shard& part, const running_engine_ref& engine) {
    auto* const erased = part.engines.erase(engine.hash, engine);
    if (erased == nullptr) return false;
    const auto kind = kinds_.find(erased->kind);
    running_engine::remove(pool_, erased);
    if (--kind->second == 0) kinds_.erase(kind);
    return true;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

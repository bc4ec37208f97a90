#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/brakes.hpp>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Takes a step of a product's brake, and notes what it changes.
template <class Step> void brakes::step(const uuid& product, const Step& take) {
    const std::lock_guard lock(mutex_);
    const auto known = products_.try_emplace(product, services_.settings).first;
    auto& brake = known->second;
    take(brake);
    if (const auto change = brake.take_change()) note(product, *change);
    if (brake.idle()) products_.erase(known);
}

ROUNDHOUSE_DECL void brakes::began(const engine_record& engine) {
    step(engine.product_id, [](core::brake& brake) { brake.began(); });
}

ROUNDHOUSE_DECL void brakes::ended(const engine_record& engine) {
    step(engine.product_id, [&](core::brake& brake) { brake.ended(engine.id); });
}

ROUNDHOUSE_DECL void brakes::left(const engine_record& engine) {
    step(engine.product_id, [&](core::brake& brake) { brake.left(engine.id); });
}

ROUNDHOUSE_DECL void brakes::passed(const engine_record& engine) {
    step(engine.product_id, [&](core::brake& brake) { brake.passed(engine.id); });
}

ROUNDHOUSE_DECL core::failed_probe brakes::failed(const engine_record& engine) {
    core::failed_probe out;
    step(engine.product_id,
         [&](core::brake& brake) { out = brake.failed(engine.id, services_.moment()); });
    return out;
}

ROUNDHOUSE_DECL core::brake_state brakes::state_of(const engine_record& engine) const {
    const std::lock_guard lock(mutex_);
    const auto known = products_.find(engine.product_id);
    return known == products_.end() ? core::brake_state::off : known->second.state_of(engine.id);
}

ROUNDHOUSE_DECL std::optional<brake_status> brakes::status(const uuid& product) const {
    const std::lock_guard lock(mutex_);
    const auto known = products_.find(product);
    return known == products_.end() ? std::nullopt : known->second.status();
}

ROUNDHOUSE_DECL std::vector<braked_product> brakes::status_of_all() const {
    std::vector<braked_product> out;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [product, brake] : products_)
            if (const auto status = brake.status()) out.push_back({product, {}, *status});
    }
    std::ranges::sort(out, {}, &braked_product::id);
    return out;
}

// Reports

ROUNDHOUSE_DECL void brakes::note(const uuid& product, const core::brake_change& change) {
    const report what{product, change, services_.moment()};
    unlogged_.push_back(what);
    if (unstored_.size() < services_.settings.max_unstored_brake_rows)
        unstored_.push_back(row_of(what));
    begin_reporting();
}

ROUNDHOUSE_DECL void brakes::begin_reporting() {
    if (!std::exchange(reporting_, true)) services_.tasks.run(report_all());
}

ROUNDHOUSE_DECL void brakes::store() {
    const std::lock_guard lock(mutex_);
    if (!unstored_.empty()) begin_reporting();
}

/// One at a time, so that the rows are stored in the order of the changes.
ROUNDHOUSE_DECL asio::awaitable<void> brakes::report_all() {
    bool refused = false;
    do {
        auto logging = log_all();
        co_await std::move(logging);
        auto storing = store_all();
        const bool stored = co_await std::move(storing);
        refused = !stored;
    } while (!reported(refused));
}

ROUNDHOUSE_DECL asio::awaitable<void> brakes::log_all() {
    while (const auto what = next_unlogged()) {
        pending_result<product_ptr> pending;
        services_.store->read_product(to_string(what->product), pending.complete());
        auto reading = pending.wait();
        const auto found = co_await std::move(reading);
        log(*what, found && *found ? (*found)->slug : to_string(what->product));
    }
}

/// False if the store refuses. What is left is stored with the next change, or by `store`.
ROUNDHOUSE_DECL asio::awaitable<bool> brakes::store_all() {
    while (auto row = first_unstored()) {
        change_set changes;
        changes.audit.push_back(std::move(*row));
        pending_result<committed> pending;
        services_.store->commit(std::move(changes), pending.complete());
        auto committing = pending.wait();
        const auto done = co_await std::move(committing);
        if (!done) co_return false;
        forget_first_unstored();
    }
    co_return true;
}

ROUNDHOUSE_DECL bool brakes::reported(bool store_refused) {
    const std::lock_guard lock(mutex_);
    const bool done = unlogged_.empty() && (store_refused || unstored_.empty());
    if (done) reporting_ = false;
    return done;
}

ROUNDHOUSE_DECL std::optional<brakes::report> brakes::next_unlogged() {
    const std::lock_guard lock(mutex_);
    if (unlogged_.empty()) return std::nullopt;
    auto out = std::move(unlogged_.front());
    unlogged_.pop_front();
    return out;
}

ROUNDHOUSE_DECL std::optional<audit_entry> brakes::first_unstored() {
    const std::lock_guard lock(mutex_);
    if (unstored_.empty()) return std::nullopt;
    return unstored_.front();
}

ROUNDHOUSE_DECL void brakes::forget_first_unstored() {
    const std::lock_guard lock(mutex_);
    unstored_.pop_front();
}

ROUNDHOUSE_DECL void brakes::log(const report& what, const std::string& product) const {
    const auto& change = what.change;
    if (change.on)
        return services_.log(
            log_level::error,
            "the brake is on: many engines of a product fail their probes, so that the cause may "
            "be "
            "what they share, such as their model provider; failed probes restart none of them "
            "until "
            "fewer fail, exits still do: see what the engines answer to GET /health, and mend that",
            {{"product", product}, {"failing", change.failing}, {"running", change.running}});
    services_.log(log_level::warning,
                  change.by_trial
                      ? "the brake is off: an engine that was restarted stays healthy, "
                        "while others fail their probes"
                      : "the brake is off: few engines of the product fail their probes",
                  {{"product", product}, {"failing", change.failing}, {"running", change.running}});
}

ROUNDHOUSE_DECL audit_entry brakes::row_of(const report& what) {
    const auto& change = what.change;
    audit_entry row;
    row.timestamp = what.at.wall;
    row.product_id = what.product;
    row.action = change.on ? audit_action::brake_on : audit_action::brake_off;
    row.actor = "system";
    row.metadata = {{"failing", static_cast<std::int64_t>(change.failing)},
                    {"running", static_cast<std::int64_t>(change.running)}};
    if (change.on) return row;
    row.metadata.emplace_back("trial", change.by_trial);
    row.took = what.at.steady - change.since.steady;
    return row;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

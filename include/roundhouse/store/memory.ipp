#pragma once

#include <roundhouse/core/store_plan.hpp>
#include <roundhouse/detail/store_rules.hpp>
#include <roundhouse/store/memory.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

ROUNDHOUSE_DECL memory_store::memory_store(std::size_t max_audit_rows)
    : memory_store(max_audit_rows, core::plan_commit) {}

ROUNDHOUSE_DECL memory_store::~memory_store() = default;

ROUNDHOUSE_DECL result<product_ptr>
memory_store::find_product_named(std::string_view id_or_slug) const {
    const detail::striped_mutex::reading lock(mutex_);
    if (const auto id = parse_uuid(id_or_slug)) return rows_.find_product(*id);
    return rows_.find_product_by_slug(std::string(id_or_slug));
}

ROUNDHOUSE_DECL result<product_ptr> memory_store::find_product_by_id(const uuid& id) const {
    return recent_products_.find(id, [&] {
        const detail::striped_mutex::reading lock(mutex_);
        return rows_.find_product(id);
    });
}

ROUNDHOUSE_DECL result<product_page> memory_store::list_products(const product_query& query) const {
    const detail::striped_mutex::reading lock(mutex_);
    return rows_.list_products(query);
}

ROUNDHOUSE_DECL result<engine_ptr> memory_store::find_engine_by_id(const uuid& id) const {
    const detail::striped_mutex::reading lock(mutex_);
    return rows_.find_engine_by_id(id);
}

ROUNDHOUSE_DECL result<engine_page> memory_store::list_engines(const engine_query& query) const {
    const detail::striped_mutex::reading lock(mutex_);
    return rows_.list_engines(query);
}

ROUNDHOUSE_DECL result<void>
memory_store::for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const {
    const detail::striped_mutex::reading lock(mutex_);
    rows_.visit_engines(visit);
    return {};
}

ROUNDHOUSE_DECL result<fleet_counts> memory_store::counts(const uuid& product) const {
    const detail::striped_mutex::reading lock(mutex_);
    return rows_.counts(product);
}

ROUNDHOUSE_DECL result<fleet_counts> memory_store::counts_of_all() const {
    const detail::striped_mutex::reading lock(mutex_);
    return rows_.counts_of_all();
}

ROUNDHOUSE_DECL result<audit_page> memory_store::audit(const audit_query& query) const {
    const detail::striped_mutex::reading lock(mutex_);
    return audit_.page(query);
}

ROUNDHOUSE_DECL result<void>
memory_store::for_each_audit(instant since,
                             const std::function<void(const result<audit_entry>&)>& visit) const {
    const detail::striped_mutex::reading lock(mutex_);
    audit_.visit(since, visit);
    return {};
}

ROUNDHOUSE_DECL result<idempotency_ptr>
memory_store::find_idempotency(const idempotency_id& id) const {
    const detail::striped_mutex::reading lock(mutex_);
    return idempotency_.find(id);
}

ROUNDHOUSE_DECL result<void> memory_store::for_each_idempotency(
    const std::function<void(const result<idempotency_ptr>&)>& visit) const {
    const detail::striped_mutex::reading lock(mutex_);
    idempotency_.visit(visit);
    return {};
}

ROUNDHOUSE_DECL result<committed> memory_store::commit(const change_set& set) {
    const std::lock_guard writing(commit_mutex_);
    auto plan = plan_(set, rows_);
    if (!plan) return unexpected(std::move(plan.error()));
    auto checked = core::check_conditions(
        *plan, rows_, [this](const auto& condition) { return rows_.holds(condition); });
    if (!checked) return unexpected(std::move(checked.error()));
    auto sequence = last_sequence_;
    detail::port_search ports(next_port_,
                              [this](std::uint16_t port) { return rows_.holds_port(port); });
    const auto made = core::make_rows(*plan, sequence, ports);
    if (!made) return unexpected(made.error());
    last_sequence_ = sequence;
    next_port_ = ports.next();
    return apply(std::move(*plan), *made);
}

ROUNDHOUSE_DECL result<void> memory_store::note_activity(std::span<const engine_activity> seen) {
    const std::lock_guard writing(commit_mutex_);
    const std::unique_lock lock(mutex_);
    for (const auto& [id, at] : seen) {
        const auto engine = rows_.find_engine_by_id(id);
        if (!engine || engine->last_activity_at >= at) continue;
        auto noted = *engine;
        noted.last_activity_at = at;
        rows_.put(std::make_shared<const engine_record>(std::move(noted)));
    }
    return {};
}

ROUNDHOUSE_DECL result<std::size_t> memory_store::prune_audit(instant before, std::size_t most) {
    const std::lock_guard writing(commit_mutex_);
    const std::unique_lock lock(mutex_);
    return audit_.prune(before, most);
}

ROUNDHOUSE_DECL result<std::size_t> memory_store::prune_idempotency(instant before,
                                                                    std::size_t most) {
    const std::lock_guard writing(commit_mutex_);
    const std::unique_lock lock(mutex_);
    return idempotency_.prune(before, most);
}

ROUNDHOUSE_DECL memory_store::memory_store(std::size_t max_audit_rows, core::plan_function& plan)
    : plan_(plan), audit_(max_audit_rows) {}

ROUNDHOUSE_DECL committed memory_store::apply(core::store_plan plan,
                                              std::span<const engine_ptr> made) {
    const std::unique_lock lock(mutex_);
    for (const auto& write : plan.products) rows_.apply(write);
    if (!plan.products.empty()) recent_products_.changed();
    for (std::size_t i = 0; i < made.size(); ++i)
        rows_.apply(plan.engines[i], core::replaced_by(plan.engines[i], made), made[i]);
    for (auto& record : plan.idempotency) idempotency_.put(std::move(record));
    for (const auto& write : plan.products) {
        if (write.row) continue;
        rows_.forget_fleet(write.replaces->id);
        idempotency_.forget(write.replaces->id);
    }
    auto done = core::answer_of(made);
    for (auto& row : plan.audit) done.audit_ids.push_back(audit_.append(std::move(row)));
    if (plan.amend) audit_.apply(std::move(*plan.amend));
    audit_.trim();
    return done;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/store/lmdb.hpp>

#include <map>
#include <ostream>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace roundhouse_tests {

/// Writes all that a store answers, as text. Compiles with each version of Roundhouse, so that what
/// an old version wrote can be compared with what the present one reads.
class store_dump {
public:
    store_dump(std::ostream& out, const roundhouse::lmdb_store& store) : out_(out), store_(store) {}

    void write(const std::vector<std::string>& slugs) {
        for (const auto& slug : slugs) write_product(slug);
        write_engines();
        write_audit();
    }

private:
    static std::string text(roundhouse::instant at) {
        return std::to_string(at.time_since_epoch().count());
    }
    static std::string text(const std::optional<roundhouse::instant>& at) {
        return at ? text(*at) : "-";
    }
    static std::string reason_of(const auto& engine) {
        if constexpr (requires { engine.reason; }) return engine.reason;
        else return engine.failure; // its first name
    }

    void write_product(const std::string& slug) {
        const auto product = roundhouse::or_throw(store_.find_product_named(slug));
        if (!product) return void(out_ << "product " << slug << " missing\n");
        const auto by_key = roundhouse::or_throw(store_.find_product(product->keys.at(0).hash));
        out_ << "product " << slug << ' ' << to_string(product->id) << " '" << product->display_name
             << "' key " << roundhouse::to_hex(product->keys.at(0).hash)
             << (by_key && by_key->id == product->id ? "" : " not found by its key") << " created "
             << text(product->created_at) << " revision " << product->revision << " limits";
        const auto& limits = product->policy;
        if (limits.max_engines) out_ << " engines " << *limits.max_engines;
        if (limits.rate_limit_rpm) out_ << " rpm " << *limits.rate_limit_rpm;
        if (limits.rate_limit_burst) out_ << " burst " << *limits.rate_limit_burst;
        if (limits.max_concurrent_boots) out_ << " boots " << *limits.max_concurrent_boots;
        if (limits.max_provisions_per_minute)
            out_ << " provisions " << *limits.max_provisions_per_minute;
        if (limits.weight) out_ << " weight " << *limits.weight;
        if (limits.allow_provision) out_ << " provision " << *limits.allow_provision;
        if (limits.allowed_versions) {
            out_ << " versions";
            for (const auto& version : *limits.allowed_versions) out_ << " '" << version << '\'';
        }
        const auto counts = roundhouse::or_throw(store_.counts(product->id));
        out_ << "\n  counts";
        for (const auto count : counts.by_status) out_ << ' ' << count;
        out_ << " provisions " << counts.total_provisions << " destroys " << counts.total_destroys;
        for (const auto status : roundhouse::all_engine_statuses) {
            const auto page = roundhouse::or_throw(
                store_.list_engines({product->id, status, 0, 1000}));
            out_ << "\n  " << name_of(status) << ' ' << page.total << ':';
            for (const auto& engine : page.engines) out_ << ' ' << engine->sequence;
        }
        const auto rows = roundhouse::or_throw(
            store_.audit({product->id, "user-1", {}, {}, {}, {}, {}, 1000}));
        out_ << "\n  audit of user-1:";
        for (const auto& row : rows.entries) out_ << ' ' << row.id;
        out_ << '\n';
    }

    void write_engines() {
        std::map<std::uint64_t, roundhouse::engine_ptr> engines;
        roundhouse::or_throw(store_.for_each_engine([&](const auto& found) {
            const auto& engine = roundhouse::or_throw(found);
            engines[engine->sequence] = engine;
        }));
        for (const auto& [sequence, engine] : engines) write_engine(*engine);
    }

    void write_engine(const roundhouse::engine_record& engine) {
        const auto by_owner = roundhouse::or_throw(
            store_.find_engine(engine.product_id, engine.user_id));
        const auto by_id = roundhouse::or_throw(store_.find_engine_by_id(engine.id));
        out_ << "engine " << engine.sequence << ' ' << to_string(engine.id) << " of "
             << to_string(engine.product_id) << ' ' << engine.user_id << " '" << engine.version
             << "' " << name_of(engine.status) << '/' << name_of(engine.intent) << " boot "
             << static_cast<int>(engine.boot) << " origin " << name_of(engine.origin)
             << " revision " << engine.revision << " generation " << engine.generation << " port "
             << engine.port << "\n  key " << roundhouse::to_hex(engine.key_hash) << ' '
             << engine.sealed_key << "\n  next " << roundhouse::to_hex(engine.next_key_hash) << ' '
             << engine.next_sealed_key << "\n  created " << text(engine.created_at) << " operation "
             << text(engine.operation_started_at) << " health " << text(engine.last_health_at)
             << " activity " << text(engine.last_activity_at) << " busy " << text(engine.busy_until)
             << " deadline " << text(engine.deadline) << " restart " << text(engine.restart_at)
             << " healthy " << text(engine.healthy_since) << " attempts " << engine.restart_attempts
             << " retries " << engine.retries << " reason '" << reason_of(engine) << "'"
             << (by_owner && by_owner->id == engine.id ? "" : " not found by its owner")
             << (by_id && by_id->sequence == engine.sequence ? "" : " not found by its id") << '\n';
    }

    void write_audit() {
        roundhouse::or_throw(store_.for_each_audit(roundhouse::instant{}, [&](const auto& found) {
            const auto& row = roundhouse::or_throw(found);
            out_ << "audit " << row.id << ' ' << text(row.timestamp) << ' '
                 << (row.product_id ? to_string(*row.product_id) : "-") << ' '
                 << row.user_id.value_or("-") << ' '
                 << (row.engine_id ? to_string(*row.engine_id) : "-") << ' ' << name_of(row.action)
                 << " by " << row.actor;
            for (const auto& [name, value] : row.metadata) {
                out_ << ' ' << name << '=';
                std::visit([&](const auto& fact) { out_ << fact; }, value);
            }
            if (row.took) out_ << " took " << row.took->count();
            if (row.from) out_ << " from " << name_of(*row.from);
            if (row.to) out_ << " to " << name_of(*row.to);
            out_ << '\n';
        }));
    }

    std::ostream& out_;
    const roundhouse::lmdb_store& store_;
};

} // namespace roundhouse_tests

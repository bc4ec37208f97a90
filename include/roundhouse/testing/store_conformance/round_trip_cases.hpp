#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Cases about the members of records: each is stored and returned unchanged.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::round_trip_cases {

using namespace samples;

/// All 256 bytes, none of which may end or change a string.
inline std::string every_byte() {
    std::string out;
    for (int byte = 0; byte < 256; ++byte) out += static_cast<char>(byte);
    return out;
}

/// Settings in which no two members of one type are equal.
inline engine_settings full_settings() {
    engine_settings out;
    out.env_names = {"API_TOKEN", "_x1"};
    out.sealed_env = std::string(184, 'e');
    out.metadata = {{every_byte(), ""}, {"plan", every_byte()}, {"tier", "J\xC3\xBCrgen"}};
    out.limits = {.memory_mb = 512, .cpus = 0.1, .pids = std::numeric_limits<std::uint64_t>::max()};
    out.stop_grace = duration{1'234};
    out.sleep = {.after = duration{5'678}, .deep_after = duration{6'789}, .pinned = true};
    out.revision = 3;
    out.pending = {.env = true,
                   .limits = false,
                   .stop_grace = true,
                   .version = true,
                   .sealed_env = std::string(188, 'f'),
                   .limits_before = {.memory_mb = 513, .cpus = 0.2, .pids = 7},
                   .stop_grace_before = duration{2'345},
                   .version_before = "v 0"};
    return out;
}

/// Defaults in which no two members of one type are equal.
inline product_defaults full_defaults() {
    product_defaults out;
    out.version = "v1";
    out.settings = full_settings();
    out.settings.pending = {};
    out.settings.revision = 12;
    out.env_changed = 9;
    out.limits_changed = 10;
    out.stop_grace_changed = 11;
    out.former.push_back({.first_revision = 6,
                          .last_revision = 7,
                          .env_names = {"OLD"},
                          .sealed_env = std::string(192, 'g'),
                          .limits = {.memory_mb = 7, .cpus = 0.7, .pids = 77},
                          .stop_grace = duration{777}});
    out.former.push_back({.first_revision = 8, .last_revision = 11});
    return out;
}

/// An upgrade in which no two members of one type are equal.
inline engine_upgrade full_upgrade() {
    return {.step = upgrade_step::revert,
            .from_version = "v1",
            .to_version = every_byte(),
            .healthy_for = duration{9'876},
            .keep_copy = true,
            .has_copy = false,
            .drops_copy = true,
            .failure = "it " + every_byte(),
            .cause = boot_failure::copy,
            .exit = {-3, 9, true}};
}

/// A record in which no two members of one type are equal, so that exchanged members are noticed.
inline engine_record full_engine() {
    engine_record out = engine(1, "J\xC3\xBCrgen \xF0\x9F\x9A\x82");
    out.version = "registry.example/engine:1.2.3";
    out.status = engine_status::failed;
    out.intent = intent::rotate;
    out.boot = boot_reason::recover;
    out.origin = engine_status::sleeping;
    out.sleep_mode = sleep_mode::stopped;
    out.last_exit = {std::numeric_limits<std::int32_t>::min(), 64, true};
    out.restarts = 11;
    out.defaults_revision = 14'000;
    out.reserved_memory_mb = std::uint64_t{1} << 40U;
    out.generation = std::numeric_limits<std::uint64_t>::max();
    out.key_hash.fill(0xA1);
    out.sealed_key = std::string(180, 'k');
    out.next_key_hash.fill(0xB2);
    out.next_sealed_key = std::string(181, 'n');
    out.created_at = at(1'790'000'000'001);
    out.operation_started_at = at(1'790'000'000'002);
    out.last_health_at = at(1'790'000'000'003);
    out.last_activity_at = at(1'790'000'000'004);
    out.busy_until = at(1'790'000'000'005);
    out.sleeping_since = at(1'790'000'000'010);
    out.asked_by = "admin:jo";
    out.deadline = at(1'790'000'000'006);
    out.restart_at = at(1'790'000'000'007);
    out.healthy_since = at(-8);
    out.restart_attempts = std::numeric_limits<std::uint32_t>::max();
    out.retries = 9;
    out.reason = every_byte();
    out.settings = std::make_shared<const engine_settings>(full_settings());
    out.upgrade = std::make_shared<const engine_upgrade>(full_upgrade());
    return out;
}

/// Commits a record as an insert or update, and requires that it is returned and found unchanged.
template <store Store>
engine_record require_kept(Store& store, const change_set& set, engine_record wanted) {
    const auto done = must(store.commit(set));
    require(done.engines.size() == 1, "a commit returns the row that it put");
    wanted.revision += 1;
    wanted.sequence = done.engines[0]->sequence;
    require_same(*done.engines[0], wanted, "the commit returns the row as it is stored");
    require_same(must_have(store.find_engine(demo, wanted.user_id)), wanted, "found by its user");
    require_same(must_have(store.find_engine_by_id(wanted.id)), wanted, "found by its id");
    return wanted;
}

template <store Store> void engines_as_they_were(Store& store) {
    const auto plain = engine(2, "ada");
    auto stored = require_kept(store, insert(plain), plain);
    auto full = full_engine();
    const auto asked = insert(full, {}, ports(65535, 65535));
    full.port = 65535;
    require_kept(store, asked, full);
    full.id = stored.id;
    full.user_id = stored.user_id;
    full.port = stored.port;
    full.revision = stored.revision;
    stored = require_kept(store, update(full), full);
    auto cleared = plain;
    cleared.revision = stored.revision;
    require_kept(store, update(cleared), cleared);
}

template <store Store> void each_optional_time_by_itself(Store& store) {
    const std::array members{&engine_record::last_health_at, &engine_record::deadline,
                             &engine_record::restart_at, &engine_record::healthy_since};
    std::uint32_t n = 0;
    for (const auto member : members) {
        auto record = nth_engine(++n);
        record.*member = at(0);
        require_kept(store, insert(record), record);
    }
}

template <store Store> void each_exit_status_by_itself(Store& store) {
    std::vector<exit_status> ends(6);
    ends[0].exit_code = 0;
    ends[1].exit_code = -1;
    ends[2].signal = std::uint8_t{9};
    ends[3].out_of_memory = true;
    ends[4] = {137, 9, true};
    auto record = engine(1, "ada");
    record = require_kept(store, insert(record), record);
    for (const auto& end : ends) { // the last one is none
        record.last_exit = end;
        record = require_kept(store, update(record), record);
    }
}

template <store Store> void each_setting_by_itself(Store& store) {
    const auto all = full_settings();
    std::vector<engine_settings> chosen(20);
    chosen[0].env_names = all.env_names;
    chosen[1].sealed_env = "no base64url: ~";
    chosen[2].metadata = all.metadata;
    chosen[3].limits.memory_mb = 0;
    chosen[4].limits.cpus = -0.0;
    chosen[5].limits.pids = 1;
    chosen[6].stop_grace = duration{0};
    chosen[7].sleep.after = duration{0};
    chosen[8].sleep.pinned = false;
    chosen[9].sleep.pinned = true;
    chosen[10].revision = std::numeric_limits<std::uint64_t>::max();
    chosen[11].pending.env = true;
    chosen[12].pending.limits = true;
    chosen[13].pending.stop_grace = true;
    chosen[14].pending.sealed_env = "no base64url: ~";
    chosen[15].pending.limits_before.memory_mb = 0;
    chosen[16].pending.limits_before.cpus = -0.0;
    chosen[17].pending.stop_grace_before = duration{0};
    chosen[18].sleep.deep_after = duration{0};
    chosen[19].pending.version = true;
    chosen[19].pending.version_before = "v";
    std::uint32_t n = 0;
    for (const auto& settings : chosen) {
        auto record = nth_engine(++n);
        record.settings = std::make_shared<const engine_settings>(settings);
        record = require_kept(store, insert(record), record);
        record.settings = nullptr;
        require_kept(store, update(record), record);
    }
}

template <store Store> void each_upgrade_by_itself(Store& store) {
    std::vector<engine_upgrade> chosen(7);
    chosen[1].keep_copy = true;
    chosen[2].keep_copy = false;
    chosen[3].has_copy = true;
    chosen[4].drops_copy = true;
    chosen[5].healthy_for = duration{1};
    chosen[6].exit.signal = 9;
    for (const auto step : all_upgrade_steps) chosen.emplace_back().step = step;
    for (const auto cause : all_boot_failures) chosen.emplace_back().cause = cause;
    std::uint32_t n = 0;
    for (const auto& upgrade : chosen) {
        auto record = nth_engine(++n);
        record.upgrade = std::make_shared<const engine_upgrade>(upgrade);
        record = require_kept(store, insert(record), record);
        record.upgrade = nullptr;
        require_kept(store, update(record), record);
    }
}

template <store Store> void every_state(Store& store) {
    auto record = engine(1, "ada");
    record = require_kept(store, insert(record), record);
    for (const auto status : all_engine_statuses)
        for (const auto intent : all_intents) {
            record.status = record.origin = status;
            record.intent = intent;
            record.boot =
                all_boot_reasons[static_cast<std::size_t>(intent) % all_boot_reasons.size()];
            record = require_kept(store, update(record), record);
        }
}

template <store Store> void long_texts(Store& store) {
    auto record = engine(1, "ada");
    record = require_kept(store, insert(record), record);
    for (const std::size_t length : {1U, 255U, 256U, 2000U, 4096U, 100'000U, 1U}) {
        record.reason = std::string(length, 'f');
        record.version = std::string(length / 2, 'v');
        record = require_kept(store, update(record), record);
    }
}

template <store Store> void require_product_kept(Store& store, product wanted) {
    must(store.commit(put(wanted)));
    wanted.revision += 1;
    for (const auto& key : wanted.keys)
        require_same(must_have(store.find_product(key.hash)), wanted, "found by each of its keys");
    require_same(must_have(store.find_product_by_id(wanted.id)), wanted, "found by its id");
    require_same(must_have(store.find_product_named(wanted.slug)), wanted, "found by its slug");
    require_same(must_have(store.find_product_named(to_string(wanted.id))), wanted,
                 "found by its id");
}

template <store Store> void products_as_they_were(Store& store) {
    require_product_kept(store, tenant(1, "plain"));
    auto full = tenant(2, "full");
    full.display_name = every_byte();
    full.created_at = at(1'790'000'000'001);
    full.policy.max_engines = std::numeric_limits<std::uint64_t>::max();
    full.policy.rate_limit_rpm = 600;
    full.policy.rate_limit_burst = 60;
    full.policy.max_concurrent_boots = 7;
    full.policy.max_provisions_per_minute = 70;
    full.policy.weight = 17;
    full.policy.max_memory_mb = 512;
    full.policy.max_cpus = 0.1;
    full.policy.max_pids = 100;
    full.policy.max_total_memory_mb = 8'192;
    full.policy.allow_env = true;
    full.policy.allow_provision = false;
    full.policy.allowed_versions = std::vector<std::string>{"v1", "v2.*", "",
                                                            std::string(5000, 'v')};
    full.last_key_id = 5;
    full.keys.push_back({4, {}, at(7), at(8)});
    full.keys.back().hash.fill(0x44);
    full.keys.push_back({5, {}, at(9), {}, true});
    full.keys.back().hash.fill(0x55);
    require_product_kept(store, full);
    auto configured = tenant(3, "configured");
    configured.keys.front().configured = true;
    require_product_kept(store, configured);
    auto cleared = tenant(2, "full");
    cleared.revision = 1;
    require_product_kept(store, cleared);
}

template <store Store> void defaults_of_products(Store& store) {
    auto record = tenant(1, "demo");
    record.defaults = std::make_shared<const product_defaults>(full_defaults());
    require_product_kept(store, record);
    std::vector<product_defaults> chosen(7);
    chosen[1].version = "v1";
    chosen[2].settings.metadata = full_settings().metadata;
    chosen[3].env_changed = 1;
    chosen[4].limits_changed = 1;
    chosen[5].stop_grace_changed = 1;
    chosen[6].former.push_back({.last_revision = 1});
    for (std::uint32_t n = 0; n < chosen.size(); ++n) {
        auto other = tenant(n + 2, "product" + std::to_string(n));
        other.defaults = std::make_shared<const product_defaults>(chosen[n]);
        require_product_kept(store, other);
    }
}

template <store Store> void each_limit_by_itself(Store& store) {
    std::vector<policy> limits(15);
    limits[0].max_engines = 0;
    limits[1].rate_limit_rpm = 0;
    limits[2].allow_provision = false;
    limits[3].allow_provision = true;
    limits[4].allowed_versions.emplace();
    limits[5].allowed_versions.emplace(1, "");
    limits[6].max_concurrent_boots = 1;
    limits[7].max_provisions_per_minute = 0;
    limits[8].weight = 1;
    limits[9].rate_limit_burst = 1;
    limits[10].max_memory_mb = 6;
    limits[11].max_cpus = 0.01;
    limits[12].max_pids = 1;
    limits[13].max_total_memory_mb = 0;
    limits[14].allow_env = false;
    for (std::uint32_t n = 0; n < limits.size(); ++n) {
        auto record = tenant(n + 1, "product" + std::to_string(n));
        record.policy = limits[n];
        require_product_kept(store, record);
    }
}

inline metadata every_kind_of_fact() {
    return {{"text", "said"},
            {"empty", ""},
            {"bytes", every_byte()},
            {"long", std::string(6000, 'l')},
            {"least", std::numeric_limits<std::int64_t>::min()},
            {"most", std::numeric_limits<std::int64_t>::max()},
            {"zero", std::int64_t{0}},
            {"yes", true},
            {"no", false},
            {"text", "the same name twice"}};
}

/// Rows that each differ from an empty one in one member, and one that differs in all.
inline std::vector<audit_entry> rows_of_every_kind() {
    std::vector<audit_entry> rows(9);
    rows[1].user_id = "";
    rows[2].user_id = std::string(256, 'u');
    rows[3].engine_id = numbered(1);
    rows[4].took = duration(0);
    rows[5].from = engine_status::provisioning;
    rows[6].to = engine_status::destroying;
    rows[7].actor = every_byte();
    rows[8] = row(other, 1'790'000'000'001);
    rows[8].user_id = "ada";
    rows[8].engine_id = numbered(2);
    rows[8].action = audit_action::orphan_removed;
    rows[8].metadata = every_kind_of_fact();
    rows[8].took = duration(-5);
    rows[8].from = engine_status::failed;
    rows[8].to = engine_status::running;
    for (std::size_t i = 0; i < 8; ++i) rows[i].product_id = demo;
    rows.emplace_back(); // belongs to no product
    return rows;
}

template <store Store> void audit_rows_as_they_were(Store& store) {
    auto rows = rows_of_every_kind();
    const auto done = must(store.commit(audit(rows)));
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].id = done.audit_ids.at(i);
    std::vector<audit_entry> visited;
    must(store.for_each_audit(instant::min(), [&](const result<audit_entry>& entry) {
        if (entry) visited.push_back(*entry);
    }));
    require_same(visited, rows, "each row is visited as it was added");
    const auto page = must(store.audit(every_row(other)));
    require(page.entries.size() == 1, "the product has one row");
    require_same(page.entries[0], rows[8], "a row is listed as it was added");
}

template <store Store> void every_action(Store& store) {
    for (std::size_t i = 0; i < roundhouse::detail::audit_action_names.size(); ++i) {
        auto entry = row(demo, 1);
        entry.action = static_cast<audit_action>(i);
        must(store.commit(audit({entry})));
        auto query = every_row(demo);
        query.action = entry.action;
        const auto page = must(store.audit(query));
        require(page.entries.size() == 1 && page.entries[0].action == entry.action,
                "a row is found by its action");
    }
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"every member of an engine's record is kept", engines_as_they_were<Store>},
        {"each optional time of an engine is kept independently",
         each_optional_time_by_itself<Store>},
        {"each way in which a workload ends is kept", each_exit_status_by_itself<Store>},
        {"each member of an engine's settings is kept by itself", each_setting_by_itself<Store>},
        {"each member of an upgrade is kept by itself", each_upgrade_by_itself<Store>},
        {"every status, intent and boot reason is kept", every_state<Store>},
        {"texts of any length are kept", long_texts<Store>},
        {"every member of a product is kept", products_as_they_were<Store>},
        {"the defaults of a product are kept, whole and each member by itself",
         defaults_of_products<Store>},
        {"each limit of a policy is kept independently, also an empty list",
         each_limit_by_itself<Store>},
        {"every member of an audit row is kept", audit_rows_as_they_were<Store>},
        {"every action of an audit row is kept", every_action<Store>},
    };
}

} // namespace testing::round_trip_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

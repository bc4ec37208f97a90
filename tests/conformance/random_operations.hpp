#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/testing/record_text.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse_tests {

namespace rh = roundhouse;

/// A call of `prune_audit`.
struct prune {
    rh::instant before;
    std::size_t most = 0;
};

/// One call that changes a store.
using operation = std::variant<rh::change_set, prune>;

template <rh::store Store>
rh::result<rh::committed> apply(Store& store, const rh::change_set& set) {
    return store.commit(set);
}

template <rh::store Store> rh::result<std::size_t> apply(Store& store, const prune& prune) {
    return store.prune_audit(prune.before, prune.most);
}

/// Applies an operation to a store, and returns what the store answered, as text.
template <rh::store Store> std::string carry_out(Store& store, const operation& next) {
    return std::visit([&](const auto& call) { return rh::testing::text_of(apply(store, call)); },
                      next);
}

/// Describes an operation, for the report of a failure.
inline std::string text_of(const operation& described) {
    const auto* const set = std::get_if<rh::change_set>(&described);
    if (set == nullptr) return "prune";
    constexpr std::array<std::string_view, 6> kinds{
        "insert ",       "update ", "erase ", "put product ", "put idempotency record ",
        "erase product "};
    std::string text;
    for (const auto& change : set->changes) text += kinds.at(change.index());
    text += std::to_string(set->audit.size()) + " audit rows";
    return set->amend ? text + ", amend" : text;
}

/// Draws operations that a fleet's store could get, some of which it must refuse. The same seed
/// draws the same operations, as long as the model has the same contents.
class random_operations {
public:
    explicit random_operations(std::uint32_t seed) : random_(seed) {}

    /// The next operation on a store that has the contents of `model`.
    operation next(const rh::memory_store& model) {
        clock_ += rh::duration(below(400));
        if (one_in(100)) clock_ -= rh::duration(below(10'000));
        if (one_in(20)) return prune{earlier(60'000), below(50)};
        return draw_batch(model);
    }

    /// The range in which port requests ask for ports.
    static constexpr std::uint16_t first_port = 9001;
    static constexpr std::uint16_t last_port = 9014;

    // What a store can be asked about

    [[nodiscard]] static std::vector<rh::uuid> products() {
        return {numbered(1), numbered(2), numbered(3), numbered(4)};
    }

    /// Some of the user ids begin with others.
    [[nodiscard]] static const std::vector<std::string>& users() {
        static const std::vector<std::string> names{"a",
                                                    "ab",
                                                    "abc",
                                                    "b",
                                                    std::string(256, 'u'),
                                                    std::string(255, 'u'),
                                                    "user7",
                                                    "J\xC3\xB6rg",
                                                    "user 9",
                                                    "user10",
                                                    "user11",
                                                    "user12"};
        return names;
    }

    [[nodiscard]] static const std::vector<std::string>& slugs() {
        static const std::vector<std::string> names{"acme", "ac", "bolt", "cove", "dune", "echo"};
        return names;
    }

    /// Ids of the latest engines, whether they were inserted or refused.
    [[nodiscard]] const std::vector<rh::uuid>& engine_ids() const { return engine_ids_; }
    [[nodiscard]] const std::vector<rh::sha256_digest>& key_hashes() const { return key_hashes_; }

    rh::audit_query draw_audit_query(const rh::memory_store& model) {
        rh::audit_query query;
        query.product_id = pick(products());
        if (one_in(2)) query.user_id = pick(users());
        if (one_in(4) && !engine_ids_.empty()) query.engine_id = pick(engine_ids_);
        if (one_in(4)) query.action = draw_action();
        if (one_in(3)) query.since = earlier(60'000);
        if (one_in(3)) query.until = earlier(60'000);
        query.all_products = one_in(3);
        if (one_in(3)) query.before = newest_row(model, query.product_id) - below(5);
        query.limit = 1 + below(40);
        return query;
    }

    rh::engine_query draw_engine_query() {
        rh::engine_query query;
        query.product_id = pick(products());
        query.all_products = one_in(3);
        if (one_in(2)) query.status = draw_status();
        if (one_in(3)) query.metadata[draw_label()] = draw_label();
        if (one_in(6)) query.metadata[draw_label()] = draw_label();
        if (one_in(4)) query.user_prefix = pick(users()).substr(0, 1 + below(4));
        if (one_in(4)) query.after = below(400);
        query.offset = below(8);
        query.limit = 1 + below(8);
        return query;
    }

private:
    // Numbers

    std::uint32_t below(std::size_t bound) {
        return static_cast<std::uint32_t>(random_() % static_cast<std::uint32_t>(bound));
    }
    bool one_in(std::size_t count) { return below(count) == 0; }

    template <class T> const T& pick(const std::vector<T>& from) {
        return from[below(from.size())];
    }
    template <class T> T pick(std::vector<T>&& from) { return from[below(from.size())]; }

    // Values

    static rh::uuid numbered(std::uint8_t n) {
        rh::uuid id;
        id.bytes.fill(n);
        return id;
    }

    /// The present time, or up to `most_ms` milliseconds before it.
    rh::instant earlier(std::uint32_t most_ms) { return clock_ - rh::duration(below(most_ms)); }

    std::optional<rh::instant> maybe_time() {
        if (one_in(2)) return std::nullopt;
        return earlier(1000);
    }

    std::string draw_text(std::size_t most) {
        return std::string(below(most + 1), static_cast<char>('a' + below(26)));
    }

    /// One of a few texts, so that engines share them.
    std::string draw_label() {
        return std::string(1 + below(2), static_cast<char>('a' + below(26) % 3));
    }

    rh::engine_status draw_status() { return rh::all_engine_statuses.at(below(6)); }

    rh::audit_action draw_action() {
        return static_cast<rh::audit_action>(below(rh::detail::audit_action_names.size()));
    }

    template <std::size_t N> void draw_bytes(std::array<std::uint8_t, N>& into) {
        for (auto& byte : into) byte = static_cast<std::uint8_t>(below(256));
    }

    rh::uuid draw_engine_id() {
        rh::uuid id;
        draw_bytes(id.bytes);
        if (one_in(8) && !engine_ids_.empty()) { // with another's short id
            const auto& twin = pick(engine_ids_);
            std::copy_n(twin.bytes.begin(), 6, id.bytes.begin());
        }
        engine_ids_.push_back(id);
        if (engine_ids_.size() > 100) engine_ids_.erase(engine_ids_.begin());
        return id;
    }

    std::optional<rh::port_request> maybe_ports() {
        if (one_in(2)) return std::nullopt;
        // A stranger has each port in one of eight requests.
        const auto strangers = random_() & random_() & random_();
        return rh::port_request{first_port, last_port, [=](std::uint16_t port) {
                                    return (strangers >> (port - first_port) & 1U) == 0;
                                }};
    }

    /// Often less than what the engines of a product reserve.
    std::optional<std::uint64_t> maybe_memory_quota() {
        if (!one_in(3)) return std::nullopt;
        return below(400);
    }

    // Changes

    rh::change_set draw_batch(const rh::memory_store& model) {
        rh::change_set set;
        const auto changes = one_in(10) ? 0 : one_in(3) ? 2 + below(3) : 1;
        for (std::uint32_t i = 0; i < changes; ++i) {
            set.changes.push_back(draw_change(model));
            const auto* const erase = std::get_if<rh::erase_engine>(&set.changes.back());
            if (erase != nullptr && one_in(3)) set.changes.push_back(draw_successor(model, *erase));
        }
        if (one_in(6)) set.changes.push_back(draw_idempotency());
        for (auto rows = below(4); rows > 0; --rows) set.audit.push_back(draw_row());
        if (one_in(8)) set.amend = draw_amendment(model);
        return set;
    }

    rh::change draw_change(const rh::memory_store& model) {
        const auto kind = below(10);
        if (kind == 0 && one_in(3)) return draw_end(model);
        if (kind == 0) return draw_product(model);
        if (kind < 4) return draw_insert(model);
        auto record = draw_known(model);
        if (kind < 8) {
            change_state(record);
            return rh::update_engine{std::move(record), maybe_ports(), maybe_memory_quota()};
        }
        return rh::erase_engine{record.product_id, record.user_id, record.revision, one_in(4)};
    }

    /// The end of a product, which mostly has engines. Sometimes with a wrong revision.
    rh::erase_product draw_end(const rh::memory_store& model) {
        rh::erase_product out{pick(products()), 0};
        for (const auto& product : products())
            if (one_in(2) && model.counts(product)->total() == 0) out.product_id = product;
        if (const auto found = *model.find_product_by_id(out.product_id))
            out.revision = found->revision;
        if (one_in(10)) ++out.revision;
        return out;
    }

    /// Of few keys and engines, so that records are put again and take each other's places.
    rh::put_idempotency draw_idempotency() {
        rh::idempotency_record record;
        record.id.product_id = draw_owner();
        record.id.key_hash[0] = static_cast<std::uint8_t>(below(20));
        record.engine_id = numbered(static_cast<std::uint8_t>(below(3)));
        record.created_at = clock_;
        if (one_in(2)) record.sealed_answer = "sealed";
        return {std::move(record), one_in(4)};
    }

    rh::uuid draw_owner() { return numbered(static_cast<std::uint8_t>(1 + below(3))); }

    /// A user who has an engine, or one who has none. Sometimes the opposite.
    std::string draw_user(const rh::memory_store& model, const rh::uuid& owner, bool has_engine) {
        auto user = pick(users());
        for (int tries = 0; tries < 6 && (*model.find_engine(owner, user) != nullptr) != has_engine;
             ++tries)
            user = pick(users());
        return user;
    }

    rh::insert_engine draw_insert(const rh::memory_store& model) {
        rh::insert_engine out;
        out.record.id = draw_engine_id();
        out.record.product_id = draw_owner();
        out.record.user_id = draw_user(model, out.record.product_id, one_in(20));
        out.record.created_at = clock_;
        change_state(out.record);
        if (one_in(3)) out.max_engines = below(14);
        out.max_total_memory_mb = maybe_memory_quota();
        out.port = maybe_ports();
        out.needs_product = one_in(4);
        return out;
    }

    /// An insert that is possible only if an erase before it in the batch frees the user, the short
    /// id, the quota or a port.
    rh::insert_engine draw_successor(const rh::memory_store& model, rh::erase_engine erase) {
        auto out = draw_insert(model);
        out.record.product_id = erase.product_id;
        if (one_in(2)) out.record.user_id = erase.user_id;
        if (const auto erased = *model.find_engine(erase.product_id, erase.user_id))
            std::copy_n(erased->id.bytes.begin(), 6, out.record.id.bytes.begin());
        if (one_in(2)) out.max_engines = model.counts(erase.product_id)->total();
        if (one_in(2)) out.max_total_memory_mb = model.counts(erase.product_id)->reserved_memory_mb;
        return out;
    }

    /// A stored record, as the next commit should carry it. Sometimes one with a wrong revision, or
    /// of an engine that does not exist.
    rh::engine_record draw_known(const rh::memory_store& model) {
        rh::engine_record record;
        record.product_id = draw_owner();
        record.user_id = draw_user(model, record.product_id, !one_in(20));
        if (const auto found = *model.find_engine(record.product_id, record.user_id))
            record = *found;
        if (one_in(10)) record.revision += one_in(2) ? 1U : std::uint64_t{0} - 1U;
        return record;
    }

    void change_state(rh::engine_record& record) {
        record.version = "v" + std::to_string(below(100));
        record.status = draw_status();
        record.origin = draw_status();
        record.intent = rh::all_intents[below(rh::all_intents.size())];
        record.boot = rh::all_boot_reasons[below(rh::all_boot_reasons.size())];
        ++record.generation;
        draw_bytes(record.key_hash);
        record.sealed_key = draw_text(200);
        record.next_sealed_key = draw_text(10);
        record.operation_started_at = clock_;
        record.last_health_at = maybe_time();
        record.deadline = maybe_time();
        record.restart_at = maybe_time();
        record.healthy_since = maybe_time();
        record.restart_attempts = below(9);
        record.restarts = one_in(2) ? 0 : below(9);
        record.reserved_memory_mb = one_in(2) ? 0 : below(100);
        record.defaults_revision = one_in(2) ? 0 : below(9);
        record.last_exit = {};
        if (one_in(4)) record.last_exit.exit_code = static_cast<std::int32_t>(below(256));
        if (one_in(4)) record.last_exit.signal = static_cast<std::uint8_t>(below(65));
        record.last_exit.out_of_memory = one_in(8);
        record.retries = below(9);
        record.sleep_mode = one_in(2) ? rh::sleep_mode::stopped : rh::sleep_mode::paused;
        if (one_in(2)) record.sleeping_since = rh::instant{rh::duration{below(100'000)}};
        record.reason = draw_text(one_in(20) ? 6000 : 30);
        record.asked_by = one_in(2) ? draw_text(20) : std::string();
        record.settings = one_in(3) ? draw_settings() : nullptr;
        record.upgrade = one_in(4) ? draw_upgrade() : nullptr;
    }

    std::shared_ptr<const rh::engine_upgrade> draw_upgrade() {
        rh::engine_upgrade out;
        out.step = rh::all_upgrade_steps[below(rh::all_upgrade_steps.size())];
        out.from_version = draw_label();
        out.to_version = draw_label();
        out.healthy_for = rh::duration{below(100'000)};
        if (one_in(2)) out.keep_copy = one_in(2);
        out.has_copy = one_in(2);
        out.drops_copy = one_in(2);
        out.failure = draw_text(one_in(20) ? 6000 : 30);
        out.cause = rh::all_boot_failures[below(rh::all_boot_failures.size())];
        if (one_in(3)) out.exit.exit_code = static_cast<std::int32_t>(below(256));
        return std::make_shared<const rh::engine_upgrade>(out);
    }

    std::shared_ptr<const rh::engine_settings> draw_settings() {
        rh::engine_settings out;
        for (std::size_t n = below(3); n > 0; --n) {
            out.env_names.push_back(draw_text(10));
            out.metadata[draw_label()] = draw_label();
        }
        if (one_in(3)) out.sleep.after = rh::duration{below(100'000)};
        if (one_in(3)) out.sleep.deep_after = rh::duration{below(100'000)};
        if (one_in(5)) out.sleep.pinned = one_in(2);
        if (one_in(3)) out.revision = 2;
        if (one_in(3)) out.pending.sealed_env = draw_text(20);
        out.pending.limits = one_in(4);
        out.pending.version = one_in(4);
        if (out.pending.version) out.pending.version_before = draw_label();
        out.sealed_env = draw_text(one_in(20) ? 6000 : 30);
        if (one_in(2)) out.limits.memory_mb = below(1000);
        if (one_in(2)) out.limits.cpus = static_cast<double>(below(100)) / 8;
        if (one_in(2)) out.limits.pids = below(1000);
        if (one_in(2)) out.stop_grace = rh::duration{below(100'000)};
        return std::make_shared<const rh::engine_settings>(std::move(out));
    }

    void draw_key(rh::product& record) {
        auto& key = record.keys.emplace_back();
        key.id = ++record.last_key_id;
        draw_bytes(key.hash);
        key.created_at = clock_;
        key.expires_at = maybe_time();
        key.configured = one_in(3);
        key_hashes_.push_back(key.hash);
    }

    rh::put_product draw_product(const rh::memory_store& model) {
        const auto id = pick(products());
        const auto found = *model.find_product_named(to_string(id));
        rh::put_product out;
        if (found) out.record = *found;
        else out.record.id = id;
        if (!found || one_in(3)) out.record.slug = pick(slugs());
        if (!found || one_in(3)) {
            if (found && one_in(2) && !out.record.keys.empty())
                out.record.keys.erase(out.record.keys.begin());
            if (!found || !one_in(3)) draw_key(out.record);
        }
        out.record.display_name = draw_text(20);
        out.record.policy.max_engines.reset();
        if (one_in(2)) out.record.policy.max_engines = below(9);
        if (one_in(2)) out.record.policy.max_concurrent_boots = 1 + below(4);
        if (one_in(2)) out.record.policy.max_provisions_per_minute = below(9);
        if (one_in(2)) out.record.policy.rate_limit_burst = 1 + below(9);
        if (one_in(2)) out.record.policy.weight = 1 + below(100);
        if (one_in(2)) out.record.policy.max_memory_mb = 6 + below(100);
        if (one_in(2)) out.record.policy.max_cpus = static_cast<double>(1 + below(100)) / 8;
        if (one_in(2)) out.record.policy.max_pids = 1 + below(100);
        if (one_in(2)) out.record.policy.max_total_memory_mb = below(1'000);
        if (one_in(2)) out.record.policy.allow_provision = one_in(2);
        if (one_in(2)) out.record.policy.allow_env = one_in(2);
        if (one_in(2)) out.record.policy.allowed_versions.emplace(below(3), draw_text(9));
        if (one_in(4)) out.record.defaults = draw_defaults();
        out.record.deleting_since.reset();
        if (out.record.keys.empty() && one_in(2)) out.record.deleting_since = clock_;
        if (one_in(8)) ++out.record.revision;
        return out;
    }

    rh::defaults_ptr draw_defaults() {
        if (one_in(4)) return nullptr;
        rh::product_defaults out;
        if (one_in(2)) out.version = "v" + std::to_string(below(9));
        if (one_in(2)) out.settings.metadata["plan"] = draw_text(9);
        out.settings.sealed_env = draw_text(one_in(20) ? 6000 : 30);
        out.settings.revision = 1 + below(9);
        out.env_changed = below(9);
        for (auto n = below(3); n > 0; --n)
            out.former.push_back({.last_revision = n, .sealed_env = draw_text(30)});
        return std::make_shared<const rh::product_defaults>(std::move(out));
    }

    // Audit rows

    rh::audit_entry draw_row() {
        rh::audit_entry row;
        row.timestamp = one_in(6) ? earlier(5000) : clock_;
        if (!one_in(10)) row.product_id = draw_owner();
        if (!one_in(4)) row.user_id = pick(users());
        if (!one_in(3) && !engine_ids_.empty()) row.engine_id = pick(engine_ids_);
        row.action = draw_action();
        row.actor = draw_text(6);
        row.metadata = draw_metadata();
        if (one_in(2)) row.took = rh::duration(below(9000));
        if (one_in(2)) row.from = draw_status();
        if (one_in(2)) row.to = draw_status();
        return row;
    }

    rh::metadata draw_metadata() {
        rh::metadata facts;
        if (one_in(2)) facts.emplace_back("text", draw_text(one_in(20) ? 3000 : 20));
        if (one_in(2)) facts.emplace_back("number", std::int64_t{below(1000)} - 500);
        if (one_in(2)) facts.emplace_back("flag", one_in(2));
        return facts;
    }

    /// Never of a row of the same batch, whose id is not known yet.
    rh::audit_entry draw_amendment(const rh::memory_store& model) {
        auto row = draw_row();
        const auto newest = newest_row(model, numbered(1));
        row.id = newest - std::min<std::uint64_t>(newest, below(60));
        return row;
    }

    /// The id of a product's newest audit row; 0 if it has none.
    static std::uint64_t newest_row(const rh::memory_store& model, const rh::uuid& product) {
        rh::audit_query query;
        query.product_id = product;
        query.limit = 1;
        const auto page = *model.audit(query);
        return page.entries.empty() ? 0 : page.entries.front().id;
    }

    std::mt19937 random_;
    rh::instant clock_{rh::duration(1'790'000'000'000)};
    std::vector<rh::uuid> engine_ids_;
    std::vector<rh::sha256_digest> key_hashes_;
};

} // namespace roundhouse_tests

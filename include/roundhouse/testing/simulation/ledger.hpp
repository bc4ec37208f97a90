#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/pending_calls.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/testing/simulation/wall_clock.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// A copy of the rows that every commit is checked against and applied to: which transitions there
/// may be, which audit rows must report them, and the limits (SPEC §2).
class ledger {
public:
    struct entry {
        engine_ptr row;
        instant failed_at{};              ///< In virtual time.
        std::uint64_t failed_shifts = 0;  ///< How often the wall clock had been set then.
        bool failed_before_crash = false; ///< The process has died since.
        bool acknowledged = false;        ///< A caller was told that the engine exists.
    };

    ledger(const timeline& time, const wall_clock& wall, trace& events, violations& found,
           pending_calls& calls, const settings& settings, bool needs_port)
        : time_(time),
          wall_(wall),
          trace_(events),
          violations_(found),
          calls_(calls),
          settings_(settings),
          needs_port_(needs_port) {}

    [[nodiscard]] const std::map<uuid, entry>& rows() const noexcept { return rows_; }
    [[nodiscard]] engine_ptr find(const uuid& engine) const {
        const auto found = rows_.find(engine);
        return found == rows_.end() ? nullptr : found->second.row;
    }
    [[nodiscard]] engine_ptr find(const engine_owner& owner) const {
        const auto found = by_owner_.find(owner);
        return found == by_owner_.end() ? nullptr : find(found->second);
    }
    [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

    /// A caller was told of this engine: its row may only be removed after a destroy call.
    void acknowledge(const uuid& engine) {
        if (const auto found = rows_.find(engine); found != rows_.end())
            found->second.acknowledged = true;
    }
    /// A caller was told that the engine is destroyed.
    void acknowledge_destroyed(const uuid& engine) {
        violations_.require(!find(engine), "destroyed, and its row is there", short_id(engine));
        destroyed_.insert(engine);
    }
    [[nodiscard]] const std::set<uuid>& destroyed() const noexcept { return destroyed_; }

    /// Takes in a commit, with what the store returned for it.
    void committed(const change_set& set, const result<roundhouse::committed>& outcome) {
        if (!outcome) return refused(set, outcome.error());
        ++version_;
        auto stored = outcome->engines.begin();
        for (const auto& change : set.changes) {
            if (const auto* inserted = std::get_if<insert_engine>(&change))
                insert(*stored++, *inserted, set);
            else if (const auto* updated = std::get_if<update_engine>(&change))
                update(*stored++, *updated, set);
            else if (const auto* erased = std::get_if<erase_engine>(&change)) erase(*erased, set);
            else if (const auto* put = std::get_if<put_product>(&change)) see(*put, set);
            else if (const auto* gone = std::get_if<erase_product>(&change)) erase(*gone, set);
        }
    }

    void process_ended() {
        for (auto& [id, known] : rows_) known.failed_before_crash = true;
    }

    /// The products that are gone.
    [[nodiscard]] const std::set<uuid>& gone_products() const noexcept { return gone_; }
    /// Whether a product is being deleted, or gone.
    [[nodiscard]] bool ends(const uuid& product) const {
        return deleting_.contains(product) || gone_.contains(product);
    }

    /// The number of engines of a product.
    [[nodiscard]] std::uint64_t count(const uuid& product) const {
        return static_cast<std::uint64_t>(
            std::count_if(rows_.begin(), rows_.end(), [&](const auto& known) {
                return known.second.row->product_id == product;
            }));
    }

    /// What the engines of a product reserve together.
    [[nodiscard]] std::uint64_t reserved_memory_mb(const uuid& product) const {
        std::uint64_t sum = 0;
        for (const auto& [id, known] : rows_)
            if (known.row->product_id == product) sum += known.row->reserved_memory_mb;
        return sum;
    }

private:
    static engine_owner owner_of(const engine_record& row) { return {row.product_id, row.user_id}; }

    static std::string shown(const engine_record& row) {
        return short_id(row.id) + "/" + std::to_string(row.generation) + " of " + row.user_id;
    }
    static std::string state_of(const engine_record& row) {
        return std::string(name_of(row.status)) + "/" + std::string(name_of(row.intent));
    }

    void note(const std::string& change, const change_set& set) {
        std::string line = "commit: " + change;
        for (const auto& row : set.audit) line += " +" + std::string(name_of(row.action));
        trace_.note(line);
    }

    void insert(const engine_ptr& row, const insert_engine& change, const change_set& set) {
        const auto owner = owner_of(*row);
        note(shown(*row) + " is made, port " + std::to_string(row->port), set);
        violations_.require(!find(owner), "two rows of one owner", owner.user_id);
        violations_.require(!ends(row->product_id), "an engine of a deleted product is made",
                            owner.user_id);
        violations_.require(!destroyed_.contains(row->id), "an engine that was destroyed is back");
        const auto& limit = change.max_engines;
        violations_.require(!limit || count(row->product_id) < *limit, "the quota is exceeded");
        const auto& memory = change.max_total_memory_mb;
        violations_.require(!memory || row->reserved_memory_mb > 0,
                            "an engine without a ceiling of memory is made under a quota of it");
        violations_.require(
            !memory || reserved_memory_mb(row->product_id) + row->reserved_memory_mb <= *memory,
            "the quota of memory is exceeded");
        rows_[row->id] = {};
        rows_[row->id].row = row;
        by_owner_[owner] = row->id;
        check_port(*row);
        calls_.saw_row(owner, row);
    }

    void update(const engine_ptr& row, const update_engine& change, const change_set& set) {
        const auto known = rows_.find(row->id);
        if (known == rows_.end()) return violations_.add("a row is updated that does not exist");
        const auto before = known->second.row;
        note(shown(*row) + " " + state_of(*before) + " -> " + state_of(*row), set);
        known->second.row = row;
        check_port(*row);
        violations_.require(row->generation >= before->generation, "a generation goes back",
                            shown(*row));
        check_settings(*before, *row, set);
        const auto& memory = change.max_total_memory_mb;
        violations_.require(!memory || row->reserved_memory_mb <= before->reserved_memory_mb ||
                                reserved_memory_mb(row->product_id) <= *memory,
                            "the quota of memory is exceeded by a change");
        if (before->status != row->status) {
            check_transition(*before, *row);
            check_audit(*before, row->status, set);
            if (row->status == engine_status::failed) note_failure(known->second);
        } else {
            for (const auto& audited : set.audit)
                violations_.require(!audited.to, "an audit row reports a transition that was none",
                                    shown(*row));
        }
        if (begins_restart(*before, *row)) check_backoff(known->second);
        check_failure(*before, *row, set);
        check_deep_sleep(*before, *row);
        calls_.saw_row(owner_of(*row), row);
    }

    void erase(const erase_engine& change, const change_set& set) {
        const engine_owner owner{change.product_id, change.user_id};
        const auto row = find(owner);
        if (!row) return violations_.add("a row is removed that does not exist");
        note(shown(*row) + (change.undone ? " is undone" : " is gone"), set);
        violations_.require(row->status == engine_status::destroying || change.undone,
                            "a row is removed that is not `destroying`", shown(*row));
        violations_.require(!change.undone || !rows_[row->id].acknowledged,
                            "the creation of an acknowledged engine is undone", shown(*row));
        const auto wanted = change.undone ? audit_action::provision_failed : audit_action::destroy;
        violations_.require(set.audit.size() == 1 && set.audit.front().action == wanted,
                            "the end of an engine is not reported by its one audit row",
                            shown(*row));
        rows_.erase(row->id);
        by_owner_.erase(owner);
        calls_.saw_erased(owner, row->id);
        calls_.saw_row(owner, nullptr);
    }

    static bool reports(const change_set& set, audit_action action) {
        return std::ranges::count(set.audit, action, &audit_entry::action) == 1;
    }

    void see(const put_product& change, const change_set& set) {
        const auto& product = change.record;
        if (!product.deleting_since) return;
        trace_.note("commit: " + product.slug + " is being deleted");
        violations_.require(product.keys.empty(), "a product that is deleted keeps its keys",
                            product.slug);
        violations_.require(reports(set, audit_action::product_delete) &&
                                deleting_.insert(product.id).second,
                            "a deletion is not reported once", product.slug);
        calls_.saw_end_of(product.id);
    }

    void erase(const erase_product& change, const change_set& set) {
        const auto& id = change.product_id;
        trace_.note("commit: product " + short_id(id) + " is gone");
        violations_.require(count(id) == 0, "a product goes whose engines are left", short_id(id));
        violations_.require(reports(set, audit_action::product_deleted) && gone_.insert(id).second,
                            "the end of a product is not reported once", short_id(id));
        calls_.saw_end_of(id);
    }

    /// Notes a refusal for the answers that report it.
    void refused(const change_set& set, const error& cause) {
        for (const auto& change : set.changes) {
            engine_owner owner;
            if (const auto* added = std::get_if<insert_engine>(&change))
                owner = owner_of(added->record);
            else if (const auto* changed = std::get_if<update_engine>(&change))
                owner = owner_of(changed->record);
            else continue;
            if (cause.code == errc::quota_exceeded) calls_.saw_full_quota(owner);
            if (cause.code == errc::port_exhaustion) calls_.saw_no_port(owner);
        }
    }

    void check_port(const engine_record& row) {
        if (!needs_port_)
            return violations_.require(row.port == 0, "a port for a backend that needs none");
        violations_.require(row.port >= settings_.port_min && row.port <= settings_.port_max,
                            "a port out of range", shown(row));
        for (const auto& [id, other] : rows_)
            violations_.require(id == row.id || other.row->port != row.port,
                                "two rows hold one port", shown(row));
    }

    /// Checks a change of status against those that SPEC §2 allows.
    void check_transition(const engine_record& before, const engine_record& after) {
        using enum engine_status;
        static const std::map<engine_status, std::set<engine_status>> successors{
            {provisioning, {running, sleeping, stopped, failed, destroying}},
            {running, {provisioning, sleeping, stopped, failed, destroying}},
            {sleeping, {provisioning, running, stopped, failed, destroying}},
            {stopped, {provisioning, destroying}},
            {failed, {provisioning, stopped, destroying}},
            {destroying, {}}};
        const auto subject = shown(after) + " " + state_of(before) + " -> " + state_of(after);
        violations_.require(successors.at(before.status).contains(after.status),
                            "a transition that does not exist", subject);
        const bool boots_a_sleeper = before.boot == boot_reason::wake;
        violations_.require(before.status != provisioning || after.status != sleeping ||
                                boots_a_sleeper,
                            "an engine sleeps that was to boot", subject);
        const auto owner = owner_of(after);
        if (before.status == stopped && after.status == provisioning)
            violations_.require(calls_.contains(owner, call_kind::start),
                                "a stopped engine is booted without a start call", subject);
        if (after.status == destroying && after.intent == intent::destroy)
            violations_.require(calls_.contains(owner, call_kind::destroy) ||
                                    ends(owner.product_id),
                                "an engine is destroyed without a destroy call", subject);
    }

    /// Checks the audit rows of a transition. A row that names a transition must name the one it is
    /// committed with. Every transition has one, except those that begin an operation whose end is
    /// reported: a destroy, and a boot that a call asked for.
    void check_audit(const engine_record& before, engine_status after, const change_set& set) {
        std::size_t reports = 0;
        for (const auto& row : set.audit) {
            if (!row.from && !row.to) continue;
            violations_.require(row.from == before.status && row.to == after,
                                "an audit row reports another transition than its own",
                                shown(before));
            ++reports;
        }
        if (after == engine_status::destroying) return;
        const bool begins = after == engine_status::provisioning;
        const bool restart = begins && before.status == engine_status::failed &&
                             !calls_.contains(owner_of(before), call_kind::start);
        if (begins && !restart) return;
        violations_.require(reports >= 1, "a transition is not reported", shown(before));
    }

    /// Checks that settings change only where that is reported, by one revision each time; and that
    /// nothing is pending any more once a boot has begun.
    void check_settings(const engine_record& before, const engine_record& after,
                        const change_set& set) {
        const auto& was = settings_of(before);
        auto now = settings_of(after);
        const bool boots = after.generation > before.generation;
        violations_.require(!boots || now.pending == pending_settings{},
                            "a boot leaves settings pending", shown(after));
        const auto reports = std::ranges::count(set.audit, audit_action::settings_update,
                                                &audit_entry::action);
        violations_.require(now.revision == was.revision + static_cast<std::uint64_t>(reports),
                            "the settings have another revision than is reported", shown(after));
        if (boots) now.pending = was.pending;
        violations_.require(reports == 1 || now == was, "the settings of an engine change",
                            shown(after));
        violations_.require(reports == 1 || after.reserved_memory_mb == before.reserved_memory_mb,
                            "what an engine reserves changes", shown(after));
    }

    /// Checks that what is kept of a failure goes with it, and that each auto-restart is counted.
    void check_failure(const engine_record& before, const engine_record& after,
                       const change_set& set) {
        using enum engine_status;
        const bool is_well = after.status == running || after.status == sleeping ||
                             after.status == stopped;
        violations_.require(!is_well || after.last_exit == exit_status{},
                            "an engine that is well keeps how it failed", shown(after));
        const auto tried = std::ranges::count(set.audit, audit_action::auto_restart_start,
                                              &audit_entry::action);
        violations_.require(after.restarts == before.restarts + static_cast<std::uint32_t>(tried),
                            "the restarts are not those that are reported", shown(after));
    }

    /// Checks that only the workload of an engine is ended for its deep sleep that nothing holds
    /// awake, and that its wake makes one workload.
    void check_deep_sleep(const engine_record& before, const engine_record& after) {
        const bool begins = before.intent != intent::deep_sleep &&
                            after.intent == intent::deep_sleep &&
                            after.sleep_mode == sleep_mode::paused;
        violations_.require(!begins || !settings_of(after).sleep.pinned.value_or(false),
                            "a pinned engine is put to deep sleep", shown(after));
        violations_.require(!begins || wall_.shifts() > 0 || after.busy_until <= time_.now(),
                            "a leased engine is put to deep sleep", shown(after));
        const bool wakes = core::sleeps_deeply(before) &&
                           after.status == engine_status::provisioning;
        violations_.require(!wakes || after.generation == before.generation + 1,
                            "a wake does not make one workload", shown(after));
    }

    static bool begins_restart(const engine_record& before, const engine_record& after) {
        return after.intent == intent::boot && after.boot == boot_reason::restart &&
               after.generation > before.generation && before.status == engine_status::failed;
    }

    void note_failure(entry& failed) {
        failed.failed_at = time_.now();
        failed.failed_shifts = wall_.shifts();
        failed.failed_before_crash = false;
    }

    /// Checks that restart n comes no sooner than BASE * 2^(n-1), capped, minus the tenth that
    /// jitter may take. A process that begins knows the time of a restart only by the wall clock.
    void check_backoff(const entry& restarted) {
        const auto& row = *restarted.row;
        violations_.require(row.restart_attempts <= settings_.restart_max_attempts,
                            "restarted more often than allowed", shown(row));
        if (restarted.failed_before_crash && restarted.failed_shifts != wall_.shifts()) return;
        auto least = settings_.restart_backoff_base;
        for (std::uint32_t n = 1; n < row.restart_attempts; ++n)
            least = std::min(least * 2, settings_.restart_backoff_max);
        least -= least / 10;
        violations_.require(time_.now() - restarted.failed_at >= least,
                            "restarted before its backoff", shown(row));
    }

    const timeline& time_;
    const wall_clock& wall_;
    trace& trace_;
    violations& violations_;
    pending_calls& calls_;
    const settings& settings_;
    const bool needs_port_;
    std::map<uuid, entry> rows_;
    std::map<engine_owner, uuid> by_owner_;
    std::set<uuid> destroyed_;
    std::set<uuid> deleting_; ///< Products that were, whether or not they are gone.
    std::set<uuid> gone_;     ///< Products.
    std::uint64_t version_ = 0;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

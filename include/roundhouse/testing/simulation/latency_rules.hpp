#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/shares.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/pending_calls.hpp>
#include <roundhouse/testing/simulation/scenario.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/turns.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks that every call is answered within a bound of virtual time, which follows from the
/// settings. Time in which its product cannot have a turn, to prepare a workload for a boot or an
/// upgrade or to boot, does not count: while every turn is taken; and, for a product that holds one, while it may have no
/// more by its policy, and while only those are free that are kept for products that hold none. So a
/// product that holds none waits no longer because of what others hold. A destroy needs no turn: all
/// of its time counts.
///
/// A call whose engine's commits are refused must be answered within `settings::store_wait`.
class latency_rules {
public:
    latency_rules(const timeline& time, violations& found, const pending_calls& calls,
                  const ledger& rows, const scenario& scenario)
        : time_(time),
          violations_(found),
          calls_(calls),
          ledger_(rows),
          scenario_(scenario),
          settings_(scenario.settings) {}

    void backend_call_began(backend_operation operation, const workload_ref& ref) {
        const auto row = ledger_.find(ref.engine_id);
        const held_turn held{ref, row ? row->product_id : uuid{}, true};
        const auto kind = turn_of(operation, row);
        if (kind == turn::prepare) preparations_[ref.engine_id] = held;
        if (kind == turn::prepare_upgrade) upgrades_[ref.engine_id] = held;
        if (kind == turn::boot) boots_[ref.engine_id] = held;
    }
    void backend_call_ended(backend_operation operation, const workload_ref& ref) {
        const auto kind = turn_during(operation);
        if (kind == turn::prepare) preparations_.erase(ref.engine_id);
        if (kind == turn::prepare_upgrade) upgrades_.erase(ref.engine_id);
        if (kind != turn::boot) return;
        if (const auto boot = boots_.find(ref.engine_id); boot != boots_.end())
            boot->second.call_under_way = false;
    }

    /// Notes a refusal if what it would have stored had happened already, so that the store is all
    /// that its callers wait for.
    void commit_refused(const change_set& set) {
        if (!stores_event(set)) return;
        for_each_owner(set, [this](const engine_owner& owner) {
            auto& refusals = refusals_[owner];
            const auto now = time_.now();
            if (!refusals.first || now - refusals.last > longest_retry()) refusals.first = now;
            refusals.last = now;
        });
    }
    void commit_made(const change_set& set) {
        for_each_owner(set, [this](const engine_owner& owner) { refusals_.erase(owner); });
    }

    /// To be called after every event.
    void check() {
        count_time();
        if (time_.now() < next_check_) return;
        next_check_ = time_.now() + std::chrono::seconds{1};
        calls_.for_each([this](pending_calls::number id, const pending_call& call) {
            if (call.request.kind == call_kind::wait_for) return; // `wait_rules`
            check_age(id, call);
            check_refused(id, call);
        });
        std::erase_if(begun_, [this](const auto& entry) { return !calls_.contains(entry.first); });
    }

    /// Forgets what the process kept in memory only.
    void process_ended() {
        preparations_.clear();
        upgrades_.clear();
        boots_.clear();
        refusals_.clear();
        begun_.clear();
        free_time_.clear();
    }

private:
    /// The turn that a boot or an upgrade may hold.
    struct held_turn {
        workload_ref ref;
        uuid product;
        bool call_under_way = false;
    };
    using held_turns = std::map<uuid, held_turn>; ///< By engine.

    /// Commits of one engine that were refused, without a success between them.
    struct refusal_streak {
        std::optional<instant> first;
        instant last{};
    };

    static constexpr duration tolerance = std::chrono::seconds{2};

    template <class Action> static void for_each_owner(const change_set& set, Action action) {
        for (const auto& change : set.changes) {
            if (const auto* added = std::get_if<insert_engine>(&change))
                action(engine_owner{added->record.product_id, added->record.user_id});
            else if (const auto* changed = std::get_if<update_engine>(&change))
                action(engine_owner{changed->record.product_id, changed->record.user_id});
            else if (const auto* erased = std::get_if<erase_engine>(&change))
                action(engine_owner{erased->product_id, erased->user_id});
        }
    }

    /// Whether a commit stores the end of an operation or of a workload, and not what a call asks.
    [[nodiscard]] bool stores_event(const change_set& set) const {
        return std::any_of(set.changes.begin(), set.changes.end(), [this](const auto& change) {
            if (std::holds_alternative<erase_engine>(change)) return true;
            const auto* changed = std::get_if<update_engine>(&change);
            const auto row = changed == nullptr ? nullptr : ledger_.find(changed->record.id);
            if (!row) return false;
            const auto& next = changed->record;
            if (settings_of(next).revision != settings_of(*row).revision) return false;
            const bool ends = next.intent == intent::none || next.intent == intent::end ||
                              next.intent == intent::undo ||
                              (row->intent == intent::sleep && next.intent == intent::deep_sleep);
            const bool fails = next.status == engine_status::failed && next.status != row->status;
            return (ends && row->intent != intent::none) || fails;
        });
    }

    /// The longest time between two tries of one commit.
    [[nodiscard]] duration longest_retry() const { return settings_.store_retry_max + tolerance; }

    /// Adds the time since the last event to that in which each product could have a turn of each
    /// kind.
    void count_time() {
        const auto now = time_.now();
        if (now != counted_until_)
            for (auto& [product, time] : free_time_)
                if (may_take(product, settings_.prepare_concurrency, preparations_) &&
                    may_take(product, settings_.prepare_concurrency, upgrades_) &&
                    may_take(product, settings_.boot_concurrency, boots_))
                    time += now - counted_until_;
        counted_until_ = now;
        std::erase_if(boots_, [this](const auto& entry) { return !holds_turn(entry.second); });
    }
    [[nodiscard]] bool may_take(const uuid& product, std::size_t turns,
                                const held_turns& held) const {
        const bool holds = std::any_of(held.begin(), held.end(), [&](const auto& entry) {
            return entry.second.product == product;
        });
        if (holds && scenario_.most_boots) return false;
        const auto kept = holds ? core::kept_turns(turns) : 0;
        return held.size() + kept < turns;
    }
    [[nodiscard]] bool holds_turn(const held_turn& held) const {
        if (held.call_under_way) return true;
        const auto row = ledger_.find(held.ref.engine_id);
        return row && row->intent == intent::boot && row->generation == held.ref.generation;
    }

    /// Operations of one engine follow each other: each call before this one may need one, one may
    /// be under way, and the orchestrator may begin one by itself.
    void check_age(pending_calls::number id, const pending_call& call) {
        const auto counted = free_time_[call.request.owner.product_id];
        const auto [begun, added] = begun_.try_emplace(id, counted);
        const bool needs_turn = call.request.kind != call_kind::destroy;
        const auto waited = needs_turn ? counted - begun->second : time_.now() - call.issued_at;
        const auto operations = static_cast<duration::rep>(call.others + 3);
        const auto bound = settings_.admit_wait + operations * longest_operation() +
                           settings_.store_wait + tolerance;
        violations_.require(waited <= bound, "a call is not answered within its bound",
                            shown(id, call));
    }
    [[nodiscard]] duration longest_operation() const {
        const auto boot = settings_.create_timeout + settings_.stop_grace +
                          settings_.create_timeout + settings_.boot_timeout;
        const auto other = std::max(settings_.stop_grace, settings_.health_check_timeout) +
                           settings_.backend_timeout;
        // An upgrade prepares its version, boots twice if it is taken back, and ends a workload before
        // each boot.
        const auto probe = settings_.health_check_timeout + settings_.boot_probe_max;
        const auto watch = longest_watch + settings_.health_max_failures * probe +
                           settings_.backend_timeout;
        const auto swap = settings_.stop_grace + settings_.copy_timeout + settings_.backend_timeout;
        const bool upgrades = scenario_.upgrades();
        return upgrades ? settings_.create_timeout + 2 * (boot + swap) + watch
                        : std::max(boot, other);
    }

    void check_refused(pending_calls::number id, const pending_call& call) {
        const auto found = refusals_.find(call.request.owner);
        if (found == refusals_.end()) return;
        const auto& refusals = found->second;
        const auto now = time_.now();
        if (now - refusals.last > longest_retry()) return;
        const auto since = std::max(*refusals.first, call.issued_at);
        violations_.require(now - since <= settings_.store_wait + tolerance,
                            "a call waits although the store refuses its engine's commits",
                            shown(id, call));
    }

    static std::string shown(pending_calls::number id, const pending_call& call) {
        return "call " + std::to_string(id) + ", " + std::string(name_of(call.request.kind)) +
               " of " + call.request.owner.user_id;
    }

    const timeline& time_;
    violations& violations_;
    const pending_calls& calls_;
    const ledger& ledger_;
    const scenario& scenario_;
    const settings& settings_;
    held_turns preparations_;
    held_turns upgrades_; ///< Whose new versions are prepared.
    held_turns boots_;
    std::map<engine_owner, refusal_streak> refusals_;
    /// The `free_time_` of its product when each call was first seen.
    std::map<pending_calls::number, duration> begun_;
    std::map<uuid, duration> free_time_;
    instant counted_until_{};
    instant next_check_{};
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/settings_change.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/scenario.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// The system as callers see it, reduced to a map from owners to the state of their engine.
///
/// It is exact where there are no faults and calls are sequential: there it must come to the same
/// answers as the orchestrator. Elsewhere it checks nothing, and `answer_check` bounds the answers.
class model {
public:
    model(const timeline& time, violations& found, const scenario& scenario)
        : time_(time),
          violations_(found),
          scenario_(scenario),
          exact_(!scenario.faulty && scenario.order == call_order::sequential) {}

    /// From here on the model is not exact, because the process has died.
    void give_up() { exact_ = false; }

    void check(const pending_call& call, const call_answer& answer) {
        if (!exact_) return;
        if (call.may_be_starting && answer.failure == errc::starting) return;
        const auto& owner = call.request.owner;
        const auto known = engines_[owner];
        for (const auto current : possible_states(known, call.issued_at)) {
            const auto wanted = expected(call, current, known, answer);
            if (!agree(wanted, answer, call)) continue;
            apply(engines_[owner], call, wanted, answer);
            return;
        }
        violations_.add("the model has another answer: " + std::string(name_of(call.request.kind)) +
                        " of " + owner.user_id + " while it " + shown(known, call.issued_at) +
                        ": " + answer.text());
    }

    /// Checks the rows against the states of the model, at the end of a run.
    void check_end(const ledger& rows) const {
        if (!exact_) return;
        for (const auto& [owner, known] : engines_) {
            const auto row = rows.find(owner);
            const auto states = possible_states(known, time_.now());
            const bool agrees = std::any_of(states.begin(), states.end(), [&](state current) {
                return row ? current && *current == row->status : !current;
            });
            violations_.require(agrees, "the model has another state", owner.user_id);
        }
    }

private:
    /// Nothing if there is no engine. Of the statuses, only `running`, `sleeping` and `stopped`
    /// last.
    using state = std::optional<engine_status>;

    struct engine {
        state current;
        instant used{};
        instant busy_until{};
        instant rotated{};            ///< The end of its last key rotation.
        std::uint64_t memory_mb = 0;  ///< What it reserves.
        provision_options given = {}; ///< Its settings.
        instant changed{};            ///< When its settings were changed last.
    };

    struct outcome {
        std::optional<errc> failure = std::nullopt;
        std::optional<denial> denied = std::nullopt;
        state next = std::nullopt;
        bool counts_as_use = false;
        std::optional<instant> sleeps_at = std::nullopt;
        std::uint64_t memory_mb = 0; ///< What an engine that is created reserves.
    };

    /// How long it may take to put an idle engine to sleep.
    static constexpr duration falls_asleep_in{500};

    /// The states that are possible at a time: one, except while an engine is put to sleep.
    [[nodiscard]] std::vector<state> possible_states(const engine& known, instant now) const {
        const auto& settings = scenario_.settings;
        const auto sleep_after = sleep_after_of(known);
        if (known.current != engine_status::running || sleep_after == duration{0})
            return {known.current};
        const auto sleeps_at = std::max(
            {known.used + sleep_after, known.busy_until, known.changed});
        if (now < sleeps_at) return {known.current};
        // An engine whose key was being rotated then is looked at again with its next probe.
        const auto late = known.rotated > sleeps_at ? settings.health_check_interval : duration{0};
        if (now > sleeps_at + late + falls_asleep_in) return {engine_status::sleeping};
        return {known.current, engine_status::sleeping};
    }

    [[nodiscard]] duration sleep_after_of(const engine& known) const {
        const auto& sleep = known.given.sleep;
        if (sleep.pinned.value_or(false)) return duration{0};
        return sleep.after.value_or(scenario_.settings.sleep_after);
    }

    [[nodiscard]] std::string shown(const engine& known, instant now) const {
        std::string out;
        for (const auto& current : possible_states(known, now))
            out += (out.empty() ? "is " : " or ") +
                   std::string(current ? name_of(*current) : "absent");
        return out;
    }

    [[nodiscard]] outcome expected(const pending_call& call, state current, const engine& known,
                                   const call_answer& answer) const {
        using enum engine_status;
        const auto& request = call.request;
        const auto refuse = [&](errc code) { return outcome{.failure = code, .next = current}; };
        const outcome runs{.next = running, .counts_as_use = true};
        if (!current && (request.kind == call_kind::provision || request.admit.auto_provision))
            return expected_creation(call);
        if (!current && request.kind == call_kind::admit)
            return {.denied = denial::engine_not_found, .next = current};
        if (!current) return refuse(errc::engine_not_found);
        switch (request.kind) {
        case call_kind::provision_once: // not drawn where the model is exact
        case call_kind::upgrade:
        case call_kind::wait_for:
        case call_kind::provision: return refuse(errc::engine_already_exists);
        case call_kind::admit:
            if (current == running || (current == sleeping && request.admit.auto_wake)) return runs;
            return {.denied = denial::engine_sleeping, .next = current};
        case call_kind::start:
            return current == running ? refuse(errc::engine_already_running) : runs;
        case call_kind::stop:
            if (current == running || (current == sleeping && request.force))
                return {.next = stopped};
            return refuse(errc::engine_not_running);
        case call_kind::rotate:
            return current == running ? outcome{.next = current} : refuse(errc::engine_not_running);
        case call_kind::sleep: return expected_sleep(call, current, known, answer);
        case call_kind::wake:
            if (current == running) return refuse(errc::engine_already_running);
            return current == sleeping ? runs : refuse(errc::engine_not_running);
        case call_kind::destroy: return {.next = std::nullopt};
        case call_kind::activity: return expected_activity(call, current, known);
        case call_kind::change_settings: return expected_change(call, current, known);
        }
        return refuse(errc::internal_error);
    }

    [[nodiscard]] outcome expected_creation(const pending_call& call) const {
        const auto refuse = [](errc code) { return outcome{.failure = code}; };
        const auto& settings = scenario_.settings;
        const auto ports = std::size_t{settings.port_max} - settings.port_min + 1;
        const auto& limits = call.limits;
        const auto& product = call.request.owner.product_id;
        const auto* const defaults = call.defaults.get();
        const auto wanted = core::merged(given_by(call.request).limits, defaults);
        const auto memory = memory_of(wanted, limits).value_or(0);
        if (forbids(limits, call.request, defaults)) return refuse(errc::policy_denied);
        if (limits.max_engines && count(product) >= *limits.max_engines)
            return refuse(errc::quota_exceeded);
        if (limits.max_total_memory_mb &&
            reserved_memory_mb(product) + memory > *limits.max_total_memory_mb)
            return refuse(errc::quota_exceeded);
        if (scenario_.needs_port && count(std::nullopt) >= ports)
            return refuse(errc::port_exhaustion);
        return {.next = engine_status::running, .counts_as_use = true, .memory_mb = memory};
    }

    [[nodiscard]] outcome expected_change(const pending_call& call, state current,
                                          const engine& known) const {
        const auto& request = call.request;
        const auto refuse = [&](errc code) { return outcome{.failure = code, .next = current}; };
        const auto after = core::changed(known.given, request.change);
        const auto& limits = call.limits;
        const bool other_limits = after.limits != known.given.limits;
        const bool other_env = after.env != known.given.env && !after.env.empty();
        auto asked = after.limits; // what the engine has it keeps, though it may be too much by now
        const auto keep = [](auto& kind, const auto& before, const auto& most) {
            if (kind && kind == before && most) kind = std::min(*kind, *most);
        };
        keep(asked.memory_mb, known.given.limits.memory_mb, limits.max_memory_mb);
        keep(asked.cpus, known.given.limits.cpus, limits.max_cpus);
        keep(asked.pids, known.given.limits.pids, limits.max_pids);
        if ((other_limits && forbids(limits, asked, call.defaults.get())) ||
            (other_env && !limits.allow_env.value_or(true)))
            return refuse(errc::policy_denied);
        if (request.restart && current != engine_status::running)
            return refuse(errc::engine_not_running);
        const auto wanted = core::merged(after.limits, call.defaults.get());
        const auto memory = other_limits ? memory_of(wanted, limits).value_or(0) : known.memory_mb;
        if (other_limits && limits.max_total_memory_mb && memory > known.memory_mb &&
            reserved_memory_mb(request.owner.product_id) - known.memory_mb + memory >
                *limits.max_total_memory_mb)
            return refuse(errc::quota_exceeded);
        return {.next = current, .counts_as_use = request.restart, .memory_mb = memory};
    }

    /// Whether an engine that sleeps still has its workload is not known here, nor is when exactly a
    /// lease has ended while the call waited.
    [[nodiscard]] outcome expected_sleep(const pending_call& call, state current,
                                         const engine& known, const call_answer& answer) const {
        const auto refuse = [&](errc code) { return outcome{.failure = code, .next = current}; };
        const outcome sleeps{.next = engine_status::sleeping};
        const bool sleeps_already = current == engine_status::sleeping;
        if (!sleeps_already && current != engine_status::running)
            return refuse(errc::engine_not_running);
        if (sleeps_already && call.request.mode == sleep_mode::paused) return sleeps;
        const bool pinned = known.given.sleep.pinned.value_or(false);
        const bool may_be_held = pinned || known.busy_until > call.issued_at;
        const bool is_held = pinned || known.busy_until > time_.now();
        const bool refused = answer.failure == errc::engine_busy;
        if (may_be_held && refused) return refuse(errc::engine_busy);
        return is_held && !sleeps_already ? refuse(errc::engine_busy) : sleeps;
    }

    [[nodiscard]] outcome expected_activity(const pending_call& call, state current,
                                            const engine& known) const {
        outcome out{.next = current};
        if (current != engine_status::running) return out;
        out.counts_as_use = true;
        const auto sleep_after = sleep_after_of(known);
        if (sleep_after == duration{0}) return out;
        out.sleeps_at = std::max(call.issued_at + sleep_after, leased_until(call, known));
        return out;
    }

    static instant leased_until(const pending_call& call, const engine& known) {
        const auto busy_for = call.request.busy_for;
        return busy_for ? std::max(known.busy_until, call.issued_at + *busy_for) : known.busy_until;
    }

    /// The number of engines, of one product or of all.
    [[nodiscard]] std::size_t count(std::optional<uuid> product) const {
        return static_cast<std::size_t>(
            std::count_if(engines_.begin(), engines_.end(), [&](const auto& entry) {
                return entry.second.current && (!product || entry.first.product_id == *product);
            }));
    }

    [[nodiscard]] std::uint64_t reserved_memory_mb(const uuid& product) const {
        std::uint64_t sum = 0;
        for (const auto& [owner, known] : engines_)
            if (owner.product_id == product && known.current) sum += known.memory_mb;
        return sum;
    }

    /// An activity call that had to wait counts from some time between its issue and its answer.
    [[nodiscard]] bool agree(const outcome& wanted, const call_answer& answer,
                             const pending_call& call) const {
        if (wanted.failure != answer.failure || wanted.denied != answer.denied) return false;
        if (wanted.denied && wanted.next != answer.status) return false;
        // By its new settings it could not be told any more whether it had fallen asleep before.
        const bool changed = call.request.kind == call_kind::change_settings && answer.status;
        if (changed && wanted.next != answer.status) return false;
        if (!wanted.sleeps_at || !answer.sleeps_at) return wanted.sleeps_at == answer.sleeps_at;
        const auto later = *answer.sleeps_at - *wanted.sleeps_at;
        return later >= duration{0} && later <= time_.now() - call.issued_at;
    }

    void apply(engine& known, const pending_call& call, const outcome& wanted,
               const call_answer& answer) {
        const bool activity = call.request.kind == call_kind::activity;
        const auto later = wanted.sleeps_at ? *answer.sleeps_at - *wanted.sleeps_at : duration{0};
        if (activity && wanted.counts_as_use) known.busy_until = leased_until(call, known) + later;
        const bool created = !known.current && wanted.next;
        if (!wanted.next) known = {};
        known.current = wanted.next;
        const auto& request = call.request;
        const bool changes = request.kind == call_kind::change_settings && !answer.failure;
        if (created || changes) known.memory_mb = wanted.memory_mb;
        if (created) known.given = given_by(request);
        if (changes) {
            known.given = core::changed(known.given, request.change);
            known.changed = time_.now();
        }
        if (call.request.kind == call_kind::rotate) known.rotated = time_.now();
        // An admit counts as use when it ends.
        if (wanted.counts_as_use) known.used = activity ? call.issued_at + later : time_.now();
    }

    const timeline& time_;
    violations& violations_;
    const scenario& scenario_;
    bool exact_;
    std::map<engine_owner, engine> engines_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

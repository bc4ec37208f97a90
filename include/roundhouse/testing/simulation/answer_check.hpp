#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/admission.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks that what an answer says was true at some time between its call and itself.
class answer_check {
public:
    /// `faulty`: faults are injected, so that calls may fail because of them.
    answer_check(violations& found, const settings& settings, bool faulty)
        : violations_(found), settings_(settings), faulty_(faulty) {}

    void check(const pending_call& call, const call_answer& answer) const {
        const bool possible = answer.failure ? may_fail(call, *answer.failure)
                                             : may_succeed(call, answer);
        violations_.require(possible, "an answer that cannot be true",
                            std::string(name_of(call.request.kind)) + " of " +
                                call.request.owner.user_id + ": " + answer.text());
    }

private:
    bool may_succeed(const pending_call& call, const call_answer& answer) const {
        const auto& seen = call.seen;
        if (answer.under_way) return may_be_under_way(call, answer);
        switch (call.request.kind) {
        case call_kind::provision: return was_running(call, answer);
        case call_kind::admit:
            return answer.denied ? may_deny(call, *answer.denied) && tells_status(call, answer)
                                 : was_running(call, answer);
        case call_kind::start:
            return was_running(call, answer) && seen.had_other_than(engine_status::running);
        case call_kind::stop: return seen.had(engine_status::stopped);
        case call_kind::sleep: return seen.had(engine_status::sleeping);
        case call_kind::wake:
            return was_running(call, answer) && seen.had_other_than(engine_status::running);
        case call_kind::rotate: return !seen.running.empty();
        case call_kind::destroy: return seen.erased.contains(*answer.destroyed);
        case call_kind::activity: return !seen.statuses.empty();
        case call_kind::change_settings:
            return call.request.restart ? was_running(call, answer) : !seen.statuses.empty();
        case call_kind::upgrade:
            return !seen.statuses.empty() &&
                   answer.engine->version() == call.request.upgrade.version;
        case call_kind::provision_once: return true; // `once_rules` checks it
        case call_kind::wait_for:
            return seen.had(*answer.status) && call.request.wanted.has(*answer.status);
        }
        return false;
    }

    /// Only who chose to wait is told so, with a state that the engine had meanwhile; who waits for a
    /// state is told another one.
    static bool may_be_under_way(const pending_call& call, const call_answer& answer) {
        return call.request.wait && answer.status && call.seen.had(*answer.status) &&
               !call.request.wanted.has(*answer.status) &&
               (call.request.kind == call_kind::admit) == (answer.retry_after_s > 0);
    }

    /// An admit that is answered at once has seen one row only, so that its answer must be what the
    /// store holds at that moment.
    static bool was_running(const pending_call& call, const call_answer& answer) {
        return std::ranges::any_of(call.seen.running, [&](const engine_ptr& row) {
            return core::admissible(*row) && tells(*answer.engine, *row);
        });
    }

    static bool tells(const admitted_engine& answer, const engine_record& row) {
        return answer.id == row.id && answer.user_id() == row.user_id &&
               answer.version() == row.version && answer.created_at == row.created_at &&
               answer.url == url_of(row.id, row.port) &&
               crypto::sha256(answer.api_key()) == row.key_hash;
    }

    static bool may_deny(const pending_call& call, denial reason) {
        const auto& seen = call.seen;
        switch (reason) {
        case denial::engine_not_found: return seen.absent || seen.had(engine_status::destroying);
        case denial::engine_sleeping:
            return seen.had(engine_status::stopped) ||
                   (seen.had(engine_status::sleeping) && !call.request.admit.auto_wake) ||
                   (seen.had(engine_status::sleeping) && call.others > 0);
        case denial::engine_unhealthy: return seen.had(engine_status::failed);
        case denial::engine_starting: break; // told as `under_way`
        }
        return false;
    }

    /// The status beside a denial is one that the engine had, and leads to that denial. Only an
    /// engine that is restarted by itself is worth a wait.
    bool tells_status(const pending_call& call, const call_answer& answer) const {
        if (!answer.status)
            return answer.denied == denial::engine_not_found && answer.retry_after_s == 0;
        engine_record row;
        row.status = *answer.status;
        const auto longest = std::chrono::ceil<std::chrono::seconds>(settings_.restart_backoff_max);
        return call.seen.had(row.status) && core::why_denied(row) == answer.denied &&
               (answer.retry_after_s == 0 || row.status == engine_status::failed) &&
               answer.retry_after_s >= 0 &&
               std::chrono::seconds{answer.retry_after_s} <=
                   std::max(longest, std::chrono::seconds{1});
    }

    bool may_fail(const pending_call& call, errc code) const {
        const auto& seen = call.seen;
        const auto kind = call.request.kind;
        const bool once = kind == call_kind::provision_once;
        const bool creates = kind == call_kind::provision || once ||
                             (kind == call_kind::admit && call.request.admit.auto_provision);
        switch (code) {
        case errc::engine_already_exists:
            return (kind == call_kind::provision || once) && !seen.statuses.empty();
        case errc::engine_not_found:
            return seen.absent || seen.had(engine_status::destroying) || once;
        case errc::engine_not_running:
            return (kind == call_kind::stop || kind == call_kind::rotate ||
                    kind == call_kind::sleep || kind == call_kind::wake ||
                    (kind == call_kind::change_settings && call.request.restart)) &&
                   seen.had_other_than(engine_status::running);
        case errc::engine_already_running:
            return (kind == call_kind::start || kind == call_kind::wake) &&
                   seen.had(engine_status::running);
        case errc::engine_busy: return kind == call_kind::sleep;
        case errc::upgrade_failed: return kind == call_kind::upgrade;
        case errc::quota_exceeded:
            return (creates || kind == call_kind::change_settings) && seen.quota_full;
        case errc::port_exhaustion: // a stop waits for the end of an upgrade
            return seen.no_port && (kind != call_kind::stop || seen.upgraded);
        case errc::policy_denied:
            return (creates && forbids(call.limits, call.request)) ||
                   (kind == call_kind::change_settings &&
                    may_forbid(call.limits, call.request.change));
        case errc::rate_limited:
            return (kind == call_kind::admit && call.limits.rate_limit_rpm) ||
                   (creates && call.limits.max_provisions_per_minute);
        case errc::boot_timeout:
            return seen.had(engine_status::failed) || seen.had(engine_status::stopped) ||
                   call.others > 0 || faulty_ || once;
        case errc::backend_away:
        case errc::backend_error:
        case errc::port_taken:
        case errc::store_unavailable: return faulty_;
        case errc::starting: return call.may_be_starting;
        case errc::product_deleting:
        case errc::product_not_found: return seen.product_ends && kind != call_kind::destroy;
        case errc::
            overloaded: // The orchestrator's own sleep of an engine takes a place too, and so
                        // does its destruction with the product.
            return call.others + (seen.product_ends ? 2 : 1) >= settings_.max_waiting_per_engine;
        default: return false;
        }
    }

    violations& violations_;
    const settings& settings_;
    const bool faulty_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/judge.hpp>
#include <roundhouse/types.hpp>

#include <memory>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Says whether an answer could be true: whether what it says was so at some time between call and
/// answer.
class sim_answers {
public:
    sim_answers(std::shared_ptr<sim_judge> judge, const settings& with, bool faulty)
        : judge_(std::move(judge)), settings_(with), faulty_(faulty) {}

    void judge(const sim_call& call, const sim_answer& how) const {
        const bool may_be = how.failure ? could_fail(call, *how.failure) : could_succeed(call, how);
        judge_->require(may_be, "an answer that cannot be true",
                        std::string(name_of(call.request.what)) + " of " +
                            call.request.user.second + ": " + how.text());
    }

private:
    static bool could_succeed(const sim_call& call, const sim_answer& how) {
        const auto& seen = call.seen;
        switch (call.request.what) {
        case sim_call_kind::provision: return was_running(call, how);
        case sim_call_kind::admit:
            return how.denied ? could_deny(call, *how.denied) : was_running(call, how);
        case sim_call_kind::start:
            return !seen.ran.empty() && seen.had_other_than(engine_status::running);
        case sim_call_kind::stop: return seen.had(engine_status::stopped);
        case sim_call_kind::rotate: return !seen.ran.empty();
        case sim_call_kind::destroy: return seen.erased.contains(*how.destroyed);
        case sim_call_kind::activity: return !seen.statuses.empty();
        }
        return false;
    }

    static bool was_running(const sim_call& call, const sim_answer& how) {
        return how.record->status == engine_status::running &&
               call.seen.ran.contains(how.record->id) &&
               crypto::sha256(*how.key) == how.record->key_hash;
    }

    static bool could_deny(const sim_call& call, denial why) {
        const auto& seen = call.seen;
        switch (why) {
        case denial::engine_not_found: return seen.absent || seen.had(engine_status::destroying);
        case denial::engine_sleeping:
            return seen.had(engine_status::stopped) ||
                   (seen.had(engine_status::sleeping) && !call.request.how.auto_wake) ||
                   (seen.had(engine_status::sleeping) && call.others > 0);
        case denial::engine_unhealthy: return seen.had(engine_status::failed);
        }
        return false;
    }

    bool could_fail(const sim_call& call, errc why) const {
        const auto& seen = call.seen;
        const auto what = call.request.what;
        const bool creates = what == sim_call_kind::provision ||
                             (what == sim_call_kind::admit && call.request.how.auto_provision);
        switch (why) {
        case errc::engine_already_exists:
            return what == sim_call_kind::provision && !seen.statuses.empty();
        case errc::engine_not_found: return seen.absent || seen.had(engine_status::destroying);
        case errc::engine_not_running:
            return (what == sim_call_kind::stop || what == sim_call_kind::rotate) &&
                   seen.had_other_than(engine_status::running);
        case errc::engine_already_running:
            return what == sim_call_kind::start && seen.had(engine_status::running);
        case errc::quota_exceeded: return creates && seen.quota_full;
        case errc::port_exhaustion: return seen.no_port && what != sim_call_kind::stop;
        case errc::policy_denied: return creates && !call.limits.allow_provision.value_or(true);
        case errc::rate_limited: return what == sim_call_kind::admit && call.limits.rate_limit_rpm;
        case errc::boot_timeout:
            return seen.had(engine_status::failed) || seen.had(engine_status::stopped) ||
                   call.others > 0 || faulty_;
        case errc::backend_away:
        case errc::backend_error:
        case errc::store_unavailable: return faulty_;
        case errc::starting: return call.may_be_starting;
        case errc::overloaded: // the orchestrator's own wish to let it sleep waits too
            return call.others + 1 >= settings_.max_waiting_per_engine;
        default: return false;
        }
    }

    const std::shared_ptr<sim_judge> judge_;
    const settings settings_;
    const bool faulty_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

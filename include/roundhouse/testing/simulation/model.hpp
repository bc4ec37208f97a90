#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/judge.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/scene.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// The whole system as a caller may think of it: a map from users to the state of their engine.
/// It is exact where nothing goes wrong and one call follows another; there it gets the same calls
/// and has to come to the same answers. Elsewhere `sim_answers` says what may be.
class sim_model {
public:
    sim_model(std::shared_ptr<sim_timeline> timeline, std::shared_ptr<sim_judge> judge,
              const sim_scene& scene)
        : timeline_(std::move(timeline)),
          judge_(std::move(judge)),
          scene_(scene),
          exact_(!scene.faulty && scene.manners == sim_manners::in_turn) {}

    /// A process has died: from here on it is not exact any more.
    void give_up() { exact_ = false; }

    void judge(const sim_call& call, const sim_answer& how) {
        if (!exact_) return;
        if (call.may_be_starting && how.failure == errc::starting) return;
        const auto& user = call.request.user;
        const auto known = users_[user];
        for (const auto is : possible(known, call.issued_at)) {
            const auto wanted = expect(call, is, known);
            if (!agree(wanted, how)) continue;
            move(users_[user], call, wanted);
            return;
        }
        judge_->blame("the model has another answer: " + std::string(name_of(call.request.what)) +
                      " of " + user.second + " while it " + shown(known, call.issued_at) + ": " +
                      how.text());
    }

    /// The rows are what the model thinks.
    void check_end(const sim_ledger& ledger) const {
        if (!exact_) return;
        for (const auto& [user, known] : users_) {
            const auto row = ledger.find(user);
            const auto states = possible(known, timeline_->now());
            const bool agrees = std::any_of(states.begin(), states.end(), [&](state one) {
                return row ? one && *one == row->status : !one;
            });
            judge_->require(agrees, "the model has another state", user.second);
        }
    }

private:
    /// Nothing: there is no engine. Only `running`, `sleeping` and `stopped` last.
    using state = std::optional<engine_status>;

    struct engine {
        state is;
        instant used{};
        instant busy_until{};
        instant rotated{}; ///< The end of its last key rotation.
    };

    struct outcome {
        std::optional<errc> failure = std::nullopt;
        std::optional<denial> denied = std::nullopt;
        state then = std::nullopt;
        bool touched = false; ///< It counts as used.
        std::optional<instant> sleeps_at = std::nullopt;
    };

    /// How long it may take to fall asleep once it is time.
    static constexpr duration falls_asleep_in{500};

    /// What may be at a time: one thing, but for the moment in which it falls asleep.
    [[nodiscard]] std::vector<state> possible(const engine& known, instant now) const {
        if (known.is != engine_status::running || scene_.settings.sleep_after == duration{0})
            return {known.is};
        const auto sleeps_at = std::max(known.used + scene_.settings.sleep_after, known.busy_until);
        if (now < sleeps_at) return {known.is};
        // One whose key was being rotated when it was time is looked at again with its next probe.
        const auto late = known.rotated > sleeps_at ? scene_.settings.health_check_interval
                                                    : duration{0};
        if (now > sleeps_at + late + falls_asleep_in) return {engine_status::sleeping};
        return {known.is, engine_status::sleeping};
    }

    [[nodiscard]] std::string shown(const engine& known, instant now) const {
        std::string out;
        for (const auto& one : possible(known, now))
            out += (out.empty() ? "is " : " or ") + std::string(one ? name_of(*one) : "absent");
        return out;
    }

    [[nodiscard]] outcome expect(const sim_call& call, state is, const engine& known) const {
        using enum engine_status;
        const auto& asked = call.request;
        const auto refuse = [&](errc why) { return outcome{.failure = why, .then = is}; };
        const outcome runs{.then = running, .touched = true};
        if (!is && (asked.what == sim_call_kind::provision || asked.how.auto_provision))
            return expect_creation(call);
        if (!is && asked.what == sim_call_kind::admit)
            return {.denied = denial::engine_not_found, .then = is};
        if (!is) return refuse(errc::engine_not_found);
        switch (asked.what) {
        case sim_call_kind::provision: return refuse(errc::engine_already_exists);
        case sim_call_kind::admit:
            if (is == running || (is == sleeping && asked.how.auto_wake)) return runs;
            return {.denied = denial::engine_sleeping, .then = is};
        case sim_call_kind::start:
            return is == running ? refuse(errc::engine_already_running) : runs;
        case sim_call_kind::stop:
            if (is == running || (is == sleeping && asked.force)) return {.then = stopped};
            return refuse(errc::engine_not_running);
        case sim_call_kind::rotate:
            return is == running ? outcome{.then = is} : refuse(errc::engine_not_running);
        case sim_call_kind::destroy: return {.then = std::nullopt};
        case sim_call_kind::activity: return expect_activity(call, is, known);
        }
        return refuse(errc::internal_error);
    }

    [[nodiscard]] outcome expect_creation(const sim_call& call) const {
        const auto refuse = [](errc why) { return outcome{.failure = why}; };
        const auto ports = std::size_t{scene_.settings.port_max} - scene_.settings.port_min + 1;
        if (!call.limits.allow_provision.value_or(true)) return refuse(errc::policy_denied);
        if (call.limits.max_engines && count(call.request.user.first) >= *call.limits.max_engines)
            return refuse(errc::quota_exceeded);
        if (scene_.needs_port && count(std::nullopt) >= ports) return refuse(errc::port_exhaustion);
        return {.then = engine_status::running, .touched = true};
    }

    [[nodiscard]] outcome expect_activity(const sim_call& call, state is,
                                          const engine& known) const {
        outcome out{.then = is};
        if (is != engine_status::running) return out;
        out.touched = true;
        if (scene_.settings.sleep_after == duration{0}) return out;
        out.sleeps_at = std::max(call.issued_at + scene_.settings.sleep_after,
                                 leased_until(call, known));
        return out;
    }

    static instant leased_until(const sim_call& call, const engine& known) {
        const auto busy_for = call.request.busy_for;
        return busy_for ? std::max(known.busy_until, call.issued_at + *busy_for) : known.busy_until;
    }

    [[nodiscard]] std::size_t count(std::optional<uuid> product) const {
        return static_cast<std::size_t>(
            std::count_if(users_.begin(), users_.end(), [&](const auto& one) {
                return one.second.is && (!product || one.first.first == *product);
            }));
    }

    static bool agree(const outcome& wanted, const sim_answer& how) {
        return wanted.failure == how.failure && wanted.denied == how.denied &&
               wanted.sleeps_at == how.sleeps_at;
    }

    void move(engine& known, const sim_call& call, const outcome& how) {
        const bool activity = call.request.what == sim_call_kind::activity;
        if (activity && how.touched) known.busy_until = leased_until(call, known);
        if (!how.then) known = {};
        known.is = how.then;
        if (call.request.what == sim_call_kind::rotate) known.rotated = timeline_->now();
        // Whether it was awake or slept when a call met it, what it does then counts from the end
        // of the call.
        if (how.touched) known.used = activity ? call.issued_at : timeline_->now();
    }

    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_judge> judge_;
    const sim_scene scene_;
    bool exact_;
    std::map<sim_user, engine> users_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

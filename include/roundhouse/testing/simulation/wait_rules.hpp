#pragma once

#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/pending_calls.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Holds callers who choose how long they wait to that time: they are not told earlier that a call is
/// under way, and are answered soon after it.
class wait_rules {
public:
    wait_rules(const timeline& time, violations& found, const pending_calls& calls,
               const settings& settings)
        : time_(time), violations_(found), calls_(calls), settings_(settings) {}

    void answered(const pending_call& call, const call_answer& answer) const {
        if (!answer.under_way || !call.request.wait) return;
        violations_.require(time_.now() >= call.issued_at + *call.request.wait,
                            "a caller is told too early that its call is under way",
                            call.request.owner.user_id);
    }

    /// To be called after every event.
    void check() {
        if (time_.now() < next_check_) return;
        next_check_ = time_.now() + std::chrono::seconds{1};
        calls_.for_each([this](pending_calls::number id, const pending_call& call) {
            if (!call.request.wait) return;
            const auto late = time_.now() - call.issued_at - *call.request.wait;
            violations_.require(
                late <= settings_.store_wait + tolerance, "a caller waits longer than it chose to",
                "call " + std::to_string(id) + ", " + std::string(name_of(call.request.kind)) +
                    " of " + call.request.owner.user_id);
        });
    }

private:
    /// Beyond `store_wait`, in which what is told may have to be stored first.
    static constexpr duration tolerance = std::chrono::seconds{2};

    const timeline& time_;
    violations& violations_;
    const pending_calls& calls_;
    const settings& settings_;
    instant next_check_{};
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

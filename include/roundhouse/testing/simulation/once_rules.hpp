#pragma once

#include <roundhouse/engine_owner.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/testing/simulation/wall_clock.hpp>
#include <roundhouse/types.hpp>

#include <map>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Holds calls with an idempotency key to what they promise: for a day, all that succeed with the
/// same key have the same engine, and its same key.
class once_rules {
public:
    /// In a faulty world the store may have refused an answer; then a later one has the engine's key
    /// of that time.
    once_rules(const timeline& time, const wall_clock& wall, violations& found, bool faulty)
        : time_(time), wall_(wall), violations_(found), faulty_(faulty) {}

    void answered(const call_request& request, const call_answer& answer) {
        if (!answer.engine) return;
        const auto [place, first] = promises_.try_emplace({request.owner, request.key});
        auto& known = place->second;
        // The record is as old as the engine. How old that is depends on the wall clock.
        const bool in_force = time_.now() < known.made_at + idempotency_lifetime;
        if (!first && in_force && wall_.shifts() == 0) {
            violations_.require(known.engine == answer.engine->id,
                                "an idempotency key has made two engines", request.owner.user_id);
            violations_.require(faulty_ || known.api_key == answer.engine->api_key(),
                                "a repeated call is answered with another key",
                                request.owner.user_id);
        }
        known = {answer.engine->id, std::string(answer.engine->api_key()),
                 answer.engine->created_at};
    }

private:
    /// What the last call with a key was answered.
    struct promise {
        uuid engine{};
        std::string api_key;
        instant made_at{};
    };

    const timeline& time_;
    const wall_clock& wall_;
    violations& violations_;
    const bool faulty_;
    std::map<std::pair<engine_owner, std::string>, promise> promises_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

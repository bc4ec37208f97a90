#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/testing/simulation/calls.hpp>
#include <roundhouse/testing/simulation/random.hpp>
#include <roundhouse/testing/simulation/scene.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What users and operators do next.
struct sim_action {
    enum class kind : std::uint8_t { call, read, set_policy };

    kind what = kind::call;
    std::size_t product = 0;
    sim_request request; ///< `user.first` is filled in by who knows the product's id.
    policy limits;
};

/// Draws what users do. Draws the same whatever becomes of it.
class sim_users {
public:
    sim_users(sim_random random, const sim_scene& scene) : random_(random), scene_(scene) {
        for (auto& weight : weights_) weight = 1 + random_.below(8);
    }

    [[nodiscard]] sim_action next() {
        sim_action out;
        out.product = random_.below(scene_.products);
        out.request.user.second = "user" + std::to_string(random_.below(scene_.users));
        const auto dice = random_.below(100);
        if (dice < 4) out.what = sim_action::kind::read;
        else if (dice < 8) out.what = sim_action::kind::set_policy;
        out.limits = some_policy();
        draw(out.request);
        return out;
    }

    /// Many come at once, some after a while, few after long.
    [[nodiscard]] duration gap() {
        if (random_.chance(0.4) && scene_.manners == sim_manners::wild) return duration{0};
        if (random_.chance(0.5)) return random_.between(duration{0}, duration{300});
        if (random_.chance(0.05)) return random_.between(duration{0}, std::chrono::seconds{90});
        return random_.between(duration{0}, scene_.longest_gap);
    }

    [[nodiscard]] policy some_policy() {
        policy out;
        if (random_.chance(0.7)) out.max_engines = random_.below(scene_.users + 1);
        // The model knows nothing of rates.
        if (scene_.manners == sim_manners::wild && random_.chance(0.2))
            out.rate_limit_rpm = random_.between(0, 40);
        if (random_.chance(0.1)) out.allow_provision = false;
        return out;
    }

private:
    void draw(sim_request& out) {
        out.what = some_kind();
        switch (out.what) {
        case sim_call_kind::admit: out.how = {random_.chance(0.5), random_.chance(0.5)}; break;
        case sim_call_kind::stop: out.force = random_.chance(0.5); break;
        case sim_call_kind::activity:
            if (random_.chance(0.5))
                out.busy_for = random_.between(duration{0}, std::chrono::seconds{60});
            break;
        default: break;
        }
    }

    sim_call_kind some_kind() {
        // Without engines there is nothing to do: twice as many calls make one as end one.
        static constexpr std::array kinds{sim_call_kind::provision, sim_call_kind::admit,
                                          sim_call_kind::admit,     sim_call_kind::start,
                                          sim_call_kind::stop,      sim_call_kind::rotate,
                                          sim_call_kind::destroy,   sim_call_kind::activity};
        std::uint64_t sum = 0;
        for (const auto weight : weights_) sum += weight;
        auto at = random_.below(sum);
        for (std::size_t i = 0; i < kinds.size(); ++i) {
            if (at < weights_[i]) return kinds[i];
            at -= weights_[i];
        }
        return sim_call_kind::admit;
    }

    sim_random random_;
    const sim_scene scene_;
    std::array<std::uint64_t, 8> weights_{};
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

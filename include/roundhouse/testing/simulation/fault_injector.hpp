#pragma once

#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/testing/simulation/random_generator.hpp>

#include <array>
#include <cstddef>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Decides which faults fire in one run. Each kind has a rate that is drawn from the seed.
class fault_injector {
public:
    /// Injects nothing.
    explicit fault_injector(random_generator random) : random_(random) {}

    /// Injects a drawn subset of all kinds.
    [[nodiscard]] static fault_injector drawn(random_generator random) {
        fault_injector out(random);
        const double share = out.random_.fraction();
        const double heavy = out.random_.chance(0.3) ? 0.5 : 0.15;
        for (std::size_t i = 0; i < fault_count; ++i)
            if (out.random_.chance(share)) out.rates_[i] = 0.01 + heavy * out.random_.fraction();
        out.active_ = true;
        return out;
    }

    /// Whether a fault fires now; if so, it is counted.
    [[nodiscard]] bool fires(fault kind) {
        if (!active_) return false;
        const auto rate = rates_[static_cast<std::size_t>(kind)];
        if (rate == 0 || !random_.chance(rate)) return false;
        fired_.count(kind);
        return true;
    }

    /// Stops injecting for good.
    void end() noexcept { active_ = false; }
    [[nodiscard]] bool active() const noexcept { return active_; }

    /// Counts a fault that was decided elsewhere.
    void count(fault kind) noexcept { fired_.count(kind); }
    [[nodiscard]] const fault_counts& fired() const noexcept { return fired_; }
    [[nodiscard]] random_generator& random() noexcept { return random_; }

private:
    random_generator random_;
    std::array<double, fault_count> rates_{};
    fault_counts fired_;
    bool active_ = false;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/random_generator.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// How calls of users follow each other: at any time, or each after the answer of the one before.
enum class call_order : std::uint8_t { concurrent, sequential };

/// The world as a seed draws it, before anything happens in it. Limits are small, so that runs
/// reach them often.
struct scenario {
    roundhouse::settings settings;
    bool needs_port = false;
    bool faulty = true; ///< Faults are injected.
    call_order order = call_order::concurrent;
    std::size_t products = 1;
    std::size_t users = 3;             ///< Of each product.
    duration longest_action_gap{};     ///< Between two actions of users.
    duration longest_fault_gap{3'000}; ///< Between two rounds of spontaneous faults.
    /// The most boots of a product at once that any policy of the run allows; nothing if none sets a
    /// limit.
    std::optional<std::uint64_t> most_boots;
    std::size_t orphans = 0;          ///< Workloads of ours that have no row when the run begins.
    std::size_t foreign = 0;          ///< Workloads of another installation.
    std::set<std::uint64_t> crash_at; ///< Crash points, as in `run_options`.

    /// Whether users upgrade engines, also to versions that fail. `model` knows neither.
    [[nodiscard]] bool upgrades() const noexcept {
        return faulty && order == call_order::concurrent;
    }

    static scenario drawn(random_generator random) {
        scenario out;
        out.faulty = !random.chance(0.15);
        if (!out.faulty && random.chance(0.7)) out.order = call_order::sequential;
        out.products = random.between(1, 3);
        out.users = random.between(1, 4);
        out.needs_port = random.chance(0.7);
        out.longest_action_gap = duration{random.chance(0.5) ? 1'000 : 15'000};
        out.settings = settings_drawn(random);
        out.orphans = random.chance(0.2) ? random.between(1, 3) : 0;
        out.foreign = random.chance(0.2) ? 1 : 0;
        if (out.order == call_order::concurrent && random.chance(0.4))
            for (auto left = random.between(1, 6); left > 0; --left)
                out.crash_at.insert(random.below(1'500));
        auto sleeps = random.branch("sleeps");
        if (sleeps.chance(0.5))
            out.settings.deep_sleep_after = std::chrono::seconds{sleeps.between(1, 60)};
        if (random.chance(0.1)) out.take_months();
        if (random.chance(0.3)) out.most_boots = random.between(1, 2);
        if (random.chance(0.3)) out.settings.default_policy.max_engines = random.below(4);
        if (random.chance(0.2)) out.crowd(random);
        out.settings.prepare_concurrency = random.between(1, 4);
        if (random.chance(0.2)) out.settings.default_policy.max_memory_mb = random.between(6, 64);
        if (out.settings.default_policy.max_memory_mb && random.chance(0.5))
            out.settings.default_policy.max_total_memory_mb = random.below(64 * out.users);
        return out;
    }

private:
    /// Puts days between two actions.
    void take_months() {
        using std::chrono::hours;
        longest_action_gap = hours{96};
        longest_fault_gap = hours{24};
        settings.health_check_interval = hours{1};
        if (settings.sleep_after > duration{0}) settings.sleep_after *= 1'000;
        settings.deep_sleep_after *= 1'000;
    }

    /// Gives one product so many engines that they can fail together.
    void crowd(random_generator& random) {
        using std::chrono::seconds;
        products = 1;
        users = random.between(5, 10);
        settings.port_max = static_cast<std::uint16_t>(settings.port_min + 2 * users);
        settings.brake_percent = random.chance(0.1)
                                     ? 0
                                     : static_cast<std::uint32_t>(random.between(30, 100));
        settings.brake_max = seconds{random.between(10, 600)};
        settings.brake_min_failing = random.between(2, 5);
        settings.sleep_after = duration{0}; // Those that sleep are not probed.
    }

    static roundhouse::settings settings_drawn(random_generator& random) {
        using std::chrono::seconds;
        roundhouse::settings out;
        out.port_min = 9'000;
        out.port_max = static_cast<std::uint16_t>(9'000 + random.between(1, 8));
        out.boot_timeout = seconds{20};
        out.boot_concurrency = random.between(1, 4);
        out.stop_grace = seconds{5};
        out.health_check_interval = seconds{10};
        out.health_check_timeout = seconds{3};
        out.health_max_failures = static_cast<std::uint32_t>(random.between(1, 3));
        out.health_concurrency = random.between(1, 8);
        out.restart_backoff_base = seconds{1};
        out.restart_backoff_max = seconds{20};
        out.restart_max_attempts = static_cast<std::uint32_t>(random.between(0, 8));
        out.restart_reset = seconds{60};
        out.brake_max = seconds{600};
        out.sleep_after = random.chance(0.25) ? duration{0} : seconds{random.between(5, 60)};
        out.admit_wait = seconds{random.between(0, 10)};
        out.backend_timeout = seconds{30};
        out.create_timeout = seconds{60};
        out.copy_timeout = seconds{30};
        out.max_waiting_per_engine = random.between(4, 100);
        return out;
    }
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

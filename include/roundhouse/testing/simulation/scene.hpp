#pragma once

#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/random.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What to simulate: the same plan, the same run.
struct sim_plan {
    std::uint64_t seed = 0;
    std::size_t actions = 200;
    /// Where the process dies (`sim_crash_plan`), beside where its seed has it die.
    std::set<std::uint64_t> crash_at = {};
    /// Keep the whole trace instead of its last lines.
    bool whole_trace = false;
};

/// What users of a run do: anything at any time, or one thing after the other.
enum class sim_manners : std::uint8_t { wild, in_turn };

/// What a seed makes of the world before anything happens in it. Limits are small, so that they are
/// met often.
struct sim_scene {
    roundhouse::settings settings;
    bool needs_port = false;
    bool faulty = true;
    sim_manners manners = sim_manners::wild;
    std::size_t products = 1;
    std::size_t users = 3;            ///< of each product
    duration longest_gap{};           ///< between two actions
    duration mischief_gap{3'000};     ///< at most, between two things that befall the machine
    std::size_t orphans = 0;          ///< Workloads of ours that have no row from the beginning.
    std::size_t foreign = 0;          ///< Another installation's workloads.
    std::set<std::uint64_t> crash_at; ///< Beside those of the plan.

    static sim_scene drawn(sim_random random) {
        sim_scene out;
        out.faulty = !random.chance(0.15);
        if (!out.faulty && random.chance(0.7)) out.manners = sim_manners::in_turn;
        out.products = random.between(1, 2);
        out.users = random.between(1, 4);
        out.needs_port = random.chance(0.7);
        out.longest_gap = duration{random.chance(0.5) ? 1'000 : 15'000};
        out.settings = settings_drawn(random);
        out.orphans = random.chance(0.2) ? random.between(1, 3) : 0;
        out.foreign = random.chance(0.2) ? 1 : 0;
        if (out.manners == sim_manners::wild && random.chance(0.4))
            for (auto left = random.between(1, 6); left > 0; --left)
                out.crash_at.insert(random.below(1'500));
        if (random.chance(0.1)) out.take_months();
        return out;
    }

private:
    /// The same, in slow motion: between two actions there are days.
    void take_months() {
        using std::chrono::hours;
        longest_gap = hours{96};
        mischief_gap = hours{24};
        settings.health_check_interval = hours{1};
        if (settings.sleep_after > duration{0}) settings.sleep_after *= 1'000;
    }

    static roundhouse::settings settings_drawn(sim_random& random) {
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
        out.sleep_after = random.chance(0.25) ? duration{0} : seconds{random.between(5, 60)};
        out.admit_wait = seconds{random.between(0, 10)};
        out.backend_timeout = seconds{30};
        out.create_timeout = seconds{60};
        out.max_waiting_per_engine = random.between(4, 100);
        return out;
    }
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

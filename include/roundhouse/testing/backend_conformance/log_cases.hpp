#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

/// What a backend promises of `logs`, and of `boot_logs` if it has that.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::log_cases {

[[nodiscard]] inline std::size_t lines_of(const std::string& text) {
    const auto ends = std::count(text.begin(), text.end(), '\n');
    return static_cast<std::size_t>(ends) + (text.empty() || text.ends_with('\n') ? 0 : 1);
}

template <backend Backend> void logs_are_bounded(backend_trial<Backend>& trial) {
    constexpr std::size_t tail = 2;
    const auto unknown = trial.fresh();
    require(must(trial.logs(unknown, tail)).empty(), "an unknown engine has written nothing");
    const auto engine = trial.boot();
    require(lines_of(must(trial.logs(engine, tail))) <= tail, "no more lines than asked for");
    require(must(trial.logs(engine, 0)).empty(), "no lines where none were asked for");
    must(trial.stop(engine));
    require(lines_of(must(trial.logs(engine, tail))) <= tail, "also of a stopped engine");
    must(trial.destroy(engine));
    require(must(trial.logs(engine, tail)).empty(), "a destroyed engine has written nothing");
}

template <backend Backend> void boot_logs_are_bounded(backend_trial<Backend>& trial) {
    if constexpr (separates_boot_logs<Backend>) {
        constexpr std::size_t tail = 2;
        const auto unknown = trial.fresh();
        require(must(trial.boot_logs(unknown, tail)).empty(),
                "an unknown engine has written nothing");
        const auto engine = trial.boot();
        require(lines_of(must(trial.boot_logs(engine, tail))) <= tail,
                "no more lines than asked for");
        require(must(trial.boot_logs(engine, 0)).empty(), "no lines where none were asked for");
    }
}

template <backend Backend> void boot_logs_are_of_one_generation(backend_trial<Backend>& trial) {
    if constexpr (separates_boot_logs<Backend>) {
        constexpr std::size_t tail = 1'000;
        const auto older = trial.boot();
        const auto newer = next_generation(older);
        must(trial.stop(older)); // so that its output is complete
        const auto before = must(trial.boot_logs(older, tail));
        must(trial.create(newer));
        trial.await_healthy(newer);
        must(trial.stop(newer));
        const auto after = must(trial.boot_logs(newer, tail));
        require(lines_of(after) <= lines_of(before),
                "a second boot's log does not hold the first boot's output");
        require(must(trial.logs(newer, tail)).ends_with(after),
                "the boot's log is the end of the engine's log");
    }
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"logs are bounded, and empty where there is nothing", logs_are_bounded<Backend>},
        {"boot logs are bounded, and empty where there is nothing", boot_logs_are_bounded<Backend>},
        {"boot logs hold the output of one generation only",
         boot_logs_are_of_one_generation<Backend>},
    };
}

} // namespace testing::log_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

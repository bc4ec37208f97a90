#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What a backend promises of `logs`, and of `boot_logs` and `open_logs` if it has them.
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

template <backend Backend> void opened_logs_are_what_logs_show(backend_trial<Backend>& trial) {
    if constexpr (opens_logs<Backend>) {
        constexpr std::size_t all = 1'000;
        const auto engine = trial.boot();
        must(trial.stop(engine)); // so that its output is complete
        const auto shown = must(trial.logs(engine, all));
        require(must(trial.read_output(engine, {.tail = all})) == shown, "all lines");
        require(must(trial.read_output(engine, {.tail = std::nullopt})) == shown, "without a tail");
        require(must(trial.read_output(engine, {.tail = 1})) == must(trial.logs(engine, 1)),
                "the last line");
        require(must(trial.read_output(engine, {.tail = 0})).empty(), "no line");
        const log_query from_the_epoch{.tail = std::nullopt, .since = instant{}};
        require(must(trial.read_output(engine, from_the_epoch)) == shown, "since the epoch");
        const log_query from_the_future{
            .tail = std::nullopt,
            .since = std::chrono::floor<duration>(std::chrono::system_clock::now()) +
                     std::chrono::hours{1}};
        require(must(trial.read_output(engine, from_the_future)).empty(), "since a later time");
    }
}

template <backend Backend>
void nothing_is_followed_where_nothing_runs(backend_trial<Backend>& trial) {
    if constexpr (opens_logs<Backend>) {
        const log_query query{.tail = 0, .follow = true};
        const auto engine = trial.fresh();
        require(must(trial.read_output(engine, query)).empty(), "an unknown engine");
        const auto stopped = trial.boot();
        must(trial.stop(stopped));
        require(must(trial.read_output(stopped, query)).empty(), "a stopped engine");
    }
}

template <backend Backend>
void followed_output_ends_with_the_workload(backend_trial<Backend>& trial) {
    if constexpr (opens_logs<Backend>) {
        constexpr std::size_t all = 1'000;
        const auto engine = trial.boot();
        const auto source = must(trial.open_logs(engine, {.tail = all, .follow = true}));
        auto reading = trial.start_read_to_end(source);
        must(trial.pause(engine));
        must(trial.resume(engine));
        must(trial.stop(engine));
        require(must(trial.finish(std::move(reading))) == must(trial.logs(engine, all)),
                "what was followed is all that was written");
        require(must(trial.finish(trial.start_read(source))).empty(), "the end stays the end");
    }
}

template <backend Backend> void a_wait_for_output_can_be_cancelled(backend_trial<Backend>& trial) {
    if constexpr (opens_logs<Backend>) {
        const auto engine = trial.boot();
        const auto source = must(trial.open_logs(engine, {.tail = 0, .follow = true}));
        trial.start_and_cancel(backend_operations::read_piece(source));
    }
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"logs are bounded, and empty where there is nothing", logs_are_bounded<Backend>},
        {"boot logs are bounded, and empty where there is nothing", boot_logs_are_bounded<Backend>},
        {"boot logs hold the output of one generation only",
         boot_logs_are_of_one_generation<Backend>},
        {"opened logs are what logs show", opened_logs_are_what_logs_show<Backend>},
        {"nothing is followed where nothing runs", nothing_is_followed_where_nothing_runs<Backend>},
        {"followed output ends with the workload", followed_output_ends_with_the_workload<Backend>},
        {"a wait for output can be cancelled", a_wait_for_output_can_be_cancelled<Backend>},
    };
}

} // namespace testing::log_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

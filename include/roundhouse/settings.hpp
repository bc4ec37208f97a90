#pragma once

#include <roundhouse/types.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The numbers that an orchestrator works with. Those of the first part are described in SPEC §9,
/// where each is an option of the reference server. Those of the second part are limits that rarely
/// need a change.
struct settings {
    std::string default_version = "september-engine:latest";
    /// Whether a version names a program of this machine: then a product may use those only that the
    /// policy in force lists (`allowed_versions`), beside the default one.
    bool versions_need_allowing = false;
    /// Holds for products whose own policy has no member.
    policy default_policy;

    std::uint16_t port_min = 9001;
    std::uint16_t port_max = 9999; ///< inclusive

    /// How far off a restart may be for an admit to wait for it.
    duration admit_wait = std::chrono::seconds{10};
    /// How long a workload may take to become healthy once it has been started.
    duration boot_timeout = std::chrono::seconds{60};
    std::size_t boot_concurrency = 16; ///< Boots at the same time; further boots are queued.
    duration stop_grace = std::chrono::seconds{30}; ///< Between SIGTERM and SIGKILL.

    duration health_check_interval = std::chrono::seconds{30};
    duration health_check_timeout = std::chrono::seconds{10};
    /// Failed probes in a row after which a running engine counts as failed.
    std::uint32_t health_max_failures = 3;
    std::size_t health_concurrency = 256; ///< Probes at the same time.
    /// The share of a product's running engines that must fail their probes together for failed
    /// probes not to count; 0 turns this off.
    std::uint32_t brake_percent = 50;
    /// How long that may last before failing engines are restarted one at a time, as a trial.
    duration brake_max = std::chrono::seconds{3600};

    duration restart_backoff_base = std::chrono::seconds{5}; ///< The wait before the first restart.
    duration restart_backoff_max = std::chrono::seconds{300};
    std::uint32_t restart_max_attempts = 8; ///< 0 turns auto-restart off.
    /// How long an engine must have been healthy for its restart attempts to count from 0 again.
    duration restart_reset = std::chrono::seconds{300};

    duration sleep_after = std::chrono::seconds{1800}; ///< 0 turns sleep off.
    /// How long an engine sleeps paused until its workload is ended; 0: for ever.
    duration deep_sleep_after{0};
    /// The share of failed engines at which a fleet's health is `critical`.
    std::uint32_t critical_percent = 25;
    std::uint32_t audit_retention_days = 90; ///< 0 keeps all rows.

    // What follows is not an option of the reference server.

    /// The least time between two `health_check` audit rows of an engine.
    duration health_row_interval = std::chrono::hours{1};

    /// The least number of failing engines for `brake_percent` to apply.
    std::size_t brake_min_failing = 5;
    /// The number of audit rows about brakes that wait for a store which refuses them; further ones
    /// are only logged.
    std::size_t max_unstored_brake_rows = 1'000;

    /// The number of workloads that the backend prepares at the same time, for example by pulling
    /// their images; further ones are queued. A boot holds none of the `boot_concurrency` turns
    /// meanwhile. Without effect on a backend that has no `prepare`.
    std::size_t prepare_concurrency = 16;
    /// How long the backend may take to prepare a workload, and then to start it, each counted from
    /// the boot's turn to do so. `boot_timeout` begins when the workload has started.
    duration create_timeout = std::chrono::minutes{35};
    /// The wait between the first probes of a boot; it grows up to `boot_probe_max`.
    duration boot_probe_min{5};
    duration boot_probe_max{250};
    /// The number of lines of an engine's output that are logged when its boot has failed.
    std::size_t boot_log_lines = 50;
    /// Like `stop_grace`, for the remains of a failed engine's workload.
    duration failed_grace = std::chrono::seconds{2};
    /// The first wait before an operation is repeated that the backend refused and that must be
    /// completed: a destroy, or the end of a failed workload. Doubled each time up to `retry_max`.
    duration retry_base = std::chrono::seconds{1};
    duration retry_max = std::chrono::seconds{60};
    /// How long the backend may take to copy the data of an engine for an upgrade, and to put it back.
    duration copy_timeout = std::chrono::hours{1};
    /// The most bytes of data that an upgrade copies which does not say whether a copy is wanted.
    std::uint64_t copied_by_default = std::uint64_t{1} << 30U;
    /// How long a call to the backend may take beyond the grace or timeout given to it.
    duration backend_timeout = std::chrono::seconds{60};

    /// The first wait before a transition is repeated whose commit the store refused. Doubled each
    /// time up to `store_retry_max`.
    duration store_retry = std::chrono::milliseconds{200};
    duration store_retry_max = std::chrono::seconds{5};
    /// How long a call waits for a transition of its engine that the store refuses. After that it
    /// fails with `errc::store_unavailable`, and further calls fail at once.
    duration store_wait = std::chrono::seconds{5};
    /// How often a change is decided anew because another commit changed the record first.
    int commit_attempts = 8;

    /// Audit rows are removed by age only after the wall clock has run steadily for this long: a
    /// clock that was set forward makes rows seem old.
    duration clock_settles_after = std::chrono::hours{1};
    /// How long a start waits until every engine has been found and every workload without a row
    /// has ended. Engines that are not found by then stay unreconciled: calls for them wait, and
    /// calls for all others are handled.
    duration recovery_wait{500};
    /// The number of engines whose backend events are handled at the same time. Thousands of events
    /// arrive when a fleet starts or a daemon ends; the bound keeps calls from waiting behind them.
    std::size_t background_drains = 2;
    /// The number of calls that may wait for one engine; further calls are `overloaded`.
    std::size_t max_waiting_per_engine = 10'000;
    /// The number of calls that may wait for all engines together, of which one product may have
    /// half.
    std::size_t max_waiting = 100'000;
    /// How many engines of a product that is deleted are destroyed at once.
    std::size_t deletion_concurrency = 16;
    /// The number of streams of one engine's output that may be open; further ones are `overloaded`.
    std::size_t max_log_streams_per_engine = 200;
    /// The number of streams of all engines' output that may be open together, of which one product
    /// may have half.
    std::size_t max_log_streams = 1'000;
    /// How often activity and folded denials, which are kept in memory at first, are committed, and
    /// old audit rows are removed.
    duration write_behind_interval = std::chrono::seconds{60};
    std::size_t audit_prune_batch = 1'000; ///< Audit rows removed per commit.
    std::size_t activity_batch = 1'000;    ///< Engines whose activity is written per commit.
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

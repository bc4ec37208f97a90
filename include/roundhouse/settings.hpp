#pragma once

#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Every number that the orchestrator goes by. The first part is SPEC §9's, with its defaults; the
/// second part bounds what would else be unbounded, and rarely needs a change.
struct settings {
    std::string default_version = "september-engine:latest";

    std::uint16_t port_min = 9001;
    std::uint16_t port_max = 9999; ///< inclusive

    duration admit_wait = std::chrono::seconds{10};
    duration boot_timeout = std::chrono::seconds{60};
    std::size_t boot_concurrency = 16;
    duration stop_grace = std::chrono::seconds{30};

    duration health_check_interval = std::chrono::seconds{30};
    duration health_check_timeout = std::chrono::seconds{10};
    std::uint32_t health_max_failures = 3;
    std::size_t health_concurrency = 256;

    duration restart_backoff_base = std::chrono::seconds{5};
    duration restart_backoff_max = std::chrono::seconds{300};
    std::uint32_t restart_max_attempts = 8; ///< 0 turns auto-restart off
    duration restart_reset = std::chrono::seconds{300};

    duration sleep_after = std::chrono::seconds{1800}; ///< 0 turns sleep off
    std::uint32_t critical_percent = 25;
    std::uint32_t audit_retention_days = 90; ///< 0 keeps all

    /// By when the backend must have started a workload, once its turn to boot has come: pulling an
    /// image takes its time. `boot_timeout` runs from then on.
    duration create_timeout = std::chrono::minutes{35};
    /// Boot probes come this close together at first, and back off to `boot_probe_max`.
    duration boot_probe_min{5};
    duration boot_probe_max{250};
    /// So many of the last lines that an engine wrote go into the log when its boot has failed.
    std::size_t boot_log_lines = 50;
    /// What is left of a failed engine gets this long between SIGTERM and SIGKILL.
    duration failed_grace = std::chrono::seconds{2};
    /// First wait before an operation that the backend refused is tried again, where the
    /// orchestrator must keep trying (a destroy, the end of a failed workload); doubled each time
    /// up to `retry_max`.
    duration retry_base = std::chrono::seconds{1};
    duration retry_max = std::chrono::seconds{60};
    /// How long a call to the backend may take beyond the grace or timeout that it was given.
    duration backend_timeout = std::chrono::seconds{60};
    /// A transition whose commit the store refuses is tried again after this long.
    duration store_retry = std::chrono::milliseconds{200};
    /// How long a start waits until every engine is found again and every workload without a row
    /// has ended. Engines that are not found by then are held: calls of theirs wait, and all others
    /// are taken.
    duration recovery_wait{500};
    /// A commit that lost a race is tried again from a fresh read at most so often.
    int commit_attempts = 8;
    /// Events come by the thousand when a fleet starts or a daemon ends: they are taken in for so
    /// many engines at a time, so that calls do not wait behind them.
    std::size_t background_drains = 2;
    /// How many calls may wait on one engine, and on all together, before further ones are
    /// `overloaded`.
    std::size_t max_waiting_per_engine = 10'000;
    std::size_t max_waiting = 100'000;
    /// How often what was only noted in memory (activity, folded denials) is written down, and old
    /// audit rows removed.
    duration write_behind_interval = std::chrono::seconds{60};
    std::size_t audit_prune_batch = 1'000;
    std::size_t activity_batch = 1'000; ///< Engines whose last use is written in one commit.
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

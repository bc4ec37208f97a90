#pragma once

#include <roundhouse/version.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim {

/// A kind of fault that a simulation injects.
enum class fault : std::uint8_t {
    call_fails,        ///< A backend call fails and has no effect.
    reply_lost,        ///< A backend call has its effect and fails.
    never_answered,    ///< A backend call hangs until it is cancelled; a create, for minutes.
    late_answer,       ///< A backend call is answered after seconds.
    twice,             ///< A backend call has its effect a second time.
    cancelled_late,    ///< A backend call has its effect although it was cancelled.
    lone_death,        ///< A workload exits with a failure.
    clean_death,       ///< A workload exits with code 0.
    late_exit,         ///< An exit is reported after seconds.
    double_exit,       ///< An exit is reported twice.
    removed,           ///< A third party removes a workload; its data stays.
    paused_alone,      ///< A third party pauses a workload.
    resumed_alone,     ///< A third party resumes a paused workload.
    daemon_away,       ///< Every backend call fails for a while.
    slow_boot,         ///< A boot takes about as long as the boot timeout, or longer.
    never_healthy,     ///< A workload never becomes healthy.
    dies_booting,      ///< A workload exits while it boots.
    sick,              ///< An engine answers probes as unhealthy for a while.
    busy,              ///< An engine answers probes as busy for a while.
    hung_probe,        ///< An engine does not answer probes for a while.
    stranger,          ///< A foreign process takes a host port.
    swap_unsupported,  ///< An engine cannot take a new key while it runs.
    swap_unknown,      ///< It is not known whether an engine took its new key.
    store_refuses,     ///< A commit fails.
    store_denies,      ///< A commit is made and reports a failure.
    store_full,        ///< Every commit fails for a while.
    crash_before,      ///< The process dies just before an interaction has its effect.
    crash_after,       ///< The process dies just after an interaction had its effect.
    store_full_midway, ///< Every commit fails for a while after an operation has begun.
    clock_set,         ///< The wall clock is set forward or back, for good or for seconds.
    outage,            ///< All engines of a product answer probes as unhealthy for a while.
    count_of_faults,
};

inline constexpr std::size_t fault_count = static_cast<std::size_t>(fault::count_of_faults);

namespace detail {

inline constexpr std::array<std::string_view, fault_count> fault_names{
    "call_fails",
    "reply_lost",
    "never_answered",
    "late_answer",
    "twice",
    "cancelled_late",
    "lone_death",
    "clean_death",
    "late_exit",
    "double_exit",
    "removed",
    "paused_alone",
    "resumed_alone",
    "daemon_away",
    "slow_boot",
    "never_healthy",
    "dies_booting",
    "sick",
    "busy",
    "hung_probe",
    "stranger",
    "swap_unsupported",
    "swap_unknown",
    "store_refuses",
    "store_denies",
    "store_full",
    "crash_before",
    "crash_after",
    "store_full_midway",
    "clock_set",
    "outage",
};

} // namespace detail

constexpr std::string_view name_of(fault kind) noexcept {
    return detail::fault_names[static_cast<std::size_t>(kind)];
}

/// How often each fault fired.
struct fault_counts {
    std::array<std::uint64_t, fault_count> of{};

    void count(fault kind) noexcept { ++of[static_cast<std::size_t>(kind)]; }
    void add(const fault_counts& other) noexcept {
        for (std::size_t i = 0; i < of.size(); ++i) of[i] += other.of[i];
    }

    /// One line for each fault: its name and its count.
    [[nodiscard]] std::string text() const {
        std::string out;
        for (std::size_t i = 0; i < of.size(); ++i)
            out += std::string(detail::fault_names[i]) + ' ' + std::to_string(of[i]) + '\n';
        return out;
    }
};

} // namespace testing::sim
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

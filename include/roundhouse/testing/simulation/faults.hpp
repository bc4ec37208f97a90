#pragma once

#include <roundhouse/testing/simulation/random.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Everything that can go wrong in a simulation.
enum class sim_fault : std::uint8_t {
    call_fails,     ///< A call to the backend fails and has no effect.
    reply_lost,     ///< A call has its effect, and fails.
    never_answered, ///< A call is not answered until it is cancelled; a create, after minutes.
    late_answer,    ///< A call is answered after seconds.
    twice,          ///< A call has its effect a second time.
    cancelled_late, ///< A call that was cancelled has its effect all the same.
    lone_death,     ///< A workload dies.
    clean_death,    ///< A workload exits with code 0, unasked.
    late_exit,      ///< The event of an exit comes after seconds.
    double_exit,    ///< The event of an exit comes twice.
    removed,        ///< Somebody removes a workload; its data stays.
    paused_alone,   ///< Somebody pauses a workload.
    resumed_alone,  ///< Somebody resumes one that is paused.
    daemon_away,    ///< Every call fails for a while.
    slow_boot,      ///< A boot takes as long as it may, or longer.
    never_healthy,  ///< A workload that never becomes healthy.
    dies_booting,   ///< A workload that exits while it boots.
    sick,           ///< An engine answers that it is not well, for a while.
    busy,           ///< An engine answers that it is busy, for a while.
    hung_probe,     ///< An engine does not answer its probes, for a while.
    stranger,       ///< A stranger takes a port.
    swap_unsupported,
    swap_unknown,
    store_refuses, ///< A commit fails.
    store_denies,  ///< A commit is made, and says that it was not.
    store_full,    ///< Every commit fails for a while.
    crash_before,  ///< The process dies just before an interaction has its effect.
    crash_after,   ///< The process dies just after it.
    count_of_faults,
};

inline constexpr std::size_t sim_fault_count = static_cast<std::size_t>(sim_fault::count_of_faults);

namespace detail {

inline constexpr std::array<std::string_view, sim_fault_count> sim_fault_names{
    "call_fails",     "reply_lost",       "never_answered", "late_answer",   "twice",
    "cancelled_late", "lone_death",       "clean_death",    "late_exit",     "double_exit",
    "removed",        "paused_alone",     "resumed_alone",  "daemon_away",   "slow_boot",
    "never_healthy",  "dies_booting",     "sick",           "busy",          "hung_probe",
    "stranger",       "swap_unsupported", "swap_unknown",   "store_refuses", "store_denies",
    "store_full",     "crash_before",     "crash_after"};

} // namespace detail

constexpr std::string_view name_of(sim_fault what) noexcept {
    return detail::sim_fault_names[static_cast<std::size_t>(what)];
}

/// How often each fault fired.
struct sim_fault_counts {
    std::array<std::uint64_t, sim_fault_count> of{};

    void count(sim_fault what) noexcept { ++of[static_cast<std::size_t>(what)]; }
    void add(const sim_fault_counts& more) noexcept {
        for (std::size_t i = 0; i < of.size(); ++i) of[i] += more.of[i];
    }
    [[nodiscard]] std::string text() const {
        std::string out;
        for (std::size_t i = 0; i < of.size(); ++i)
            out += std::string(detail::sim_fault_names[i]) + ' ' + std::to_string(of[i]) + '\n';
        return out;
    }
};

/// The faults of one run: which there are and how often, drawn from its seed.
class sim_faults {
public:
    /// None at all.
    explicit sim_faults(sim_random random) : random_(random) {}

    /// A subset of all faults, each with a rate of its own.
    [[nodiscard]] static sim_faults drawn(sim_random random) {
        sim_faults out(random);
        const double share = out.random_.fraction();
        const double heavy = out.random_.chance(0.3) ? 0.5 : 0.15;
        for (auto& rate : out.rates_)
            if (out.random_.chance(share)) rate = 0.01 + heavy * out.random_.fraction();
        out.on_ = true;
        return out;
    }

    /// Whether a fault fires now.
    [[nodiscard]] bool strikes(sim_fault what) {
        if (!on_) return false;
        const auto rate = rates_[static_cast<std::size_t>(what)];
        if (rate == 0 || !random_.chance(rate)) return false;
        fired_.count(what);
        return true;
    }

    /// From here on nothing goes wrong any more.
    void end() noexcept { on_ = false; }
    [[nodiscard]] bool on() const noexcept { return on_; }

    void note(sim_fault what) noexcept { fired_.count(what); }
    [[nodiscard]] const sim_fault_counts& fired() const noexcept { return fired_; }
    [[nodiscard]] sim_random& random() noexcept { return random_; }

private:
    sim_random random_;
    std::array<double, sim_fault_count> rates_{};
    sim_fault_counts fired_;
    bool on_ = false;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

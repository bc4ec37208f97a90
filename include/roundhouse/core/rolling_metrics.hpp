#pragma once

#include <roundhouse/types.hpp>

#include <chrono>
#include <cstdint>
#include <deque>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The figures of one product for the last 3,600 seconds, counted from its audit rows with a
/// resolution of one second. Not thread-safe. Holds at most one entry per second.
class rolling_metrics {
public:
    static constexpr auto window = std::chrono::seconds{3600};

    struct totals {
        std::uint64_t provisions = 0;
        std::uint64_t crashes = 0;
        std::uint64_t restarts = 0;
        std::uint64_t boots = 0;
        std::uint64_t boot_ms = 0;

        [[nodiscard]] double avg_boot_ms() const noexcept {
            return boots == 0 ? 0.0 : static_cast<double>(boot_ms) / static_cast<double>(boots);
        }
    };

    /// Counts a row. Add each row once; within a second, the order does not matter.
    void add(const audit_entry& row) {
        totals counted;
        count(row, counted);
        if (counted.provisions + counted.crashes + counted.restarts + counted.boots == 0) return;
        const auto second = std::chrono::floor<std::chrono::seconds>(row.timestamp);
        forget_before(second - window);
        // Rows come in order unless the clock was set back: then they count in the newest second.
        if (seconds_.empty() || seconds_.back().at < second) seconds_.push_back({second, {}});
        merge(seconds_.back().figures, counted);
        merge(sum_, counted);
    }

    /// Returns the figures of the window that ends at `now`.
    [[nodiscard]] totals read(instant now) {
        forget_before(std::chrono::floor<std::chrono::seconds>(now) - window);
        return sum_;
    }

    /// Adds other figures, such as those of another product.
    static void merge(totals& sum, const totals& added) noexcept {
        sum.provisions += added.provisions;
        sum.crashes += added.crashes;
        sum.restarts += added.restarts;
        sum.boots += added.boots;
        sum.boot_ms += added.boot_ms;
    }

private:
    using whole_second = std::chrono::sys_seconds;
    struct entry {
        whole_second at;
        totals figures;
    };

    static void count(const audit_entry& row, totals& sum) {
        if (row.action == audit_action::provision) sum.provisions += 1;
        if (row.action == audit_action::auto_restart_start) sum.restarts += 1;
        if (row.to == engine_status::failed && row.from != engine_status::failed) sum.crashes += 1;
        if (row.from == engine_status::provisioning && row.to == engine_status::running &&
            row.took) {
            sum.boots += 1;
            sum.boot_ms += static_cast<std::uint64_t>(row.took->count());
        }
    }

    void forget_before(whole_second horizon) {
        while (!seconds_.empty() && seconds_.front().at <= horizon) {
            const auto& old = seconds_.front().figures;
            sum_.provisions -= old.provisions;
            sum_.crashes -= old.crashes;
            sum_.restarts -= old.restarts;
            sum_.boots -= old.boots;
            sum_.boot_ms -= old.boot_ms;
            seconds_.pop_front();
        }
    }

    std::deque<entry> seconds_;
    totals sum_;
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/testing/simulation/process.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/wall_clock.hpp>
#include <roundhouse/types.hpp>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// The clock of one incarnation of the process: a `clock` in virtual time, for one thread.
///
/// Lifetime: `abandon` must be called before the executors of waiting coroutines go. The timeline
/// outlives the clock, and a wait that is still planned there refers to it.
class virtual_clock {
public:
    virtual_clock(timeline& time, const wall_clock& wall, const process& owner)
        : time_(time), wall_(wall), process_(owner) {}
    ~virtual_clock() = default;
    virtual_clock(const virtual_clock&) = delete;
    virtual_clock& operator=(const virtual_clock&) = delete;

    [[nodiscard]] instant now() const noexcept { return wall_.now(); }
    [[nodiscard]] duration steady_now() const noexcept { return time_.since_start(); }

    asio::awaitable<void> wait_for(duration span) {
        auto begin = [this, span](auto handler) {
            const auto executor = asio::get_associated_executor(handler);
            auto slot = asio::get_associated_cancellation_slot(handler);
            // Shared because a std::function must be copyable.
            auto shared = std::make_shared<decltype(handler)>(std::move(handler));
            completion done = [shared, executor](std::error_code outcome) {
                asio::post(executor, [shared, outcome] { (*shared)(outcome); });
            };
            const auto id = begin_wait(span, std::move(done));
            if (slot.is_connected() && id != 0)
                slot.assign([this, id](asio::cancellation_type) { abort(id); });
        };
        return asio::async_initiate<const asio::use_awaitable_t<>&, void(std::error_code)>(
            begin, asio::use_awaitable);
    }

    /// Cancels every wait, at the end of the process.
    void abandon() {
        while (!waits_.empty()) abort(waits_.begin()->first);
    }

private:
    using wait_id = std::uint64_t;
    using completion = std::function<void(std::error_code)>;

    struct wait {
        timeline::event_id end = 0;
        completion done;
    };

    /// Returns 0 if the wait is over already.
    wait_id begin_wait(duration span, completion done) {
        if (!process_.alive() || span <= duration{0}) {
            done(process_.alive() ? std::error_code{} : asio::error::operation_aborted);
            return 0;
        }
        const auto at = span == duration::max() ? instant::max() : time_.now() + span;
        const auto end = time_.at(at, [this, id = next_id_] { complete(id); });
        waits_.emplace(next_id_, wait{end, std::move(done)});
        return next_id_++;
    }

    void complete(wait_id id) { waits_.extract(id).mapped().done({}); }

    void abort(wait_id id) {
        auto aborted = waits_.extract(id);
        if (aborted.empty()) return;
        time_.cancel(aborted.mapped().end);
        aborted.mapped().done(asio::error::operation_aborted);
    }

    timeline& time_;
    const wall_clock& wall_;
    const process& process_;
    std::map<wait_id, wait> waits_;
    wait_id next_id_ = 1;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

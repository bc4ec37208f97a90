#pragma once

#include <roundhouse/testing/simulation/process.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/types.hpp>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <functional>
#include <map>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// The clock of one incarnation of the process: a `clock` in virtual time. For one thread.
class sim_clock {
public:
    sim_clock(std::shared_ptr<sim_timeline> timeline, std::shared_ptr<sim_process> process)
        : timeline_(std::move(timeline)), process_(std::move(process)) {}
    ~sim_clock() { abandon(); }
    sim_clock(const sim_clock&) = delete;
    sim_clock& operator=(const sim_clock&) = delete;

    [[nodiscard]] instant now() const noexcept { return timeline_->now(); }
    [[nodiscard]] duration steady_now() const noexcept { return timeline_->since_start(); }

    asio::awaitable<void> wait_until(instant until) {
        auto begin = [this, until](auto handler) {
            const auto executor = asio::get_associated_executor(handler);
            auto slot = asio::get_associated_cancellation_slot(handler);
            auto shared = std::make_shared<decltype(handler)>(std::move(handler));
            completion done = [shared, executor](std::error_code how) {
                asio::post(executor, [shared, how] { (*shared)(how); });
            };
            const auto mine = begin_wait(until, std::move(done));
            if (slot.is_connected() && mine != 0)
                slot.assign([this, mine](asio::cancellation_type) { abort(mine); });
        };
        return asio::async_initiate<const asio::use_awaitable_t<>&, void(std::error_code)>(
            begin, asio::use_awaitable);
    }

    /// Ends every wait, as a cancellation does: for the end of the process.
    void abandon() {
        while (!waits_.empty()) abort(waits_.begin()->first);
    }

private:
    using completion = std::function<void(std::error_code)>;

    /// 0 if it is over already.
    sim_timeline::entry begin_wait(instant until, completion done) {
        if (!process_->alive() || until <= now()) {
            done(process_->alive() ? std::error_code{} : asio::error::operation_aborted);
            return 0;
        }
        const auto mine = timeline_->at(until, [this, at = next_] { due(at); });
        waits_.emplace(next_, wait{mine, std::move(done)});
        return next_++;
    }

    void due(sim_timeline::entry which) { waits_.extract(which).mapped().done({}); }

    void abort(sim_timeline::entry which) {
        auto ended = waits_.extract(which);
        if (ended.empty()) return;
        timeline_->cancel(ended.mapped().planned);
        ended.mapped().done(asio::error::operation_aborted);
    }

    struct wait {
        sim_timeline::entry planned = 0;
        completion done;
    };

    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_process> process_;
    std::map<sim_timeline::entry, wait> waits_;
    sim_timeline::entry next_ = 1;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Stops a whole fleet in good order: rows first, so that the next start knows what should run,
/// then all workloads at once.
template <class Fleet> class stop_all {
public:
    static void run(std::shared_ptr<Fleet> fleet, completion<void> done) {
        fleet->draining.store(true);
        fleet->engines().quiesce();
        std::vector<engine_ptr> rows;
        auto read = fleet->parts().store->for_each_engine([&](const result<engine_ptr>& row) {
            if (row) rows.push_back(*row); // the others were told of at the start
        });
        if (!read) return done(std::move(read));
        for (const auto& row : rows)
            fleet->engines().enqueue({row->product_id, row->user_id}, core::event::parked{});
        fleet->engines().when_quiet([fleet, done = std::move(done), rows = std::move(rows)] {
            end_all(fleet, rows, done);
        });
    }

private:
    /// Workloads that are still ending, and what went wrong.
    struct countdown {
        std::atomic<std::size_t> left;
        completion<void> done;
    };

    static void end_all(const std::shared_ptr<Fleet>& fleet, const std::vector<engine_ptr>& rows,
                        const completion<void>& done) {
        auto count = std::make_shared<countdown>();
        count->left = rows.size() + 1;
        count->done = done;
        for (const auto& row : rows) {
            auto ended = [fleet, row, count](const std::exception_ptr& failure,
                                             const result<void>& outcome) {
                if (failure || !outcome)
                    fleet->engines().log(log_level::error,
                                         "engine " + to_string(row->id) + " could not be stopped" +
                                             (failure ? "" : ": " + outcome.error().message));
                one_less(*count);
            };
            auto body = end(fleet, row);
            fleet->engines().tasks()->spawn(std::make_shared<task>(fleet->parts().executor),
                                            std::move(body), std::move(ended));
        }
        one_less(*count);
    }

    static void one_less(countdown& count) {
        if (count.left.fetch_sub(1) == 1) count.done(result<void>{});
    }

    static asio::awaitable<result<void>> end(std::shared_ptr<Fleet> fleet, engine_ptr row) {
        const workload_ref ref{row->id, row->generation, row->port};
        auto done = co_await fleet->parts().backend->stop(ref, fleet->parts().settings.stop_grace);
        co_return done;
    }
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

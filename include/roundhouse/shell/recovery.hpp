#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/core/rolling_metrics.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Brings the store and the world together at the start (SPEC §2 rule 5): every row learns what the
/// backend has of it, and workloads without a row are ended. Data without a row is reported and
/// left alone.
template <class Fleet> class recovery {
public:
    /// Done when every engine has been found again and every orphan has ended, or has had
    /// `recovery_wait` to be: what takes longer goes on. `self` is the task that it runs in. It can
    /// be run again if it fails.
    static asio::awaitable<result<void>> run(std::shared_ptr<Fleet> fleet,
                                             std::shared_ptr<task> self) {
        auto listed = co_await fleet->parts().backend->list();
        if (!listed) co_return unexpected(listed.error());
        const auto rows = read_rows(*fleet);
        if (!rows) co_return unexpected(rows.error());
        if (auto counted = count_metrics(*fleet); !counted) co_return counted;
        auto unclaimed = by_engine(*listed);
        for (const auto& row : *rows) reconcile_row(*fleet, row, unclaimed);
        for (const auto& [id, orphan] : unclaimed) handle_orphan(fleet, orphan);
        auto waiting = wait_for_reconciliation(fleet, std::move(self));
        co_await std::move(waiting);
        co_return result<void>{};
    }

private:
    using found_by_engine = std::unordered_map<uuid, found_workload>;

    static found_by_engine by_engine(const std::vector<found_workload>& listed) {
        found_by_engine out;
        for (const auto& one : listed) {
            auto& known = out[one.ref.engine_id];
            // Of several, the newest that lives is the one to know.
            if (known.state == workload_state::down || one.ref.generation > known.ref.generation)
                known = one;
        }
        return out;
    }

    static void unreadable(Fleet& fleet, const error& cause) {
        fleet.engines().log(log_level::error, "left out: " + cause.message);
    }

    static result<std::vector<engine_ptr>> read_rows(Fleet& fleet) {
        std::vector<engine_ptr> rows;
        auto read = fleet.parts().store->for_each_engine([&](const result<engine_ptr>& row) {
            if (row) rows.push_back(*row);
            else unreadable(fleet, row.error());
        });
        if (!read) return unexpected(read.error());
        return rows;
    }

    static result<void> count_metrics(Fleet& fleet) {
        fleet.metrics().clear();
        const auto since = fleet.parts().clock->now() - core::rolling_metrics::window;
        return fleet.parts().store->for_each_audit(since, [&](const result<audit_entry>& row) {
            if (row) fleet.metrics().add(*row);
            else unreadable(fleet, row.error());
        });
    }

    /// Tells a row what was found of it, and takes that out of `unclaimed`.
    static void reconcile_row(Fleet& fleet, const engine_ptr& row, found_by_engine& unclaimed) {
        const engine_owner key{row->product_id, row->user_id};
        std::optional<found_workload> found;
        if (const auto one = unclaimed.find(row->id); one != unclaimed.end()) {
            found = one->second;
            unclaimed.erase(one);
        }
        // First what the row asks for: what was found may change that at once.
        fleet.engines().set_deadline(key, row->deadline);
        if (row->status == engine_status::running) fleet.watch().watch(*row);
        fleet.engines().enqueue_found(key, {std::move(found)});
    }

    /// Waits for the engines that are held.
    static asio::awaitable<void> wait_for_reconciliation(std::shared_ptr<Fleet> fleet,
                                                         std::shared_ptr<task> self) {
        const auto until = fleet->parts().clock->now() + fleet->parts().settings.recovery_wait;
        auto& held = fleet->engines().unreconciled();
        if (held.size() == 0) co_return;
        held.when_none([self] { self->cancel(); });
        try {
            co_await fleet->parts().clock->wait_until(until);
        } catch (const std::system_error&) {
            if (held.size() != 0) throw; // cancelled by somebody else
        }
        held.when_none([] {});
    }

    static void handle_orphan(const std::shared_ptr<Fleet>& fleet, const found_workload& orphan) {
        if (!orphan.ours) return;
        const auto id = to_string(orphan.ref.engine_id);
        if (!fleet->parts().store->find_engine_by_id(orphan.ref.engine_id))
            return fleet->engines().log(log_level::error,
                                        "the workload of engine " + id +
                                            " is left alone: its row is there and cannot be read");
        if (orphan.state == workload_state::down)
            return fleet->engines().log(
                log_level::warning, "data of engine " + id +
                                        " has no row: it is left alone. Remove it by hand if it "
                                        "is not wanted.");
        // The start waits for it as for an engine that is held.
        fleet->engines().unreconciled().hold(owner_of(orphan));
        end_orphan(fleet, orphan, 1);
    }

    static engine_owner owner_of(const found_workload& orphan) {
        if (!orphan.owner) return {orphan.ref.engine_id, {}};
        return {orphan.owner->product_id, orphan.owner->user_id};
    }

    /// Ends a workload that has no row. Nothing else would: so it is tried again until it is done,
    /// and a backend that does not answer is not waited for.
    static void end_orphan(const std::shared_ptr<Fleet>& fleet, const found_workload& orphan,
                           std::uint32_t attempt) {
        const auto& parts = fleet->parts();
        const auto& with = parts.settings;
        auto ending = std::make_shared<task>(parts.executor);
        auto ended = [fleet, orphan, attempt](const std::exception_ptr& failure,
                                              const result<void>& outcome) {
            fleet->engines().unreconciled().release(
                owner_of(orphan)); // the first try is what a start waits for
            if (!failure && outcome) return audit_ended(*fleet, orphan);
            fleet->engines().log(log_level::error,
                                 "workload of engine " + to_string(orphan.ref.engine_id) +
                                     " has no row and could not be ended; it is tried again" +
                                     (failure ? "" : ": " + outcome.error().message));
            end_orphan_later(fleet, orphan, attempt);
        };
        auto body = stop(fleet, orphan);
        fleet->engines().tasks()->spawn(ending, std::move(body), std::move(ended));
        auto limit = wait(fleet, with.failed_grace + with.backend_timeout);
        fleet->engines().tasks()->spawn(std::make_shared<task>(parts.executor), std::move(limit),
                                        [ending](const std::exception_ptr&) { ending->cancel(); });
    }

    static void end_orphan_later(const std::shared_ptr<Fleet>& fleet, const found_workload& orphan,
                                 std::uint32_t attempt) {
        const auto& with = fleet->parts().settings;
        auto pause = wait(fleet, core::backoff(attempt, with.retry_base, with.retry_max, 0));
        auto again = [fleet, orphan, attempt](const std::exception_ptr& failure) {
            if (!failure) end_orphan(fleet, orphan, attempt + 1); // else the orchestrator goes away
        };
        fleet->engines().tasks()->spawn(std::make_shared<task>(fleet->parts().executor),
                                        std::move(pause), std::move(again));
    }

    static asio::awaitable<result<void>> stop(std::shared_ptr<Fleet> fleet, found_workload orphan) {
        const auto& parts = fleet->parts();
        if constexpr (discards<std::remove_cvref_t<decltype(*parts.backend)>>)
            co_return co_await parts.backend->discard(orphan.ref, parts.settings.failed_grace);
        else co_return co_await parts.backend->stop(orphan.ref, parts.settings.failed_grace);
    }

    static asio::awaitable<void> wait(std::shared_ptr<Fleet> fleet, duration how_long) {
        const auto until = fleet->parts().clock->now() + how_long;
        co_await fleet->parts().clock->wait_until(until);
    }

    static void audit_ended(Fleet& fleet, const found_workload& orphan) {
        const auto id = to_string(orphan.ref.engine_id);
        fleet.engines().log(log_level::warning, "workload of engine " + id +
                                                    " had no row: ended; its data is left alone");
        audit_entry row;
        if (orphan.owner) {
            row.product_id = orphan.owner->product_id;
            row.user_id = orphan.owner->user_id;
        }
        row.engine_id = orphan.ref.engine_id;
        row.action = audit_action::orphan_removed;
        row.actor = "system";
        if (auto told = fleet.append_audit(std::move(row)); !told)
            fleet.engines().log(log_level::error,
                                "orphan_removed could not be written: " + told.error().message);
    }
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

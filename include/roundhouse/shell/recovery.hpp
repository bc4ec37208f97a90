#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/core/rolling_metrics.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/shell/fleet.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse::inline ROUNDHOUSE_ABI::detail {

/// Brings the store and the world together at the start (SPEC §2 rule 5): every row learns what the
/// backend has of it, and workloads without a row are ended. Data without a row is reported and
/// left alone.
template <class Fleet> class recovery {
public:
    static asio::awaitable<result<void>> run(std::shared_ptr<Fleet> fleet) {
        const auto& parts = fleet->parts();
        const auto since = parts.clock->now() - core::rolling_metrics::window;
        auto counted = parts.store->for_each_audit(since, [&](const result<audit_entry>& row) {
            if (row) fleet->metrics().add(*row);
            else unreadable(*fleet, row.error());
        });
        if (!counted) co_return counted;
        auto listed = co_await parts.backend->list();
        if (!listed) co_return unexpected(listed.error());
        auto unclaimed = by_engine(*listed);
        auto rows = tell_rows(*fleet, unclaimed);
        if (!rows) co_return rows;
        for (const auto& [id, orphan] : unclaimed) {
            if (!orphan.ours) continue;
            if (orphan.state == workload_state::down)
                fleet->shell().log(log_level::warning,
                                   "data of engine " + to_string(id) +
                                       " has no row: it is left alone. Remove it by hand if it is "
                                       "not wanted.");
            else co_await end_orphan(*fleet, orphan);
        }
        co_return result<void>{};
    }

private:
    using instances = std::unordered_map<uuid, instance>;

    static instances by_engine(const std::vector<instance>& listed) {
        instances out;
        for (const auto& one : listed) {
            auto& known = out[one.ref.engine_id];
            // Of several, the newest that lives is the one to know.
            if (known.state == workload_state::down || one.ref.generation > known.ref.generation)
                known = one;
        }
        return out;
    }

    static void unreadable(Fleet& fleet, const error& cause) {
        fleet.shell().log(log_level::error, "left out: " + cause.message);
    }

    /// Tells each row what was found of it, and takes that out of `unclaimed`.
    static result<void> tell_rows(Fleet& fleet, instances& unclaimed) {
        std::vector<engine_ptr> rows;
        auto read = fleet.parts().store->for_each_engine([&](const result<engine_ptr>& row) {
            if (row) rows.push_back(*row);
            else unreadable(fleet, row.error());
        });
        if (!read) return read;
        for (const auto& row : rows) {
            const engine_key key{row->product_id, row->user_id};
            std::optional<instance> found;
            if (const auto one = unclaimed.find(row->id); one != unclaimed.end()) {
                found = one->second;
                unclaimed.erase(one);
            }
            if (row->status == engine_status::running) fleet.watch().watch(*row);
            fleet.shell().set_alarm(key, row->deadline);
            fleet.shell().tell(key, core::event::found{std::move(found)});
        }
        return {};
    }

    static asio::awaitable<void> end_orphan(Fleet& fleet, const instance& orphan) {
        const auto& parts = fleet.parts();
        const auto ended = co_await parts.backend->stop(orphan.ref, parts.settings.failed_grace);
        const auto id = to_string(orphan.ref.engine_id);
        if (!ended) {
            fleet.shell().log(log_level::error,
                              "workload of engine " + id +
                                  " has no row and could not be ended: " + ended.error().message);
            co_return;
        }
        fleet.shell().log(log_level::warning, "workload of engine " + id +
                                                  " had no row: ended; its data is left alone");
        audit_entry row;
        row.engine_id = orphan.ref.engine_id;
        row.action = audit_action::orphan_removed;
        row.actor = "system";
        if (auto told = fleet.tell(std::move(row)); !told)
            fleet.shell().log(log_level::error,
                              "orphan_removed could not be written: " + told.error().message);
    }
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI::detail

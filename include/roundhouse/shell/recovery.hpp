#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/shell/metrics_book.hpp>
#include <roundhouse/shell/prober.hpp>
#include <roundhouse/shell/reconciler.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Compares the store with the backend at the start (SPEC §2 rule 5): every row learns what the
/// backend has of it, and workloads without a row are ended. Data without a row is reported and
/// left alone.
class recovery {
public:
    recovery(services& services, reconciler& reconciler, class prober& prober,
             metrics_book& metrics)
        : services_(services), reconciler_(reconciler), prober_(prober), metrics_(metrics) {}

    /// Done when every engine is reconciled and every workload without a row has ended, or after
    /// `settings::recovery_wait`: what takes longer goes on. `self` is the task that it runs in. It
    /// can be run again if it fails.
    asio::awaitable<result<void>> run(std::shared_ptr<task> self);

    /// The products that the last run has found to be deleted still. Their engines are left as they
    /// are, to be destroyed, unless that is under way already.
    [[nodiscard]] const std::vector<product_ptr>& deleting() const noexcept { return deleting_; }

private:
    using found_by_engine = std::unordered_map<uuid, found_workload>;
    using rows = std::vector<engine_ptr>;

    static found_by_engine by_engine(const std::vector<found_workload>& listed);
    asio::awaitable<result<rows>> read_rows();
    asio::awaitable<result<void>> read_products();
    asio::awaitable<result<void>> count_metrics();
    void count(const audit_entry& row);
    [[nodiscard]] bool is_deleted_with_product(const engine_record& engine) const;
    void warn_of_default_policy() const;
    void reconcile_row(const engine_record& engine, found_by_engine& unclaimed);
    asio::awaitable<void> wait_for_reconciliation(std::shared_ptr<task> self);

    // Workloads without a row
    asio::awaitable<void> handle_orphan(found_workload orphan);
    void end_orphan(const found_workload& orphan, std::uint32_t attempt);
    void end_orphan_later(const found_workload& orphan, std::uint32_t attempt);
    asio::awaitable<result<void>> discard(found_workload orphan);
    asio::awaitable<void> audit_end(found_workload orphan);

    void log_unreadable(const error& cause) const;

    services& services_;
    reconciler& reconciler_;
    class prober& prober_;
    metrics_book& metrics_;
    std::set<uuid> products_; ///< All that there are.
    std::vector<product_ptr> deleting_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/recovery.ipp>
#endif

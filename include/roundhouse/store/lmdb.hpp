#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/detail/recent_products.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/store/lmdb/environment.hpp>
#include <roundhouse/store/lmdb/environment_lock.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/folder.hpp>
#include <roundhouse/store/lmdb/options.hpp>
#include <roundhouse/store/lmdb/report.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Keeps the fleet on disk, in LMDB (http://www.lmdb.tech/doc/).
///
/// Thread-safe. Reads take no lock and see the last commit that returned. A commit is one durable
/// transaction: once it has returned, neither the end of the process nor of the machine undoes it.
/// Commits fail with `store_unavailable` while disk or map is full or the disk fails; reads still
/// work then. A damaged record is an `internal_error` that names database and key.
class lmdb_store {
public:
    /// Opens or creates the store in a folder. Blocks on I/O. A store of an older schema is
    /// converted first, unless it is opened read-only, and its old file is kept beside it; one of an
    /// older layout gets the indexes that it lacks, in its file. Fails if
    /// the folder cannot be used, is in use (also by another object of this process), holds a store
    /// of a newer schema, or one that cannot be converted, which is left as it is: because it is
    /// damaged, because another process reads it, or for a cause that the message names.
    [[nodiscard]] static result<std::shared_ptr<lmdb_store>> open(const lmdb_options& options);

    ~lmdb_store();
    lmdb_store(const lmdb_store&) = delete;
    lmdb_store& operator=(const lmdb_store&) = delete;

    [[nodiscard]] std::string_view name() const noexcept { return "lmdb"; }

    /// Set while the disk is full, and after a failed commit until one succeeds.
    [[nodiscard]] std::optional<std::string> trouble() const;

    /// Drawn when the store was created, and never changed. Marks the workloads of this store's
    /// fleet.
    [[nodiscard]] uuid installation_id() const noexcept { return installation_id_; }

    [[nodiscard]] result<product_ptr> find_product(const sha256_digest& key_hash) const;

    [[nodiscard]] result<product_ptr> find_product_named(std::string_view id_or_slug) const;

    [[nodiscard]] result<product_ptr> find_product_by_id(const uuid& id) const;

    /// Damaged products are left out. Takes time proportional to the limit.
    [[nodiscard]] result<product_page> list_products(const product_query& query) const;

    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product, std::string_view user) const;

    [[nodiscard]] result<engine_ptr> find_engine_by_id(const uuid& engine) const;

    /// Damaged engines are left out. Takes time proportional to offset and limit, or with
    /// `user_prefix` or `metadata` to the number of engines that match one of them.
    [[nodiscard]] result<engine_page> list_engines(const engine_query& query) const;

    [[nodiscard]] result<void>
    for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const;

    [[nodiscard]] result<fleet_counts> counts(const uuid& product) const;

    [[nodiscard]] result<fleet_counts> counts_of_all() const;

    /// Damaged rows are left out. Takes time proportional to the number of rows that match both the
    /// narrowest filter (engine, else user, else action) and the times.
    [[nodiscard]] result<audit_page> audit(const audit_query& query) const;

    [[nodiscard]] result<void>
    for_each_audit(instant since,
                   const std::function<void(const result<audit_entry>&)>& visit) const;

    [[nodiscard]] result<idempotency_ptr> find_idempotency(const idempotency_id& id) const;

    [[nodiscard]] result<void>
    for_each_idempotency(const std::function<void(const result<idempotency_ptr>&)>& visit) const;

    /// Applies the batch whole and durably, or not at all. Blocks for other commits and on I/O.
    [[nodiscard]] result<committed> commit(const change_set& set);

    [[nodiscard]] result<void> note_activity(std::span<const engine_activity> seen);

    /// Also releases the slots of readers whose process died.
    [[nodiscard]] result<std::size_t> prune_audit(instant before, std::size_t most);

    /// Damaged records are removed too.
    [[nodiscard]] result<std::size_t> prune_idempotency(instant before, std::size_t most);

    /// Writes a consistent copy into a folder, which is created if it does not exist. A store can
    /// be opened there. Holds off neither reads nor commits. Blocks on I/O.
    [[nodiscard]] result<void> backup(const std::string& folder) const;

    /// Reads all records, and checks that they and their indexes agree. Blocks on I/O.
    [[nodiscard]] result<lmdb_report> verify() const;

private:
    using transaction = detail::lmdb::transaction;
    template <class Body>
    using outcome = result<std::invoke_result_t<const Body&, const transaction&>>;

    explicit lmdb_store(const lmdb_options& options);

    /// Runs `body()`, and returns its answer or the failure that it threw.
    template <class Body> static auto guarded(const Body& body) -> result<decltype(body())> {
        try {
            if constexpr (std::is_void_v<decltype(body())>) {
                body();
                return {};
            } else {
                return body();
            }
        } catch (const detail::lmdb::failure& failed) {
            return unexpected(failed.cause());
        }
    }

    template <class Body> outcome<Body> read(const Body& body) const {
        return guarded([&] { return environment_.read(body); });
    }

    template <class Body> outcome<Body> visit(const Body& body) const {
        return guarded([&] { return environment_.visit(body); });
    }

    template <class Body> outcome<Body> write(const Body& body) {
        auto answer = guarded([&] { return environment_.write(body); });
        const bool unavailable = !answer && answer.error().code == errc::store_unavailable;
        // LMDB reports a short write, for which the disk had no room, as an I/O error.
        if (unavailable && !has_room()) answer = unexpected(detail::lmdb::disk_full());
        const std::lock_guard lock(trouble_mutex_);
        if (unavailable) trouble_ = answer.error().message;
        else trouble_.reset();
        return answer;
    }

    [[nodiscard]] bool has_room() const noexcept;

    const lmdb_options options_;
    const detail::lmdb::store_folder folder_;
    const std::optional<detail::lmdb::environment_lock> conversion_; ///< If there was one.
    detail::lmdb::environment environment_;
    const uuid installation_id_;
    mutable detail::recent_products recent_products_;
    mutable std::mutex trouble_mutex_;
    std::optional<std::string> trouble_;
};

static_assert(store<lmdb_store>);

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/store/lmdb.ipp>
#endif

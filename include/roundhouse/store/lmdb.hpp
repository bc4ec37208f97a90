#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/audit_log.hpp>
#include <roundhouse/store/lmdb/batch.hpp>
#include <roundhouse/store/lmdb/checker.hpp>
#include <roundhouse/store/lmdb/copy.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/environment.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/folder.hpp>
#include <roundhouse/store/lmdb/listing.hpp>
#include <roundhouse/store/lmdb/options.hpp>
#include <roundhouse/store/lmdb/recent_products.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
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
#include <variant>

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
    /// Opens or creates the store in a folder. Blocks on I/O. Fails if the folder cannot be used,
    /// is in use (also by another object of this process), or holds a store of another schema
    /// version.
    [[nodiscard]] static result<std::shared_ptr<lmdb_store>> open(const lmdb_options& options) {
        return guarded([&] { return std::shared_ptr<lmdb_store>(new lmdb_store(options)); });
    }

    lmdb_store(const lmdb_store&) = delete;
    lmdb_store& operator=(const lmdb_store&) = delete;

    [[nodiscard]] std::string_view name() const noexcept { return "lmdb"; }

    /// Set while the disk is full, and after a failed commit until one succeeds.
    [[nodiscard]] std::optional<std::string> trouble() const {
        if (!has_room()) return "the disk of " + options_.folder + " is full";
        const std::lock_guard lock(trouble_mutex_);
        return trouble_;
    }

    /// Drawn when the store was created, and never changed. Marks the workloads of this store's
    /// fleet.
    [[nodiscard]] uuid installation_id() const noexcept { return installation_id_; }

    [[nodiscard]] result<product_ptr> find_product(const sha256_digest& key_hash) const {
        const auto find = [&] {
            return read([&](const transaction& txn) {
                return detail::lmdb::find_product(txn, detail::lmdb::database::products_by_key,
                                                  detail::lmdb::key_of(key_hash).view());
            });
        };
        // A read-only store does not learn of the commits of the process that serves it.
        return options_.read_only ? find() : recent_products_.find(key_hash, find);
    }

    [[nodiscard]] result<product_ptr> find_product_named(std::string_view id_or_slug) const {
        return read([&](const transaction& txn) -> product_ptr {
            if (const auto id = parse_uuid(id_or_slug)) return detail::lmdb::find_product(txn, *id);
            if (id_or_slug.empty() || id_or_slug.size() > detail::lmdb::longest_slug)
                return nullptr;
            return detail::lmdb::find_product(txn, detail::lmdb::database::products_by_slug,
                                              id_or_slug);
        });
    }

    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product, std::string_view user) const {
        if (user.size() > detail::lmdb::longest_user_id) return nullptr;
        return read([&](const transaction& txn) {
            return detail::lmdb::find_engine(txn,
                                             detail::lmdb::engine_key_of(product, user).view());
        });
    }

    [[nodiscard]] result<engine_ptr> find_engine_by_id(const uuid& engine) const {
        return read([&](const transaction& txn) -> engine_ptr {
            const auto key = txn.find(detail::lmdb::database::engines_by_id,
                                      detail::lmdb::key_of(engine).view());
            return key ? detail::lmdb::find_engine(txn, *key) : nullptr;
        });
    }

    /// Damaged engines are left out. Takes time proportional to offset and limit.
    [[nodiscard]] result<engine_page> list_engines(const engine_query& query) const {
        return read([&](const transaction& txn) { return detail::lmdb::list_engines(txn, query); });
    }

    [[nodiscard]] result<void>
    for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const {
        return this->visit(
            [&](const transaction& txn) { detail::lmdb::visit_engines(txn, visit); });
    }

    [[nodiscard]] result<fleet_counts> counts(const uuid& product) const {
        return read(
            [&](const transaction& txn) { return detail::lmdb::read_counts(txn, product); });
    }

    /// Damaged rows are left out. Takes time proportional to the number of rows that match both the
    /// narrowest filter (engine, else user, else action) and the times.
    [[nodiscard]] result<audit_page> audit(const audit_query& query) const {
        return read([&](const transaction& txn) { return detail::lmdb::read_audit(txn, query); });
    }

    [[nodiscard]] result<void>
    for_each_audit(instant since,
                   const std::function<void(const result<audit_entry>&)>& visit) const {
        return this->visit(
            [&](const transaction& txn) { detail::lmdb::visit_audit(txn, since, visit); });
    }

    /// Applies the batch whole and durably, or not at all. Blocks for other commits and on I/O.
    [[nodiscard]] result<committed> commit(const change_set& set) {
        if (set.changes.empty() && set.audit.empty() && !set.amend) return committed{};
        const bool may_add = has_room();
        auto answer = write(
            [&](const transaction& txn) { return detail::lmdb::batch(txn, may_add).apply(set); });
        // Also after a failure, because LMDB may have made the commit all the same.
        if (std::ranges::any_of(set.changes, puts_product)) recent_products_.changed();
        return answer;
    }

    [[nodiscard]] result<void> note_activity(std::span<const engine_activity> seen) {
        auto done = write([&](const transaction& txn) {
            detail::lmdb::note_activity(txn, seen);
            return true;
        });
        if (!done) return unexpected(std::move(done.error()));
        return {};
    }

    /// Also releases the slots of readers whose process died.
    [[nodiscard]] result<std::size_t> prune_audit(instant before, std::size_t most) {
        auto cleared = guarded([&] { environment_.clear_stale_readers(); });
        if (!cleared) return unexpected(std::move(cleared.error()));
        const auto due = read([&](const transaction& txn) {
            return !detail::lmdb::find_old_rows(txn, before, 1).readable.empty();
        });
        if (!due) return unexpected(due.error());
        if (!*due) return std::size_t{0};
        return write(
            [&](const transaction& txn) { return detail::lmdb::prune(txn, before, most); });
    }

    /// Writes a consistent copy into a folder, which is created if it does not exist. A store can
    /// be opened there. Holds off neither reads nor commits. Blocks on I/O.
    [[nodiscard]] result<void> backup(const std::string& folder) const {
        return guarded([&] { detail::lmdb::write_copy(environment_, folder); });
    }

    /// Reads all records, and checks that they and their indexes agree. Blocks on I/O.
    [[nodiscard]] result<lmdb_report> verify() const {
        return visit([](const transaction& txn) { return detail::lmdb::checker(txn).run(); });
    }

private:
    using transaction = detail::lmdb::transaction;
    template <class Body>
    using outcome = result<std::invoke_result_t<const Body&, const transaction&>>;

    explicit lmdb_store(const lmdb_options& options)
        : options_(options),
          folder_(options.folder, options.read_only ? detail::lmdb::store_folder::use::beside
                                                    : detail::lmdb::store_folder::use::alone),
          environment_(options),
          installation_id_(environment_.read(detail::lmdb::read_installation_id)) {
        if (!options.read_only) folder_.sync();
    }

    static bool puts_product(const change& next) noexcept {
        return std::holds_alternative<put_product>(next);
    }

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

    [[nodiscard]] bool has_room() const noexcept {
        const auto free = folder_.free_bytes();
        return !free || *free >= options_.reserve_bytes;
    }

    const lmdb_options options_;
    const detail::lmdb::store_folder folder_;
    detail::lmdb::environment environment_;
    const uuid installation_id_;
    mutable detail::lmdb::recent_products recent_products_;
    mutable std::mutex trouble_mutex_;
    std::optional<std::string> trouble_;
};

static_assert(store<lmdb_store>);

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

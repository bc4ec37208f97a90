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
/// transaction: when it has returned, neither the end of the process nor of the machine undoes it.
/// `store_unavailable` where disk or map is full or the disk fails; reads go on then, and commits
/// do as soon as there is room again. A record that is damaged is an `internal_error` that names
/// database and key.
class lmdb_store {
public:
    /// Opens the store in a folder, or begins one. Blocks on I/O. Fails if the folder cannot be
    /// used, is in use (also by another object of this process), or holds a store of a newer
    /// version.
    [[nodiscard]] static result<std::shared_ptr<lmdb_store>> open(const lmdb_options& options) {
        return guarded([&] { return std::shared_ptr<lmdb_store>(new lmdb_store(options)); });
    }

    lmdb_store(const lmdb_store&) = delete;
    lmdb_store& operator=(const lmdb_store&) = delete;

    [[nodiscard]] std::string_view name() const noexcept { return "lmdb"; }

    /// Says so if the disk is full, or the last commit failed.
    [[nodiscard]] std::optional<std::string> trouble() const {
        if (!has_room()) return "the disk of " + options_.folder + " is full";
        const std::lock_guard lock(trouble_mutex_);
        return trouble_;
    }

    /// Made with the store, and the same for as long as it lives: tells what belongs to it.
    [[nodiscard]] uuid installation_id() const noexcept { return installation_id_; }

    [[nodiscard]] result<product_ptr> find_product(const sha256_digest& key_hash) const {
        const auto find = [&] {
            return read([&](const transaction& in) {
                return detail::lmdb::find_product(in, detail::lmdb::database::products_by_key,
                                                  detail::lmdb::key_of(key_hash).view());
            });
        };
        // What another process writes beside one that only reads is not heard of.
        return options_.read_only ? find() : recent_products_.find(key_hash, find);
    }

    [[nodiscard]] result<product_ptr> find_product_named(std::string_view id_or_slug) const {
        return read([&](const transaction& in) -> product_ptr {
            if (const auto id = parse_uuid(id_or_slug)) return detail::lmdb::find_product(in, *id);
            if (id_or_slug.empty() || id_or_slug.size() > detail::lmdb::longest_slug)
                return nullptr;
            return detail::lmdb::find_product(in, detail::lmdb::database::products_by_slug,
                                              id_or_slug);
        });
    }

    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product, std::string_view user) const {
        if (user.size() > detail::lmdb::longest_user_id) return nullptr;
        return read([&](const transaction& in) {
            return detail::lmdb::find_engine(in, detail::lmdb::engine_key_of(product, user).view());
        });
    }

    [[nodiscard]] result<engine_ptr> find_engine_by_id(const uuid& engine) const {
        return read([&](const transaction& in) -> engine_ptr {
            const auto key = in.find(detail::lmdb::database::engines_by_id,
                                     detail::lmdb::key_of(engine).view());
            return key ? detail::lmdb::find_engine(in, *key) : nullptr;
        });
    }

    /// Damaged engines are left out. Takes as long as the offset and the page are.
    [[nodiscard]] result<engine_page> list_engines(const engine_query& query) const {
        return read([&](const transaction& in) { return detail::lmdb::list_engines(in, query); });
    }

    [[nodiscard]] result<void>
    for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const {
        return this->visit([&](const transaction& in) { detail::lmdb::visit_engines(in, visit); });
    }

    [[nodiscard]] result<fleet_counts> counts(const uuid& product) const {
        return read([&](const transaction& in) { return detail::lmdb::read_counts(in, product); });
    }

    /// Damaged rows are left out. Takes as long as the rows are many that the narrowest of the
    /// filters (engine, user, action) and the times name, and that have to be passed.
    [[nodiscard]] result<audit_page> audit(const audit_query& query) const {
        return read([&](const transaction& in) { return detail::lmdb::read_audit(in, query); });
    }

    [[nodiscard]] result<void>
    for_each_audit(instant since,
                   const std::function<void(const result<audit_entry>&)>& visit) const {
        return this->visit(
            [&](const transaction& in) { detail::lmdb::visit_audit(in, since, visit); });
    }

    /// Applies the batch durably, or nothing. Blocks for other commits and on I/O.
    [[nodiscard]] result<committed> commit(const change_set& set) {
        if (set.changes.empty() && set.audit.empty() && !set.amend) return committed{};
        const bool may_add = has_room();
        auto made = write(
            [&](const transaction& in) { return detail::lmdb::batch(in, may_add).apply(set); });
        // Also if it failed: LMDB may have made it all the same.
        if (std::ranges::any_of(set.changes, holds_product)) recent_products_.changed();
        return made;
    }

    [[nodiscard]] result<void> note_activity(std::span<const engine_activity> seen) {
        auto done = write([&](const transaction& in) {
            detail::lmdb::note_activity(in, seen);
            return true;
        });
        if (!done) return unexpected(std::move(done.error()));
        return {};
    }

    /// Also frees what readers left behind that died.
    [[nodiscard]] result<std::size_t> prune_audit(instant before, std::size_t most) {
        auto cleared = guarded([&] { environment_.clear_stale_readers(); });
        if (!cleared) return unexpected(std::move(cleared.error()));
        const auto due = read([&](const transaction& in) {
            return !detail::lmdb::find_old_rows(in, before, 1).readable.empty();
        });
        if (!due) return unexpected(due.error());
        if (!*due) return std::size_t{0};
        return write([&](const transaction& in) { return detail::lmdb::prune(in, before, most); });
    }

    /// Writes a consistent copy into a folder, which is made if it is not there; a store can be
    /// opened on it. Others go on meanwhile. Blocks on I/O.
    [[nodiscard]] result<void> backup(const std::string& folder) const {
        return guarded([&] { detail::lmdb::write_copy(environment_, folder); });
    }

    /// Reads everything, and checks that it agrees. Blocks on I/O.
    [[nodiscard]] result<lmdb_report> verify() const {
        return visit([](const transaction& in) { return detail::lmdb::checker(in).run(); });
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

    static bool holds_product(const change& what) noexcept {
        return std::holds_alternative<put_product>(what);
    }

    /// What `body` returns, or the failure that it ended with.
    template <class Body> static auto guarded(const Body& body) -> result<decltype(body())> {
        try {
            if constexpr (std::is_void_v<decltype(body())>) {
                body();
                return {};
            } else {
                return body();
            }
        } catch (const detail::lmdb::failure& cause) {
            return unexpected(cause.told());
        }
    }

    template <class Body> outcome<Body> read(const Body& body) const {
        return guarded([&] { return environment_.read(body); });
    }

    template <class Body> outcome<Body> visit(const Body& body) const {
        return guarded([&] { return environment_.visit(body); });
    }

    template <class Body> outcome<Body> write(const Body& body) {
        auto made = guarded([&] { return environment_.write(body); });
        const bool unavailable = !made && made.error().code == errc::store_unavailable;
        // LMDB takes a write that the disk had only half the room for as an I/O error.
        if (unavailable && !has_room()) made = unexpected(detail::lmdb::disk_full());
        const std::lock_guard lock(trouble_mutex_);
        if (unavailable) trouble_ = made.error().message;
        else trouble_.reset();
        return made;
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

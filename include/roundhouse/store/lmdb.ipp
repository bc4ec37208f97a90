#pragma once

#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/store/lmdb/audit_log.hpp>
#include <roundhouse/store/lmdb/batch.hpp>
#include <roundhouse/store/lmdb/checker.hpp>
#include <roundhouse/store/lmdb/conversion.hpp>
#include <roundhouse/store/lmdb/copy.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/idempotency.hpp>
#include <roundhouse/store/lmdb/index_build.hpp>
#include <roundhouse/store/lmdb/listing.hpp>
#include <roundhouse/store/lmdb/tables.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

ROUNDHOUSE_DECL result<std::shared_ptr<lmdb_store>> lmdb_store::open(const lmdb_options& options) {
    return guarded([&] { return std::shared_ptr<lmdb_store>(new lmdb_store(options)); });
}

ROUNDHOUSE_DECL lmdb_store::~lmdb_store() = default;

ROUNDHOUSE_DECL std::optional<std::string> lmdb_store::trouble() const {
    if (!has_room()) return "the disk of " + options_.folder + " is full";
    const std::lock_guard lock(trouble_mutex_);
    return trouble_;
}

ROUNDHOUSE_DECL result<product_ptr> lmdb_store::find_product(const sha256_digest& key_hash) const {
    const auto find = [&] {
        return read([&](const transaction& txn) {
            return detail::lmdb::find_product(txn, detail::lmdb::database::products_by_key,
                                              detail::lmdb::key_of(key_hash).view());
        });
    };
    // A read-only store does not learn of the commits of the process that serves it.
    return options_.read_only ? find() : recent_products_.find(key_hash, find);
}

ROUNDHOUSE_DECL result<product_ptr>
lmdb_store::find_product_named(std::string_view id_or_slug) const {
    return read([&](const transaction& txn) -> product_ptr {
        if (const auto id = parse_uuid(id_or_slug)) return detail::lmdb::find_product(txn, *id);
        if (id_or_slug.empty() || id_or_slug.size() > detail::lmdb::longest_slug) return nullptr;
        return detail::lmdb::find_product(txn, detail::lmdb::database::products_by_slug,
                                          id_or_slug);
    });
}

ROUNDHOUSE_DECL result<product_ptr> lmdb_store::find_product_by_id(const uuid& id) const {
    const auto find = [&] {
        return read([&](const transaction& txn) { return detail::lmdb::find_product(txn, id); });
    };
    return options_.read_only ? find() : recent_products_.find(id, find);
}

ROUNDHOUSE_DECL result<product_page> lmdb_store::list_products(const product_query& query) const {
    return read([&](const transaction& txn) { return detail::lmdb::list_products(txn, query); });
}

ROUNDHOUSE_DECL result<engine_ptr> lmdb_store::find_engine(const uuid& product,
                                                           std::string_view user) const {
    if (user.size() > detail::lmdb::longest_user_id) return nullptr;
    return read(
        [&](const transaction& txn) { return detail::lmdb::find_engine(txn, product, user); });
}

ROUNDHOUSE_DECL result<engine_ptr> lmdb_store::find_engine_by_id(const uuid& engine) const {
    return read([&](const transaction& txn) -> engine_ptr {
        const auto number = txn.find(detail::lmdb::database::engines_by_id,
                                     detail::lmdb::key_of(engine).view());
        return number ? detail::lmdb::find_engine(txn, *number) : nullptr;
    });
}

ROUNDHOUSE_DECL result<engine_page> lmdb_store::list_engines(const engine_query& query) const {
    return read([&](const transaction& txn) { return detail::lmdb::list_engines(txn, query); });
}

ROUNDHOUSE_DECL result<void>
lmdb_store::for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const {
    return this->visit([&](const transaction& txn) { detail::lmdb::visit_engines(txn, visit); });
}

ROUNDHOUSE_DECL result<fleet_counts> lmdb_store::counts(const uuid& product) const {
    return read([&](const transaction& txn) { return detail::lmdb::read_counts(txn, product); });
}

ROUNDHOUSE_DECL result<fleet_counts> lmdb_store::counts_of_all() const {
    return read([](const transaction& txn) { return detail::lmdb::read_all_counts(txn); });
}

ROUNDHOUSE_DECL result<audit_page> lmdb_store::audit(const audit_query& query) const {
    return read([&](const transaction& txn) { return detail::lmdb::read_audit(txn, query); });
}

ROUNDHOUSE_DECL result<void>
lmdb_store::for_each_audit(instant since,
                           const std::function<void(const result<audit_entry>&)>& visit) const {
    return this->visit(
        [&](const transaction& txn) { detail::lmdb::visit_audit(txn, since, visit); });
}

ROUNDHOUSE_DECL result<idempotency_ptr>
lmdb_store::find_idempotency(const idempotency_id& id) const {
    return read([&](const transaction& txn) { return detail::lmdb::find_idempotency(txn, id); });
}

ROUNDHOUSE_DECL result<void> lmdb_store::for_each_idempotency(
    const std::function<void(const result<idempotency_ptr>&)>& visit) const {
    return this->visit(
        [&](const transaction& txn) { detail::lmdb::visit_idempotency(txn, visit); });
}

ROUNDHOUSE_DECL result<committed> lmdb_store::commit(const change_set& set) {
    if (set.changes.empty() && set.audit.empty() && !set.amend) return committed{};
    const bool may_add = has_room();
    auto answer = write(
        [&](const transaction& txn) { return detail::lmdb::batch(txn, may_add).apply(set); });
    // Also after a failure, because LMDB may have made the commit all the same.
    if (std::ranges::any_of(set.changes, is_about_product)) recent_products_.changed();
    return answer;
}

ROUNDHOUSE_DECL result<void> lmdb_store::note_activity(std::span<const engine_activity> seen) {
    auto done = write([&](const transaction& txn) {
        detail::lmdb::note_activity(txn, seen);
        return true;
    });
    if (!done) return unexpected(std::move(done.error()));
    return {};
}

ROUNDHOUSE_DECL result<std::size_t> lmdb_store::prune_audit(instant before, std::size_t most) {
    const auto due = read([&](const transaction& txn) {
        return !detail::lmdb::find_old_rows(txn, before, 1).readable.empty();
    });
    if (!due) return unexpected(due.error());
    if (!*due) return std::size_t{0};
    return write([&](const transaction& txn) { return detail::lmdb::prune(txn, before, most); });
}

ROUNDHOUSE_DECL result<std::size_t> lmdb_store::prune_idempotency(instant before,
                                                                  std::size_t most) {
    const auto due = read([&](const transaction& txn) {
        return !detail::lmdb::find_old_idempotency(txn, before, 1).empty();
    });
    if (!due) return unexpected(due.error());
    if (!*due) return std::size_t{0};
    return write(
        [&](const transaction& txn) { return detail::lmdb::prune_idempotency(txn, before, most); });
}

ROUNDHOUSE_DECL result<void> lmdb_store::backup(const std::string& folder) const {
    return guarded([&] { detail::lmdb::write_copy(environment_, folder); });
}

ROUNDHOUSE_DECL result<lmdb_report> lmdb_store::verify() const {
    return visit([](const transaction& txn) { return detail::lmdb::checker(txn).run(); });
}

ROUNDHOUSE_DECL lmdb_store::lmdb_store(const lmdb_options& options)
    : options_(options),
      folder_(options.folder, options.read_only ? detail::lmdb::store_folder::use::beside
                                                : detail::lmdb::store_folder::use::alone),
      conversion_(detail::lmdb::convert_if_old(options, folder_)),
      environment_(options),
      installation_id_(environment_.read(detail::lmdb::read_installation_id)) {
    if (options.read_only) return;
    detail::lmdb::build_missing_indexes(environment_, options);
    folder_.sync();
}

ROUNDHOUSE_DECL bool lmdb_store::has_room() const noexcept {
    const auto free = folder_.free_bytes();
    return !free || *free >= options_.reserve_bytes;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

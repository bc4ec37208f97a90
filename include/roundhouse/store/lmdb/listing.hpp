#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/engine_filters.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/engine_entries.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/tables.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The record that `find()` finds; null if it does not exist or is damaged.
template <class Find> [[nodiscard]] auto readable(const Find& find) -> decltype(find()) {
    try {
        return find();
    } catch (const failure& failed) {
        if (failed.code() != MDB_SUCCESS) throw;
        return nullptr;
    }
}

/// The engine with this number; null if it does not exist or is damaged.
[[nodiscard]] inline engine_ptr readable_engine(const transaction& txn, std::string_view number) {
    return readable([&] { return find_engine(txn, number); });
}

/// The engines of one product, for `read_filtered`.
class filter_index {
public:
    filter_index(const transaction& txn, const uuid& product) : txn_(txn), product_(product) {}

    [[nodiscard]] engine_sequences with_member(std::string_view name,
                                               std::string_view value) const {
        engine_sequences found;
        const auto key = member_key_of(product_, name, value);
        cursor engines(txn_, database::engines_by_metadata);
        for (bool more = engines.find(key.view()); more; more = engines.next_value())
            found.push_back(number_bytes::read(engines.value()));
        return found;
    }
    [[nodiscard]] engine_sequences with_user_prefix(std::string_view prefix) const {
        engine_sequences found;
        if (prefix.size() > longest_user_id) return found;
        const auto key = user_key_of(product_, prefix);
        cursor users(txn_, database::engines_by_user);
        for (bool more = users.seek(key.view()); more && users.key().starts_with(key.view());
             more = users.next())
            found.push_back(number_bytes::read(users.value()));
        std::ranges::sort(found);
        return found;
    }
    [[nodiscard]] bool has_status(std::uint64_t sequence, engine_status status) const {
        return txn_.has(database::engines_by_status,
                        status_prefix_of(product_, status).number(sequence).view());
    }
    /// Null if the engine is damaged.
    [[nodiscard]] engine_ptr read(std::uint64_t sequence) const {
        const auto number = txn_.find(database::engines_by_sequence,
                                      key_of(product_).number(sequence).view());
        return number ? readable_engine(txn_, *number) : nullptr;
    }

private:
    const transaction& txn_;
    const uuid& product_;
};

/// A page of a product's engines. Unless some are asked for by user or metadata, it is read through
/// an index that orders them by age.
[[nodiscard]] inline engine_page list_engines(const transaction& txn, const engine_query& query) {
    if (is_filtered(query)) return read_filtered(query, filter_index(txn, query.product_id));
    engine_page page;
    const auto counts = read_counts(txn, query.product_id);
    page.total = query.status ? counts.of(*query.status) : counts.total();
    if (query.offset >= page.total) return page;
    const auto index = query.status ? database::engines_by_status : database::engines_by_sequence;
    const auto prefix = query.status ? status_prefix_of(query.product_id, *query.status)
                                     : key_of(query.product_id);
    cursor engines(txn, index);
    bool more = false;
    if (query.after) {
        auto last = prefix;
        more = engines.seek(last.number(*query.after).view());
        if (more && engines.key() == last.view()) more = engines.next();
    } else {
        more = engines.seek(prefix.view());
    }
    for (std::size_t place = 0; more && engines.key().starts_with(prefix.view());
         more = engines.next(), ++place) {
        if (place < query.offset) continue;
        auto engine = readable_engine(txn, engines.value());
        if (engine && !add_to_page(page, std::move(engine), query.limit)) break;
    }
    return page;
}

/// Visits every engine. A damaged one is visited as the error that names it.
inline void visit_engines(const transaction& txn,
                          const std::function<void(const result<engine_ptr>&)>& visit) {
    cursor engines(txn, database::engines);
    for (bool more = engines.first(); more; more = engines.next()) {
        auto engine = std::make_shared<engine_record>();
        try {
            read_record(database::engines, engines.key(), engines.value(), *engine);
        } catch (const failure& failed) {
            visit(unexpected(failed.cause()));
            continue;
        }
        visit(engine_ptr(std::move(engine)));
    }
}

/// A page of the products, read through the index of their slugs.
[[nodiscard]] inline product_page list_products(const transaction& txn,
                                                const product_query& query) {
    product_page page;
    page.total = txn.size(database::products);
    cursor slugs(txn, database::products_by_slug);
    const auto after = std::string_view(query.after).substr(0, longest_slug);
    bool more = after.empty() ? slugs.first() : slugs.seek(after);
    if (more && slugs.key() <= query.after) more = slugs.next();
    for (; more; more = slugs.next()) {
        auto product = readable([&] { return find_product(txn, to_uuid(slugs.value())); });
        if (!product) continue;
        if (page.products.size() == query.limit) {
            if (query.limit > 0) page.next = page.products.back()->slug;
            break;
        }
        page.products.push_back(std::move(product));
    }
    return page;
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

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
#include <limits>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

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

/// The products that have engines, in the order of their ids.
[[nodiscard]] inline std::vector<uuid> products_with_engines(const transaction& txn) {
    std::vector<uuid> found;
    cursor engines(txn, database::engines_by_sequence);
    for (bool more = engines.first(); more;) {
        found.push_back(to_uuid(engines.key()));
        const auto last = key_of(found.back()).number(std::numeric_limits<std::uint64_t>::max());
        more = engines.seek(last.view());
        if (more && engines.key() == last.view()) more = engines.next();
    }
    return found;
}

/// Walks the engines of all products, or those in one status, oldest first: those of each product are
/// in the order of an index, whose first ones are compared. A step takes one look-up.
class walk_of_all {
public:
    walk_of_all(const transaction& txn, const engine_query& query)
        : entries_(txn, query.status ? database::engines_by_status : database::engines_by_sequence),
          status_(query.status) {
        const auto first = query.after.value_or(0) + (query.after ? 1 : 0);
        if (query.after && first == 0) return; // nothing is after the last number
        for (const auto& product : products_with_engines(txn)) look_at(product, first);
    }

    [[nodiscard]] bool at_end() const noexcept { return heads_.empty(); }
    /// The number of the engine.
    [[nodiscard]] number_bytes number() const { return heads_.top().number; }
    void next() {
        const auto walked = heads_.top();
        heads_.pop();
        look_at(walked.product, walked.sequence + 1);
    }

private:
    /// The first engine of a product that was not walked yet.
    struct head {
        std::uint64_t sequence;
        uuid product;
        number_bytes number;

        friend bool operator>(const head& left, const head& right) noexcept {
            return left.sequence > right.sequence;
        }
    };

    /// Finds the first engine of a product with this sequence or a later one.
    void look_at(const uuid& product, std::uint64_t sequence) {
        const auto prefix = status_ ? status_prefix_of(product, *status_) : key_of(product);
        auto from = prefix;
        if (!entries_.seek(from.number(sequence).view())) return;
        const auto key = entries_.key();
        if (!key.starts_with(prefix.view()) || key.size() != from.view().size()) return;
        heads_.push({load_big_endian<std::uint64_t>(key.data() + prefix.view().size()), product,
                     number_bytes(number_bytes::read(entries_.value()))});
    }

    cursor entries_;
    std::optional<engine_status> status_;
    std::priority_queue<head, std::vector<head>, std::greater<>> heads_;
};

/// A page of the engines of all products.
[[nodiscard]] inline engine_page list_all_engines(const transaction& txn,
                                                  const engine_query& query) {
    if (is_filtered(query)) {
        const auto products = products_with_engines(txn);
        std::vector<filter_index> indexes;
        for (const auto& product : products) indexes.emplace_back(txn, product);
        return read_filtered(query, std::span<const filter_index>(indexes));
    }
    engine_page page;
    const auto counts = read_all_counts(txn);
    page.total = query.status ? counts.of(*query.status) : counts.total();
    if (query.offset >= page.total) return page;
    walk_of_all engines(txn, query);
    for (std::size_t place = 0; !engines.at_end(); engines.next(), ++place) {
        if (place < query.offset) continue;
        auto engine = readable_engine(txn, engines.number().view());
        if (engine && !add_to_page(page, std::move(engine), query.limit)) break;
    }
    return page;
}

/// A page of a product's engines. Unless some are asked for by user or metadata, it is read through
/// an index that orders them by age.
[[nodiscard]] inline engine_page list_engines(const transaction& txn, const engine_query& query) {
    if (query.all_products) return list_all_engines(txn, query);
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

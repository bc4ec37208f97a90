#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

/// Listings of engines by user id and metadata, which every store reads in the same way.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Sequences of engines, ascending.
using engine_sequences = std::vector<std::uint64_t>;

/// Whether a query asks for some engines by their user ids or metadata. `read_filtered` answers it;
/// other queries are answered from the order of all engines, or of those in one status.
[[nodiscard]] inline bool is_filtered(const engine_query& query) noexcept {
    return !query.user_prefix.empty() || !query.metadata.empty();
}

/// Finds the engines that a filtered query asks for, on whatever page.
///
/// `Index` knows the engines of the query's product: `with_member(name, value)` and
/// `with_user_prefix(prefix)` return the `engine_sequences` of those that have them, and
/// `has_status(sequence, status)` tells whether one is in a status.
template <class Index>
[[nodiscard]] engine_sequences find_filtered(const engine_query& query, const Index& index) {
    engine_sequences found;
    bool narrowed = false;
    const auto narrow = [&](engine_sequences others) {
        if (std::exchange(narrowed, true)) {
            engine_sequences common;
            std::ranges::set_intersection(found, others, std::back_inserter(common));
            found = std::move(common);
        } else {
            found = std::move(others);
        }
    };
    for (const auto& [name, value] : query.metadata) {
        narrow(index.with_member(name, value));
        if (found.empty()) return found;
    }
    if (!query.user_prefix.empty()) narrow(index.with_user_prefix(query.user_prefix));
    if (query.status)
        std::erase_if(found,
                      [&](auto sequence) { return !index.has_status(sequence, *query.status); });
    return found;
}

/// Adds an engine to a page. False if that has `limit` engines already: then it says where the next
/// page begins.
[[nodiscard]] inline bool add_to_page(engine_page& page, engine_ptr engine, std::size_t limit) {
    if (page.engines.size() == limit) {
        if (limit > 0) page.next = page.engines.back()->sequence;
        return false;
    }
    page.engines.push_back(std::move(engine));
    return true;
}

/// Answers a filtered query of several products, each of which has an index. Takes time proportional
/// to the engines that match a filter, each filter by itself. `index.read(sequence)` returns the
/// engine, null if its record is damaged.
template <class Index>
[[nodiscard]] engine_page read_filtered(const engine_query& query,
                                        std::span<const Index> products) {
    struct place {
        std::uint64_t sequence;
        const Index* index;
    };
    std::vector<place> found;
    for (const auto& index : products)
        for (const auto sequence : find_filtered(query, index)) found.push_back({sequence, &index});
    if (products.size() > 1) std::ranges::sort(found, {}, &place::sequence);
    engine_page page;
    page.total = found.size();
    auto at = query.after ? std::ranges::upper_bound(found, *query.after, {}, &place::sequence)
                          : found.begin();
    std::ranges::advance(at, static_cast<std::ptrdiff_t>(std::min(query.offset, found.size())),
                         found.end());
    for (; at != found.end(); ++at) {
        auto engine = at->index->read(at->sequence);
        if (engine && !add_to_page(page, std::move(engine), query.limit)) break;
    }
    return page;
}

/// The same of one product.
template <class Index>
[[nodiscard]] engine_page read_filtered(const engine_query& query, const Index& index) {
    return read_filtered(query, std::span<const Index>(&index, 1));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

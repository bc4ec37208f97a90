#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

/// Rules that every store follows beside the plan of a commit (core/store_plan.hpp): which port an
/// engine gets, and which audit rows a query matches.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Chooses the host ports of one commit. Ports are given in turn and not lowest first, so that a
/// port that was just freed is not given to another user at once.
class port_search {
public:
    /// `next` is where the search goes on, counted from the first port of a range; `held(port)`
    /// says whether an engine held the port before the commit.
    port_search(std::uint32_t next, std::function<bool(std::uint16_t)> held)
        : next_(next), held_(std::move(held)) {}

    /// Where the next commit's search goes on.
    [[nodiscard]] std::uint32_t next() const noexcept { return next_; }

    /// Frees the port of an engine; 0 is no port.
    void release(std::uint16_t port) {
        if (port != 0) changed_[port] = false;
    }

    /// The port that an engine is to hold: `current`, which is 0 if it has none, if that is usable;
    /// else another one of the range, for which `current` is freed. Nothing if no port is left.
    [[nodiscard]] std::optional<std::uint16_t> hold(const port_request& wanted,
                                                    std::uint16_t current) {
        const bool in_range = current != 0 && current >= wanted.min && current <= wanted.max;
        if (in_range && wanted.usable(current)) return current;
        if (wanted.min == 0 || wanted.max < wanted.min) return std::nullopt; // an empty range
        const std::uint32_t count = std::uint32_t{wanted.max} - wanted.min + 1;
        for (std::uint32_t i = 0; i < count; ++i) {
            const auto port = static_cast<std::uint16_t>(wanted.min + (next_ + i) % count);
            if (is_held(port) || !wanted.usable(port)) continue;
            next_ = (next_ + i + 1) % count;
            release(current);
            changed_[port] = true;
            return port;
        }
        return std::nullopt;
    }

private:
    [[nodiscard]] bool is_held(std::uint16_t port) const {
        const auto changed = changed_.find(port);
        return changed == changed_.end() ? held_(port) : changed->second;
    }

    std::uint32_t next_;
    std::function<bool(std::uint16_t)> held_;
    std::map<std::uint16_t, bool> changed_; ///< Held or freed by this commit.
};

/// Whether an audit query asks for rows of this time and id.
[[nodiscard]] inline bool spans(const audit_query& query, const audit_entry& row) {
    return (!query.since || row.timestamp >= *query.since) &&
           (!query.until || row.timestamp < *query.until) &&
           (!query.before || row.id < *query.before);
}

/// Whether an audit query asks for a row.
[[nodiscard]] inline bool matches(const audit_query& query, const audit_entry& row) {
    return (query.all_products || row.product_id == query.product_id) &&
           (!query.user_id || row.user_id == query.user_id) &&
           (!query.engine_id || row.engine_id == query.engine_id) &&
           (!query.action || row.action == *query.action) && spans(query, row);
}

/// Bounds how many rows a page of the audit log looks at where no index leads to those that match.
class audit_walk {
public:
    explicit audit_walk(const audit_query& query) noexcept
        : bounded_(query.all_products && !query.engine_id) {}

    /// False if the page ends before this row: the next one then begins with it.
    [[nodiscard]] bool may_examine(std::uint64_t id, audit_page& page) noexcept {
        if (!bounded_ || examined_++ < audit_query::most_examined) return true;
        page.next_before = id + 1;
        return false;
    }

private:
    bool bounded_;
    std::size_t examined_ = 0;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

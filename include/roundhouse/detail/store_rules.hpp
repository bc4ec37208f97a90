#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <optional>
#include <string>

/// What every store decides alike: how it refuses a change, which port it gives, which audit rows a
/// query means.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

[[nodiscard]] inline error has_engine(const std::string& user) {
    return {errc::engine_already_exists, "User '" + user + "' has an engine already."};
}

[[nodiscard]] inline error begins_alike(const uuid& engine) {
    return {errc::short_id_taken, "Another engine's id begins with " + short_id(engine) + "."};
}

/// `slug` names the product; its id does where the product is not known.
[[nodiscard]] inline error quota_reached(const std::string& slug, std::uint64_t max_engines) {
    return {errc::quota_exceeded, "Product '" + slug + "' at max_engines limit (" +
                                      std::to_string(max_engines) +
                                      "). Destroy engines or ask the operator to raise the limit."};
}

[[nodiscard]] inline error engine_changed(const std::string& user) {
    return {errc::revision_conflict, "The record of user '" + user + "' has changed."};
}

[[nodiscard]] inline error product_changed(const std::string& slug) {
    return {errc::revision_conflict, "The record of product '" + slug + "' has changed."};
}

[[nodiscard]] inline error slug_exists(const std::string& slug) {
    return {errc::product_slug_exists,
            "A product with slug '" + slug + "' exists already. Choose another slug."};
}

[[nodiscard]] inline error key_in_use(const std::string& slug) {
    return {errc::invalid_request, "The platform key of product '" + slug +
                                       "' is another product's already. Give it one of its own."};
}

[[nodiscard]] inline error no_free_port(const port_request& wanted) {
    return {errc::port_exhaustion, "No free port in " + std::to_string(wanted.min) + "-" +
                                       std::to_string(wanted.max) +
                                       ": destroy engines, or widen ORCH_PORT_MIN-ORCH_PORT_MAX."};
}

/// The port that an engine is to hold: the one that it has, or the next that nobody has; nothing if
/// there is none. They are given in turn and not lowest first, so that one just freed is not at
/// once another user's: `next` is where the search goes on. `taken(port)` tells whether an engine
/// holds it.
template <class Taken>
[[nodiscard]] std::optional<std::uint16_t> choose_port(const port_request& wanted,
                                                       std::uint16_t current, std::uint32_t& next,
                                                       const Taken& taken) {
    if (current >= wanted.min && current <= wanted.max && wanted.usable(current)) return current;
    if (wanted.min == 0 || wanted.max < wanted.min) return std::nullopt; // no range of ports
    const std::uint32_t count = std::uint32_t{wanted.max} - wanted.min + 1;
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto port = static_cast<std::uint16_t>(wanted.min + (next + i) % count);
        if (taken(port) || !wanted.usable(port)) continue;
        next = (next + i + 1) % count;
        return port;
    }
    return std::nullopt;
}

[[nodiscard]] inline bool matches(const audit_query& query, const audit_entry& row) {
    return row.product_id == query.product_id && (!query.user_id || row.user_id == query.user_id) &&
           (!query.engine_id || row.engine_id == query.engine_id) &&
           (!query.action || row.action == *query.action) &&
           (!query.since || row.timestamp >= *query.since) &&
           (!query.until || row.timestamp < *query.until) &&
           (!query.before || row.id < *query.before);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

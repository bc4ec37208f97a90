#pragma once

#include <roundhouse/engine_settings.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// Which entries of indexes lead to an engine.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The indexes of engines, for stores that keep them as entries of their own. Ports are not among
/// them: which port a row holds is known only when the plan is executed.
enum class engine_index : std::uint8_t {
    id,       ///< By engine id, which also answers whether a short id is free.
    sequence, ///< By product and sequence.
    status,   ///< By product, status and sequence.
    user,     ///< By product and user id, in the order of its bytes.
    metadata, ///< By product and one member of the engine's metadata.
};

/// An entry of an index that leads to the engine of a write.
struct index_entry {
    engine_index index = engine_index::id;
    engine_status status = engine_status::provisioning; ///< Of `engine_index::status` only.
    std::pair<std::string, std::string> member = {}; ///< Of `engine_index::metadata`: name, value.
};

namespace detail {

/// The entries of the members that `metadata` has, and `other` lacks or has with another value.
inline void append_members(const named_texts& metadata, const named_texts& other,
                           std::vector<index_entry>& to) {
    for (const auto& member : metadata) {
        const auto found = other.find(member.first);
        if (found == other.end() || found->second != member.second)
            to.push_back({engine_index::metadata, {}, member});
    }
}

} // namespace detail

/// All entries that lead to an engine with this row.
[[nodiscard]] inline std::vector<index_entry> entries_of(const engine_record& row) {
    std::vector<index_entry> entries{{engine_index::id, {}},
                                     {engine_index::sequence, {}},
                                     {engine_index::status, row.status},
                                     {engine_index::user, {}}};
    detail::append_members(settings_of(row).metadata, {}, entries);
    return entries;
}

/// The entries that lead to an engine with the row `before`, and not to one with the row `after`,
/// which replaces it or is replaced by it.
[[nodiscard]] inline std::vector<index_entry> entries_beside(const engine_record& before,
                                                             const engine_record& after) {
    std::vector<index_entry> entries;
    if (before.status != after.status) entries.push_back({engine_index::status, before.status});
    if (before.settings != after.settings)
        detail::append_members(settings_of(before).metadata, settings_of(after).metadata, entries);
    return entries;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

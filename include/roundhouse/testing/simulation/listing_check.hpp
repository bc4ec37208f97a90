#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks that listings of one product, and of all, agree with the rows, in whatever way they are
/// asked for.
class listing_check {
public:
    listing_check(const ledger& rows, const uuid& product) : ledger_(rows), product_(product) {}

    /// The listings to ask for: all engines, those of a status, and those that share something with
    /// one that is there.
    [[nodiscard]] std::vector<engine_query> queries() const {
        std::vector<engine_query> out(3);
        out[1].status = engine_status::running;
        out[2].user_prefix = "user1";
        for (const auto& [id, known] : ledger_.rows()) {
            const auto& row = *known.row;
            if (row.product_id != product_) continue;
            for (const auto& member : settings_of(row).metadata) {
                auto& query = out.emplace_back();
                query.metadata.insert(member);
                if (out.size() % 2 == 0) query.status = row.status;
                if (out.size() % 3 == 0) query.user_prefix = row.user_id;
            }
        }
        for (auto& query : out) {
            query.product_id = product_;
            query.limit = 3;
        }
        for (std::size_t i = 0, count = out.size(); i < count; ++i) {
            auto everywhere = out[i];
            everywhere.all_products = true;
            out.push_back(std::move(everywhere));
        }
        return out;
    }

    /// Whether a listing, read page by page, has exactly the rows that the query asks for, oldest
    /// first.
    template <class Orchestrator>
    [[nodiscard]] bool agrees(const Orchestrator& orchestrator, engine_query query) const {
        std::map<std::uint64_t, uuid> wanted;
        for (const auto& [id, known] : ledger_.rows())
            if (wants(query, *known.row)) wanted[known.row->sequence] = id;
        std::vector<uuid> listed;
        do {
            const auto page = orchestrator.list(query);
            if (!page || page->total != wanted.size()) return false;
            for (const auto& engine : page->engines) listed.push_back(engine.record->id);
            query.after = page->next;
        } while (query.after && listed.size() <= wanted.size());
        return std::ranges::equal(listed, wanted,
                                  [](const uuid& id, const auto& row) { return id == row.second; });
    }

private:
    static bool wants(const engine_query& query, const engine_record& row) {
        const auto& metadata = settings_of(row).metadata;
        return (query.all_products || row.product_id == query.product_id) &&
               row.user_id.starts_with(query.user_prefix) &&
               (!query.status || row.status == *query.status) &&
               std::ranges::all_of(query.metadata, [&](const auto& member) {
                   const auto found = metadata.find(member.first);
                   return found != metadata.end() && found->second == member.second;
               });
    }

    const ledger& ledger_;
    const uuid product_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

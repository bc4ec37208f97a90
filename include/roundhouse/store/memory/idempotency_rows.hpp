#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::memory {

/// The idempotency records of a `memory_store`. Not thread-safe.
class idempotency_rows {
public:
    [[nodiscard]] idempotency_ptr find(const idempotency_id& id) const {
        const auto found = rows_.find(id);
        return found == rows_.end() ? nullptr : found->second;
    }

    void put(idempotency_record record) {
        const auto before = find(record.id);
        auto& kept = by_sequence_[record.id.product_id];
        const bool again = before && before->engine_id == record.engine_id;
        if (before && !again) kept.erase(before->sequence);
        if (again) record.sequence = before->sequence;
        else record.sequence = kept.empty() ? 1 : kept.rbegin()->first + 1;
        const auto row = std::make_shared<const idempotency_record>(std::move(record));
        kept[row->sequence] = row;
        rows_[row->id] = row;
        while (are_too_many(kept.begin()->first, row->sequence)) remove_first(kept);
    }

    /// Removes the records of a product that is gone.
    void forget(const uuid& product) {
        const auto kept = by_sequence_.find(product);
        if (kept == by_sequence_.end()) return;
        while (!kept->second.empty()) remove_first(kept->second);
        by_sequence_.erase(kept);
    }

    std::size_t prune(instant before, std::size_t most) {
        std::size_t removed = 0;
        for (auto product = by_sequence_.begin(); product != by_sequence_.end();) {
            auto& kept = product->second;
            for (; removed < most && !kept.empty(); ++removed) {
                if (kept.begin()->second->created_at >= before) break;
                remove_first(kept);
            }
            if (kept.empty()) product = by_sequence_.erase(product);
            else ++product;
        }
        return removed;
    }

    void visit(const std::function<void(const result<idempotency_ptr>&)>& visitor) const {
        for (const auto& [id, row] : rows_) visitor(row);
    }

private:
    using sequence = std::map<std::uint64_t, idempotency_ptr>;

    void remove_first(sequence& kept) {
        rows_.erase(kept.begin()->second->id);
        kept.erase(kept.begin());
    }

    std::map<idempotency_id, idempotency_ptr> rows_;
    std::map<uuid, sequence> by_sequence_; ///< By product.
};

} // namespace detail::memory
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/core/policy.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/shell/turn_queue.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What a product may have of a queue by its policy.
[[nodiscard]] inline turn_queue::allowance allowance_of(const product& product,
                                                        const settings& settings) {
    turn_queue::allowance out;
    out.revision = product.revision;
    const auto& limits = core::policy_of(product, settings);
    out.most = limits.max_concurrent_boots.value_or(out.most);
    out.weight = limits.weight.value_or(out.weight);
    return out;
}

/// The turns in which new versions are prepared for upgrades, while the old ones serve. They are
/// shared out as those of boots are, in a queue of their own. Thread-safe.
class upgrade_turns {
public:
    explicit upgrade_turns(std::size_t at_once) : turns_(at_once) {}

    /// Calls `begin` when the turn comes: at once, or from the `leave` of another. Whoever has a turn
    /// must `leave`.
    void enter(const engine_owner& owner, turn_queue::allowance allowed, completion<void> begin) {
        const auto number = add(std::move(begin));
        const auto entered = turns_.enter(turn_queue::urgency::awaited, {owner, number}, allowed);
        announce(entered.begun);
        if (entered.place == 0) take(number)({});
    }

    void leave(const uuid& product) { announce(turns_.leave(product)); }

private:
    std::uint64_t add(completion<void> begin) {
        const std::lock_guard lock(mutex_);
        waiting_.emplace(++last_, std::move(begin));
        return last_;
    }
    completion<void> take(std::uint64_t number) {
        const std::lock_guard lock(mutex_);
        return std::move(waiting_.extract(number).mapped());
    }
    void announce(const std::vector<turn_queue::command>& begun) {
        for (const auto& one : begun) take(one.number)({});
    }

    turn_queue turns_;
    std::mutex mutex_;
    std::uint64_t last_ = 0;
    std::unordered_map<std::uint64_t, completion<void>> waiting_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

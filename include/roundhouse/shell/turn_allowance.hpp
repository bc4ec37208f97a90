#pragma once

#include <roundhouse/core/policy.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/shell/turn_queue.hpp>
#include <roundhouse/types.hpp>

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

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/fleet_calls.hpp>
#include <roundhouse/types.hpp>

#include <memory>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Provisions with an idempotency key for a caller of the SDK. What is kept of the answer are the
/// engine's id and key, or the failure; a repeated call answers with the engine as it is then.
void provision_once(const std::shared_ptr<fleet_calls>& fleet, product_ptr product,
                    std::string user_id, provision_options options, std::string key,
                    completion<engine_view> done);

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/provision_once.ipp>
#endif

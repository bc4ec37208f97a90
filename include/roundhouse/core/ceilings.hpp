#pragma once

#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Which ceilings the engines of a product get (SPEC §4).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The ceilings that a policy sets for each single engine.
[[nodiscard]] inline engine_limits ceilings_of(const policy& limits) {
    return {limits.max_memory_mb, limits.max_cpus, limits.max_pids};
}

namespace detail {

/// The smaller of two ceilings; a ceiling without a value is none.
template <class Number>
[[nodiscard]] std::optional<Number> smaller(const std::optional<Number>& left,
                                            const std::optional<Number>& right) {
    if (!left || !right) return left ? left : right;
    return std::min(*left, *right);
}

/// Of each kind the smaller ceiling.
[[nodiscard]] inline engine_limits smaller(const engine_limits& left, const engine_limits& right) {
    return {smaller(left.memory_mb, right.memory_mb), smaller(left.cpus, right.cpus),
            smaller(left.pids, right.pids)};
}

/// Removes a ceiling that another one of `general` bounds anyway.
template <class Number>
void drop_bounded(std::optional<Number>& ceiling, const std::optional<Number>& general) {
    if (ceiling && general && *ceiling >= *general) ceiling.reset();
}

} // namespace detail

/// The ceilings that hold for an engine with `own` ceilings, from its next boot on.
[[nodiscard]] inline engine_limits limits_in_force(const engine_limits& own, const policy& limits,
                                                   const limit_support& backend) {
    return detail::smaller(detail::smaller(own, ceilings_of(limits)), backend.general);
}

/// What of the ceilings in force a workload is asked for with: those below the backend's general
/// ones, which it gives every workload.
[[nodiscard]] inline engine_limits workload_limits(const engine_limits& own, const policy& limits,
                                                   const limit_support& backend) {
    auto out = detail::smaller(own, ceilings_of(limits));
    detail::drop_bounded(out.memory_mb, backend.general.memory_mb);
    detail::drop_bounded(out.cpus, backend.general.cpus);
    detail::drop_bounded(out.pids, backend.general.pids);
    return out;
}

/// Finds the first ceiling of a policy that a backend cannot hold; nothing if there is none.
[[nodiscard]] inline std::optional<settings_fault>
check_held(const policy& limits, const limit_support& backend, std::string_view backend_name) {
    const auto unheld = [&](std::string member) {
        return settings_fault{std::move(member),
                              "cannot be held by this server's backend (" +
                                  std::string(backend_name) +
                                  "). Ask the operator to change the policy, or to set the server "
                                  "up for it."};
    };
    if (limits.max_memory_mb && !backend.memory_mb) return unheld("policy.max_memory_mb");
    if (limits.max_cpus && !backend.cpus) return unheld("policy.max_cpus");
    if (limits.max_pids && !backend.pids) return unheld("policy.max_pids");
    return std::nullopt;
}

/// What a product's defaults ask for that cannot be.
[[nodiscard]] inline settings_fault of_defaults(const settings_fault& fault) {
    return {"defaults." + fault.member,
            fault.complaint + " The product's defaults ask for it, which the operator may change."};
}

namespace detail {

/// Finds the first ceiling that is above the policy's; nothing if there is none.
[[nodiscard]] inline std::optional<settings_fault>
check_policy_ceilings(const engine_limits& asked, const product& product, const policy& limits) {
    const auto above = [&](std::string_view kind, const std::string& most) {
        return settings_fault{"limits." + std::string(kind),
                              "must be at most " + most + " (policy.max_" + std::string(kind) +
                                  " of product '" + product.slug +
                                  "'). Ask for less, or ask the operator to change the policy."};
    };
    if (asked.memory_mb > limits.max_memory_mb && limits.max_memory_mb)
        return above("memory_mb", std::to_string(*limits.max_memory_mb));
    if (asked.cpus > limits.max_cpus && limits.max_cpus)
        return above("cpus", number_text(*limits.max_cpus));
    if (asked.pids > limits.max_pids && limits.max_pids)
        return above("pids", std::to_string(*limits.max_pids));
    return std::nullopt;
}

[[nodiscard]] inline error to_error(errc code, const settings_fault& fault) {
    return {code, fault.member + ": " + fault.complaint};
}

} // namespace detail

/// The ceilings that a change from `before` to `after` asks for: those that it leaves are as they are in
/// force, so that none of them is refused that has come to be above another.
[[nodiscard]] inline engine_limits asked_beside(const engine_limits& before,
                                                const engine_limits& after, const policy& limits,
                                                const limit_support& backend) {
    const auto kept = limits_in_force(before, limits, backend);
    auto asked = after;
    if (asked.memory_mb && asked.memory_mb == before.memory_mb) asked.memory_mb = kept.memory_mb;
    if (asked.cpus && asked.cpus == before.cpus) asked.cpus = kept.cpus;
    if (asked.pids && asked.pids == before.pids) asked.pids = kept.pids;
    return asked;
}

/// Decides whether an engine of a product may have the ceilings that are asked for it, as `limits` of
/// a call or together with those that it has, and returns the ceilings that are then in force. Their
/// `memory_mb` is what the engine reserves. Fails with `invalid_request` for one that the backend
/// cannot hold, and with `policy_denied`. Those of the product's defaults, which may be null, are cut
/// to the others where they are above them; one that the backend cannot hold is `policy_denied`. What
/// there is of `max_total_memory_mb` is checked by the store.
[[nodiscard]] inline result<engine_limits>
grant_limits(const engine_limits& asked, const product& product, const product_defaults* defaults,
             const limit_support& backend, std::string_view backend_name,
             const settings& settings) {
    const auto& limits = policy_of(product, settings);
    if (const auto fault = check_held(asked, backend, backend_name))
        return unexpected(detail::to_error(errc::invalid_request, *fault));
    if (const auto fault = check_general(asked, backend.general))
        return unexpected(detail::to_error(errc::policy_denied, *fault));
    if (const auto fault = detail::check_policy_ceilings(asked, product, limits))
        return unexpected(detail::to_error(errc::policy_denied, *fault));
    if (const auto fault = check_held(limits, backend, backend_name))
        return unexpected(detail::to_error(errc::policy_denied, *fault));
    const auto wanted = merged(asked, defaults);
    if (const auto fault = check_held(wanted, backend, backend_name))
        return unexpected(detail::to_error(errc::policy_denied, of_defaults(*fault)));
    auto granted = limits_in_force(wanted, limits, backend);
    if (limits.max_total_memory_mb && !granted.memory_mb)
        return fail(errc::policy_denied,
                    "limits.memory_mb: is needed, because the engines of product '" + product.slug +
                        "' share policy.max_total_memory_mb (" +
                        std::to_string(*limits.max_total_memory_mb) +
                        "), and nothing else bounds the memory of this one. Set it, or ask the "
                        "operator for policy.max_memory_mb.");
    return granted;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/core/calls.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// From an engine's record to the answer of an admit. `Fleet` is `detail::fleet`.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

inline denial reason_of(const engine_record& engine) noexcept {
    switch (engine.status) {
    case engine_status::sleeping:
    case engine_status::stopped: return denial::engine_sleeping;
    case engine_status::destroying: return denial::engine_not_found;
    default: return denial::engine_unhealthy;
    }
}

[[nodiscard]] inline result<admission> admitted(result<engine_view> view) {
    if (!view) return unexpected(std::move(view.error()));
    return admission{std::move(*view), {}};
}

template <class Fleet>
[[nodiscard]] result<admission> denied(Fleet& fleet, const product& who, denial reason) {
    fleet.deny(who, name_of(reason));
    return admission{std::nullopt, reason};
}

template <class Fleet>
[[nodiscard]] result<admission> over_the_rate(Fleet& fleet, const product& who, duration wait) {
    fleet.deny(who, "rate_limited");
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    return fail(errc::rate_limited,
                "Product '" + who.slug + "' is over its rate_limit_rpm (" +
                    std::to_string(*who.policy.rate_limit_rpm) + "). Try again in " +
                    std::to_string(seconds) + " s.",
                static_cast<int>(seconds));
}

/// Takes a place in the rate limit and answers from the record as it is, or not: then the admit has
/// to go through the engine's mailbox.
template <class Fleet>
[[nodiscard]] std::optional<result<admission>> admit_now(Fleet& fleet, const product& who,
                                                         std::string_view user, admit_options how) {
    const auto& with = fleet.parts();
    const auto hash = engine_owner_hash::mix(who.id, user);
    fleet.expect_use(hash);
    if constexpr (prefetches<std::remove_cvref_t<decltype(*with.store)>>)
        with.store->prefetch(who.id, user);
    if (const auto wait = fleet.rates().take(who, with.clock->steady_now()))
        return over_the_rate(fleet, who, *wait);
    if (fleet.engines().unreconciled().has(who.id, user)) return std::nullopt;
    fleet.expect_use_now(hash);
    auto found = with.store->find_engine(who.id, user);
    if (!found) return unexpected(found.error());
    auto& engine = *found;
    if (!engine) {
        if (how.auto_provision) return std::nullopt;
        return denied(fleet, who, denial::engine_not_found);
    }
    if (core::admissible(*engine)) {
        // One that the shell does not know to run yet has a commit owner outcome is in doubt.
        auto view = fleet.use(std::move(engine), with.clock->now());
        if (!view) return std::nullopt;
        return admitted(std::move(*view));
    }
    const auto decided = core::decide(core::call::admit{how.auto_wake}, *engine,
                                      fleet.engines().context({}));
    const bool waits = decided.verdict == core::verdict::joined ||
                       decided.verdict == core::verdict::deferred;
    if (waits) return std::nullopt;
    if (decided.refusal.code == errc::backend_error && decided.verdict == core::verdict::refused)
        return unexpected(decided.refusal);
    return denied(fleet, who, reason_of(*engine));
}

/// What an admit gets that has been through the mailbox.
template <class Fleet>
[[nodiscard]] result<admission> admission_of(Fleet& fleet, const product& who,
                                             const result<engine_ptr>& outcome) {
    if (outcome && core::admissible(**outcome)) {
        auto used = fleet.use(*outcome, fleet.parts().clock->now());
        return admitted(used ? std::move(*used) : fleet.view(*outcome, true));
    }
    if (outcome) return denied(fleet, who, reason_of(**outcome));
    const auto& failure = outcome.error();
    if (failure.code == errc::engine_not_found) return denied(fleet, who, denial::engine_not_found);
    if (failure.code == errc::quota_exceeded) fleet.deny(who, "quota_exceeded");
    if (failure.code == errc::policy_denied) fleet.deny(who, "policy_denied");
    return unexpected(failure);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

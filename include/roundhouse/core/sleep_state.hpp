#pragma once

#include <roundhouse/types.hpp>

#include <optional>
#include <string_view>

/// What a record tells of how its engine sleeps.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

namespace detail {

/// Why an engine sleeps that a call has put to sleep.
inline constexpr std::string_view asked_to_sleep = "asked for by a call";

} // namespace detail

/// Whether a running engine is being put to sleep because a call asked for that.
[[nodiscard]] inline bool sleeps_for_a_call(const engine_record& engine) noexcept {
    return engine.status == engine_status::running && engine.intent == intent::sleep &&
           engine.reason == detail::asked_to_sleep;
}

/// Whether an engine sleeps without its workload, or that is being ended.
[[nodiscard]] inline bool sleeps_deeply(const engine_record& engine) noexcept {
    return engine.status == engine_status::sleeping &&
           (engine.intent == intent::deep_sleep ||
            (engine.intent == intent::none && engine.sleep_mode == sleep_mode::stopped));
}

/// How an engine sleeps, as the backend has confirmed it; nothing of one that does not sleep.
[[nodiscard]] inline std::optional<sleep_mode> sleep_mode_of(const engine_record& engine) noexcept {
    if (engine.status != engine_status::sleeping) return std::nullopt;
    return engine.sleep_mode;
}

/// Since when an engine that sleeps does so.
[[nodiscard]] inline instant sleeping_since_of(const engine_record& engine) noexcept {
    return engine.sleeping_since == instant{} ? engine.operation_started_at : engine.sleeping_since;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

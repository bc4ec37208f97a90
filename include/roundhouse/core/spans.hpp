#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/types.hpp>

#include <optional>

/// Spans of time from or to what a record tells in wall time: as they were measured by the steady
/// clock, or else by the wall clock, which may have been set meanwhile.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// By how much two readings of a time may differ that were made by the clock and its steady one at
/// other moments: each is rounded to a millisecond.
inline constexpr duration clock_noise{2};

/// A time as it is `known`, or as it was `measured` again if the difference is more than the rounding
/// of clocks.
template <class Time>
[[nodiscard]] constexpr Time without_noise(const Time& known, const Time& measured) noexcept {
    const bool is_noise = measured <= known + clock_noise && known <= measured + clock_noise;
    return is_noise ? known : measured;
}

/// How far off the planned restart is; nothing if there is none.
[[nodiscard]] inline std::optional<duration> restart_in(const engine_record& engine,
                                                        const context& context) {
    if (!engine.restart_at) return std::nullopt;
    return context.restart_in.value_or(*engine.restart_at - context.now);
}

/// For how long the engine has been healthy; nothing if it is not.
[[nodiscard]] inline std::optional<duration> healthy_for(const engine_record& engine,
                                                         const context& context) {
    if (!engine.healthy_since) return std::nullopt;
    return context.healthy_for.value_or(context.now - *engine.healthy_since);
}

/// How long ago a healthy answer was last stored; nothing if there was none.
[[nodiscard]] inline std::optional<duration> since_health_row(const engine_record& engine,
                                                              const context& context) {
    if (!engine.last_health_at) return std::nullopt;
    return context.since_health_row.value_or(context.now - *engine.last_health_at);
}

/// Whether the engine has been healthy for so long that its restarts are counted anew.
[[nodiscard]] inline bool healthy_for_long(const engine_record& engine, const context& context) {
    const auto span = healthy_for(engine, context);
    return span && *span >= context.settings.restart_reset;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

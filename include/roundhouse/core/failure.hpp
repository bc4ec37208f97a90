#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/brake.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <optional>

/// What a record tells of its engine's last failure and last boot.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

[[nodiscard]] inline exit_status exit_status_of(const workload_exit& exit) noexcept {
    exit_status out;
    out.exit_code = exit.exit_code;
    if (exit.signal) out.signal = static_cast<std::uint8_t>(*exit.signal);
    out.out_of_memory = exit.out_of_memory;
    return out;
}

/// Why an engine is down, from its failure until it runs again, is stopped or is destroyed; nothing
/// at other times.
[[nodiscard]] inline std::optional<engine_failure> failure_of(const engine_record& engine) {
    const bool boots = engine.status == engine_status::provisioning &&
                       engine.origin == engine_status::failed;
    if (!boots && engine.status != engine_status::failed) return std::nullopt;
    engine_failure out;
    out.reason = engine.reason;
    out.exit = engine.last_exit;
    out.attempts = engine.restart_attempts;
    out.restart_at = engine.restart_at;
    out.gave_up = !comes_back(engine);
    return out;
}

/// When the present workload had booted; nothing of an engine that neither runs nor sleeps paused.
[[nodiscard]] inline std::optional<instant> booted_at(const engine_record& engine) noexcept {
    const bool is_up = engine.status == engine_status::running ||
                       engine.status == engine_status::sleeping;
    return is_up ? engine.healthy_since : std::nullopt;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

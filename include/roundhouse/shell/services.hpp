#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/moment.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/shell/orchestrator_parts.hpp>

#include <optional>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What callers are told while the orchestrator goes away.
[[nodiscard]] inline error going_away() {
    return {errc::shutting_down, "The orchestrator is shutting down.", 1};
}

/// What all parts of the shell use. It outlives them.
struct services : orchestrator_parts {
    explicit services(orchestrator_parts parts)
        : orchestrator_parts(std::move(parts)), tasks(executor) {}

    task_group tasks;

    [[nodiscard]] instant now() const noexcept { return clock->now(); }
    [[nodiscard]] duration steady_now() const noexcept { return clock->steady_now(); }
    [[nodiscard]] core::moment moment() const noexcept { return {now(), steady_now()}; }

    void log(log_level level, std::string_view line) const {
        if (sink) sink(level, line);
    }

    /// What an engine asks the store for if it needs a host port; nothing if this backend gives none.
    [[nodiscard]] std::optional<port_request> port_wanted() const {
        if (!backend->needs_port()) return std::nullopt;
        return port_request{settings.port_min, settings.port_max,
                            [this](std::uint16_t port) { return backend->port_usable(port); }};
    }
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

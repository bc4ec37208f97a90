#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/moment.hpp>
#include <roundhouse/core/spans.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/shell/defaults_table.hpp>
#include <roundhouse/shell/ended_products.hpp>
#include <roundhouse/shell/logged_engine.hpp>
#include <roundhouse/shell/orchestrator_parts.hpp>

#include <atomic>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

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
    defaults_table defaults;
    ended_products ended;

    [[nodiscard]] instant now() const noexcept { return clock->now(); }
    [[nodiscard]] duration steady_now() const noexcept { return clock->steady_now(); }
    [[nodiscard]] core::moment moment() const noexcept { return {now(), steady_now()}; }

    /// The wall time at a steady time. The same for the same steady time, although the clocks are not
    /// read at the same moment, until one of them is set.
    [[nodiscard]] instant wall_time_of(duration steady) const noexcept {
        const duration measured = now().time_since_epoch() - steady_now();
        const duration known{wall_lead_ms_.load(std::memory_order_relaxed)};
        const auto lead = core::without_noise(known, measured);
        if (lead != known) wall_lead_ms_.store(lead.count(), std::memory_order_relaxed);
        return instant{steady + lead};
    }

    /// Logs a line. Fields without text are left out.
    void log(log_level level, std::string_view message,
             std::initializer_list<log_field> fields = {}) const {
        if (sink) log_present(level, message, fields);
    }
    /// Logs a line about an engine.
    void log(log_level level, std::string_view message, const logged_engine& engine,
             std::initializer_list<log_field> more = {}) const {
        if (!sink) return;
        std::vector<log_field> fields{{"product", engine.product},
                                      {"user_id", engine.user_id},
                                      {"engine_id", engine.engine_id}};
        fields.insert(fields.end(), more);
        log_present(level, message, std::move(fields));
    }

    /// What an engine asks the store for if it needs a host port; nothing if this backend gives none.
    [[nodiscard]] std::optional<port_request> port_wanted() const {
        if (!backend->needs_port()) return std::nullopt;
        return port_request{settings.port_min, settings.port_max,
                            [this](std::uint16_t port) { return backend->port_usable(port); }};
    }

private:
    mutable std::atomic<duration::rep> wall_lead_ms_ =
        0; ///< Of the wall clock over the steady one.

    void log_present(log_level level, std::string_view message,
                     std::vector<log_field> fields) const {
        std::erase_if(fields, [](const log_field& field) {
            const auto* const text = std::get_if<std::string_view>(&field.value);
            return text != nullptr && text->empty();
        });
        sink({level, message, fields});
    }
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

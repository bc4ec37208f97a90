#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/shell/logged_engine.hpp>
#include <roundhouse/shell/services.hpp>

#include <chrono>
#include <mutex>
#include <optional>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Logs that the store refuses to take changes, for want of room or of ports: at most one line a
/// minute for each of the two, because a full disk concerns every engine. Thread-safe.
class refusal_log {
public:
    explicit refusal_log(const services& services) : services_(services) {}

    /// Logs a refusal unless the log has one of its kind; other errors are not logged.
    void note(const logged_engine& engine, const error& cause) {
        if (cause.code == errc::store_unavailable && is_due(store_logged_at_))
            services_.log(
                log_level::error,
                "changes cannot be stored; those that have happened are tried again. Free "
                "space on the store's disk, or mend what the reason tells. Engines that "
                "run go on",
                engine, {{"reason", cause.message}});
        if (cause.code == errc::port_exhaustion && is_due(port_logged_at_))
            services_.log(log_level::error,
                          "no host port is free for an engine. Destroy engines, or widen "
                          "ORCH_PORT_MIN-ORCH_PORT_MAX",
                          engine, {{"reason", cause.message}});
    }

private:
    bool is_due(std::optional<duration>& logged_at) {
        constexpr duration between = std::chrono::minutes{1};
        const auto now = services_.steady_now();
        const std::lock_guard lock(mutex_);
        if (logged_at && now - *logged_at < between) return false;
        logged_at = now;
        return true;
    }

    const services& services_;
    std::mutex mutex_;
    // Steady times.
    std::optional<duration> store_logged_at_;
    std::optional<duration> port_logged_at_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the orchestrator's calls take and answer with.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// A product that was just registered. The key is in nobody's hands but the receiver's: only its
/// hash is kept.
struct registration {
    uuid product_id;
    std::string slug;
    std::string platform_key;
};

/// One engine as its product sees it.
struct engine_view {
    engine_ptr record;
    std::string url;     ///< Set in every state; check `record->status`.
    std::string api_key; ///< Empty where the call does not hand it out (listings).
    std::optional<instant> last_health_at;
};

struct engine_view_page {
    std::vector<engine_view> engines;
    std::uint64_t total = 0;
};

struct admit_options {
    bool auto_provision = false;
    bool auto_wake = false;
};

/// Why a request was not admitted, where that is no error.
enum class denial : std::uint8_t { engine_not_found, engine_sleeping, engine_unhealthy };

constexpr std::string_view name_of(denial reason) noexcept {
    switch (reason) {
    case denial::engine_not_found: return "engine_not_found";
    case denial::engine_sleeping: return "engine_sleeping";
    case denial::engine_unhealthy: return "engine_unhealthy";
    }
    return "unknown";
}

/// The answer to an admit: the engine, or why not.
struct admission {
    std::optional<engine_view> engine;
    denial reason = denial::engine_not_found; ///< Means something only without an engine.
};

enum class fleet_health : std::uint8_t { ok, degraded, critical };

constexpr std::string_view name_of(fleet_health health) noexcept {
    switch (health) {
    case fleet_health::ok: return "ok";
    case fleet_health::degraded: return "degraded";
    case fleet_health::critical: return "critical";
    }
    return "unknown";
}

struct fleet_status {
    fleet_counts counts;
    fleet_health health = fleet_health::ok;
};

/// The rolling figures cover the last 3,600 seconds.
struct fleet_metrics {
    std::uint64_t provisions_1h = 0;
    std::uint64_t crashes_1h = 0;
    std::uint64_t restarts_1h = 0;
    double avg_boot_ms = 0;
    std::uint64_t total_provisions = 0;
    std::uint64_t total_destroys = 0;
};

/// How the orchestrator itself is.
struct orchestrator_health {
    bool starting = false; ///< It recovers; calls fail with `errc::starting`.
    duration uptime{};
    std::string_view backend;                   ///< Its name.
    std::string_view store;                     ///< Its name.
    std::optional<std::string> backend_trouble; ///< Why it cannot work at present.
    std::optional<std::string> store_trouble;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

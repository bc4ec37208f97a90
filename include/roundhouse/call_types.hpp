#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/enum_table.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The parameters and results of the calls of an orchestrator.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// A product that was just registered.
struct registration {
    uuid product_id;
    std::string slug;
    std::string platform_key; ///< Only its hash is stored: it cannot be read again.
};

/// The actor of what an administrator does who has no name of their own.
inline constexpr std::string_view admin_actor = "admin";

/// The actor of what an administrator of this name does.
[[nodiscard]] inline std::string actor_of_admin(std::string_view name) {
    return std::string(admin_actor).append(":").append(name);
}

/// A platform key of a product, as operators see it.
struct platform_key_view {
    std::uint64_t id = 0;
    instant created_at{};
    std::optional<instant> last_used_at = {}; ///< To the minute; nothing if not since the start.
    std::optional<instant> expires_at = {};
};

/// A product as operators see it.
struct product_view {
    product_ptr record;
    fleet_counts engines;
    std::vector<platform_key_view> keys = {}; ///< Those in force, oldest first.
};

/// A platform key that a product was just given.
struct rotated_platform_key {
    std::string platform_key; ///< Only its hash is stored: it cannot be read again.
    std::uint64_t id = 0;
};

/// What became of a platform key that an operator has configured for a product.
enum class configured_key : std::uint8_t {
    registered, ///< There was no such product: it was registered with this key.
    in_force,   ///< The product has the key already.
    rotated,    ///< It has the place of those that were configured before.
    not_taken,  ///< No key of the product was configured: its keys stay, and this is none of them.
};

/// How far the deletion of a product is.
struct product_deletion {
    uuid product_id;
    bool done = true;          ///< The product is gone; else it goes in the background.
    std::uint64_t engines = 0; ///< How many are left to destroy.
};

/// What is changed of a product; what is absent stays as it is.
struct product_changes {
    std::optional<std::string> display_name = {};
};

/// Why an engine is down that ought to run.
struct engine_failure {
    std::string reason; ///< For people. May hold paths of the host.
    exit_status exit = {};
    std::uint32_t attempts = 0;             ///< Auto-restarts since it was last healthy for long.
    std::optional<instant> restart_at = {}; ///< When the next one is planned.
    bool gave_up = false;                   ///< It is not restarted without a call.
};

/// An engine as its product sees it.
struct engine_view {
    engine_ptr record;
    std::string url;     ///< Set in every state; check `record->status`.
    std::string api_key; ///< Empty in listings.
    std::optional<instant> last_health_at;
    /// Set from its failure until it runs again, is stopped or is destroyed.
    std::optional<engine_failure> failure = {};
    /// When it will be put to sleep if it is not used; nothing if it does not run or never sleeps.
    std::optional<instant> sleeps_at = {};
    std::optional<instant> busy_until = {}; ///< The end of its busy lease, while it runs.
    /// When its workload had booted; nothing if it neither runs nor sleeps paused.
    std::optional<instant> booted_at = {};
    std::uint32_t restarts = 0; ///< Auto-restarts that were tried since it was created.
    engine_limits limits = {};  ///< In force from its next boot on (`core::limits_in_force`).
    // Its own, else those of its product's defaults, else those of all.
    duration stop_grace{};
    duration sleep_after{};      ///< 0 for never.
    duration deep_sleep_after{}; ///< 0 for never.
    bool pinned = false;
    std::vector<std::string> env_names = {}; ///< Its own and the defaults', in order.
    /// What was changed since its present workload was made: the flags alone.
    pending_settings pending = {};
    std::optional<roundhouse::sleep_mode> sleep_mode = {}; ///< Set while it sleeps.
    std::optional<instant> sleeping_since = {};            ///< The same.
    std::shared_ptr<const engine_upgrade> upgrade = {};    ///< Null if none is under way.
    std::string product = {};                              ///< The slug of its product.
};

/// What a new engine is given. `core::check_options` says what each member may be.
struct provision_options {
    std::optional<std::string> version = {}; ///< Absent: `settings::default_version`.
    named_texts env = {};                    ///< Variables of its environment. Kept sealed.
    named_texts metadata = {};               ///< Kept and shown, and of no meaning here.
    engine_limits limits = {};
    std::optional<duration> stop_grace = {}; ///< In place of `settings::stop_grace`.
    sleep_settings sleep = {};
};

/// What makes a call one that is done once, however often it is made (SPEC §3 "Idempotency").
struct idempotent_call {
    std::string key; ///< `core::names::check_idempotency_key`
    /// Of all that is asked for: another request with the same key is refused.
    sha256_digest request{};
    /// Writes the answer that is kept, and given again. Called from any thread.
    std::function<std::string(const result<engine_view>&)> write_answer = {};
};

/// The same of a registration.
struct idempotent_registration {
    std::string key; ///< `core::names::check_idempotency_key`
    /// Of all that is asked for: another request with the same key is refused.
    sha256_digest request{};
    /// Writes the answer that is kept, and given again. Called from any thread.
    std::function<std::string(const registration&)> write_answer = {};
};

/// A change of a value that may be missing: none, another value, or (`remove`) none in its place.
template <class T> struct value_change {
    std::optional<T> value = {};
    bool remove = false;

    [[nodiscard]] bool any() const noexcept { return remove || value.has_value(); }
    void apply(std::optional<T>& to) const {
        if (any()) to = value;
    }
};

/// A change of texts that have names.
struct texts_change {
    bool remove_all = false; ///< Before those that follow are set.
    std::map<std::string, std::optional<std::string>> texts = {}; ///< Without a value: removed.

    [[nodiscard]] bool any() const noexcept { return remove_all || !texts.empty(); }
    void apply(named_texts& to) const {
        if (remove_all) to.clear();
        for (const auto& [name, value] : texts) {
            if (value) to[name] = *value;
            else to.erase(name);
        }
    }
};

/// A change of an engine's settings. What is not mentioned stays.
struct settings_change {
    texts_change env = {};
    texts_change metadata = {};
    value_change<std::uint64_t> memory_mb = {};
    value_change<double> cpus = {};
    value_change<std::uint64_t> pids = {};
    value_change<duration> stop_grace = {};
    value_change<duration> sleep_after = {};
    value_change<duration> deep_sleep_after = {};
    value_change<bool> pinned = {};
};

struct change_options {
    /// The `engine_settings::revision` that is changed; another one is `errc::precondition_failed`.
    std::optional<std::uint64_t> if_revision = {};
    bool restart = false; ///< The engine, which must run, is booted with the settings at once.
};

/// What an engine is upgraded to, and how.
struct upgrade_options {
    std::string version;
    /// How long the new version is watched once it has booted: at most 600 s.
    duration healthy_for = std::chrono::seconds{10};
    /// Whether the data is copied before the new version boots; nothing: if it is at most
    /// `settings::copied_by_default`.
    std::optional<bool> keep_copy = {};
    /// As `change_options::if_revision`.
    std::optional<std::uint64_t> if_revision = {};
};

/// What an engine was used by.
enum class engine_use : std::uint8_t {
    unknown,
    admit,
    activity,
    busy, ///< Its own healthy answer.
};

namespace detail {

inline constexpr std::array<name_row<engine_use>, 4> engine_use_names{{
    {engine_use::unknown, "unknown"},
    {engine_use::admit, "admit"},
    {engine_use::activity, "activity"},
    {engine_use::busy, "busy"},
}};

} // namespace detail

inline constexpr auto all_engine_uses = detail::values_of(detail::engine_use_names);
static_assert(detail::lists_every_enumerator<all_engine_uses>(), "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(engine_use use) noexcept {
    return detail::name_in(detail::engine_use_names, use);
}

/// What happens to an engine next without a call.
struct engine_next {
    std::string_view step; ///< `restart`, or the name of an `intent`. Never dies.
    std::optional<engine_status> becomes = {}; ///< Nothing: it is gone then.
    std::optional<instant> at = {};            ///< When a step that is planned begins.
    /// When a step that is under way has ended or failed, and what the engine is if it has failed.
    std::optional<instant> by = {};
    std::optional<engine_status> otherwise = {};
};

/// Where a setting of an engine comes from.
enum class setting_source : std::uint8_t {
    none,    ///< Nothing sets it.
    engine,  ///< It is the engine's own.
    product, ///< The product's defaults, or a ceiling of its policy.
    server,  ///< It holds for all engines.
};

namespace detail {

inline constexpr std::array<name_row<setting_source>, 4> setting_source_names{{
    {setting_source::none, "none"},
    {setting_source::engine, "engine"},
    {setting_source::product, "product"},
    {setting_source::server, "server"},
}};

} // namespace detail

inline constexpr auto all_setting_sources = detail::values_of(detail::setting_source_names);
static_assert(detail::lists_every_enumerator<all_setting_sources>(),
              "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(setting_source source) noexcept {
    return detail::name_in(detail::setting_source_names, source);
}

/// Where the settings of an engine come from that hold from its next boot on.
struct settings_sources {
    setting_source version = setting_source::engine;
    setting_source metadata = setting_source::none;
    setting_source memory_mb = setting_source::none;
    setting_source cpus = setting_source::none;
    setting_source pids = setting_source::none;
    setting_source sleep_after = setting_source::server;
    setting_source deep_sleep_after = setting_source::server;
    setting_source pinned = setting_source::none;
    setting_source stop_grace = setting_source::server;
    std::map<std::string, setting_source> env = {}; ///< By the names of its variables.
};

/// Why an engine is in its state, what happens next, and what it was used by.
struct engine_explanation {
    engine_ptr record;
    std::string why; ///< For people. May hold paths of the host.
    std::optional<engine_next> next;
    instant last_used_at{};
    engine_use last_used_by = engine_use::unknown;
    settings_sources settings = {};
};

/// How many bytes the metadata and the names of variables of the engines on one page of a listing may
/// have together: a page that would have more is shorter than its limit. No engine alone has as many.
inline constexpr std::size_t max_listed_bytes = std::size_t{1} << 20U;

struct engine_view_page {
    std::vector<engine_view> engines;
    std::uint64_t total = 0;
    /// The `after` of the query for the page that follows; nothing on the last one.
    std::optional<std::uint64_t> next{};
};

struct admit_options {
    bool auto_provision = false;
    bool auto_wake = false;
    /// What an engine is given that the admit creates; null for nothing.
    std::shared_ptr<const provision_options> provision = {};
    /// How long `admit` waits, 0 to `longest_chosen_wait`; then it is `denial::engine_starting`, and
    /// what it waits for goes on. Nothing: to its end.
    std::optional<duration> wait = {};
};

/// Why a request is not admitted, where that is no error.
enum class denial : std::uint8_t {
    engine_not_found,
    engine_sleeping,
    engine_unhealthy,
    engine_starting, ///< The caller has waited as long as it chose to.
};

namespace detail {

inline constexpr std::array<name_row<denial>, 4> denial_names{{
    {denial::engine_not_found, "engine_not_found"},
    {denial::engine_sleeping, "engine_sleeping"},
    {denial::engine_unhealthy, "engine_unhealthy"},
    {denial::engine_starting, "engine_starting"},
}};

} // namespace detail

inline constexpr auto all_denials = detail::values_of(detail::denial_names);
static_assert(detail::lists_every_enumerator<all_denials>(), "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(denial reason) noexcept {
    return detail::name_in(detail::denial_names, reason);
}

/// A running engine that a request may go to. One is made for each request of a user, so its texts
/// share one allocation.
class admitted_engine {
public:
    uuid id;
    std::string url;
    instant created_at{};
    std::optional<instant> last_health_at;

    admitted_engine(const uuid& engine, std::string_view user_id, std::string_view version,
                    std::string_view api_key)
        : id(engine),
          texts_(user_id.size() + version.size() + api_key.size(), '\0'),
          user_id_size_(user_id.size()),
          version_size_(version.size()) {
        auto* end = texts_.data();
        for (const auto text : {user_id, version, api_key}) end += text.copy(end, text.size());
    }

    // Valid as long as the object.
    [[nodiscard]] std::string_view user_id() const noexcept {
        return std::string_view(texts_).substr(0, user_id_size_);
    }
    [[nodiscard]] std::string_view version() const noexcept {
        return std::string_view(texts_).substr(user_id_size_, version_size_);
    }
    [[nodiscard]] std::string_view api_key() const noexcept {
        return std::string_view(texts_).substr(user_id_size_ + version_size_);
    }

private:
    std::string texts_; ///< User id, version and API key.
    std::size_t user_id_size_;
    std::size_t version_size_;
};

/// The answer to an admit: the engine, or the reason of the denial.
struct admission {
    std::optional<admitted_engine> engine;

    // Valid only without an engine.
    denial reason = denial::engine_not_found;
    std::optional<engine_status> status = {}; ///< Nothing if the user has no engine.
    /// Whole seconds until the planned restart of an engine that has failed; 0 if none is planned.
    /// With `engine_starting` at least 1.
    int retry_after_s = 0;
};

/// What is left under one bound on a product's admits.
struct rate_quota {
    std::uint64_t most = 0; ///< Admits in `window`.
    duration window{};
    std::uint64_t left = 0; ///< Admits that would be taken now, under this bound alone.
    duration more_in{};     ///< Until `left` grows; 0 if it is `most`.
};

/// What is left of the rate at which a product may admit (SPEC §4).
struct rate_limit_status {
    rate_quota minute;               ///< Of `rate_limit_rpm`.
    std::optional<rate_quota> burst; ///< Of `rate_limit_burst`; nothing if that is not set.
};

/// The health of a product's engines (SPEC §3, `GET /status`).
enum class fleet_health : std::uint8_t { ok, degraded, critical };

namespace detail {

inline constexpr std::array<name_row<fleet_health>, 3> fleet_health_names{{
    {fleet_health::ok, "ok"},
    {fleet_health::degraded, "degraded"},
    {fleet_health::critical, "critical"},
}};

} // namespace detail

inline constexpr auto all_fleet_healths = detail::values_of(detail::fleet_health_names);
static_assert(detail::lists_every_enumerator<all_fleet_healths>(), "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(fleet_health health) noexcept {
    return detail::name_in(detail::fleet_health_names, health);
}

/// A brake that is on: many of a product's engines fail their probes together, and failed probes
/// restart none of them (SPEC §5).
struct brake_status {
    instant since{};
    std::uint64_t failing = 0; ///< Running engines whose last probe failed.
    std::uint64_t running = 0;
};

/// A product whose brake is on.
struct braked_product {
    uuid id;
    std::string slug; ///< Empty if the product is gone.
    brake_status brake;
};

struct fleet_status {
    fleet_counts counts;
    fleet_health health = fleet_health::ok;
    std::optional<brake_status> brake = {}; ///< Of one product; nothing if it is off.
    /// Of all products: those whose brakes are on, in the order of their ids.
    std::vector<braked_product> brakes = {};
};

/// Figures of the engines of a product, or of all. Those that end in `_1h` and `avg_boot_ms` cover the last 3,600
/// seconds.
struct fleet_metrics {
    std::uint64_t provisions_1h = 0;
    std::uint64_t crashes_1h = 0;
    std::uint64_t restarts_1h = 0;
    double avg_boot_ms = 0;
    std::uint64_t total_provisions = 0;
    std::uint64_t total_destroys = 0;
};

/// The state of the orchestrator itself.
struct orchestrator_health {
    bool starting = false; ///< Recovery is under way; calls fail with `errc::starting`.
    duration uptime{};
    std::string_view backend;                   ///< The name of the backend.
    std::string_view store;                     ///< The name of the store.
    std::optional<std::string> backend_trouble; ///< Why the backend cannot work at present.
    std::optional<std::string> store_trouble;   ///< Why the store cannot work at present.
    /// What keeps engines from this program and from each other; nothing if the backend does not say.
    std::optional<std::vector<std::string>> isolation = {};
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

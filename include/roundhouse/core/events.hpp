#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/moment.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The vocabulary of the state machine of one engine: what can happen to it, what it decides, what
/// it asks to be done.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// What a caller wants of an engine. A call is decided when it arrives; one that has to wait is
/// decided again, by the same function, when the operation that it met has ended.
namespace call {
struct provision {
    /// The engine that this call made when it was made before with its idempotency key.
    std::optional<uuid> made = {};
};
struct admit {
    bool auto_wake = false;
};
struct start {};
struct stop {
    bool force = false;
};
struct destroy {};
struct rotate {
    sha256_digest next_key_hash{};
    std::string next_sealed_key;
};
/// Gives it other settings.
struct change_settings {
    std::uint64_t revision = 0;                      ///< The one that is changed.
    std::shared_ptr<const engine_settings> settings; ///< With nothing pending; null for no others.
    std::string changed; ///< The names of what is changed, for the audit row; empty for nothing.
    bool restart = false;
    std::uint64_t reserved_memory_mb = 0; ///< As `engine_record::reserved_memory_mb`.
    /// What the engines of the product may reserve together, if this one reserves more; checked by
    /// the store.
    std::optional<std::uint64_t> max_total_memory_mb = {};
};
/// It is to run another version, with a way back.
struct upgrade {
    std::string version;
    duration healthy_for{};
    std::optional<bool> keep_copy = {};            ///< As `engine_upgrade::keep_copy`.
    std::optional<std::uint64_t> if_revision = {}; ///< Of the settings that it is to have.
};
/// The prober found that nobody uses it.
struct sleep {};
/// It is to sleep now.
struct sleep_now {
    sleep_mode mode = sleep_mode::paused;
};
struct wake {};
/// A use of the engine, and a busy lease if `busy_for` is not zero.
struct lease {
    duration busy_for{};
};
} // namespace call

using call_variant = std::variant<call::provision, call::admit, call::start, call::stop,
                                  call::destroy, call::rotate, call::change_settings, call::upgrade,
                                  call::sleep, call::sleep_now, call::wake, call::lease>;

/// What the world tells about an engine. Outcomes belong to the operation under way: the shell
/// drops those of one that has been superseded.
namespace event {
/// It answered healthy for the first time.
struct boot_healthy {
    /// The revision of its product's defaults that the workload was made with; nothing if that is the
    /// one of the decision.
    std::optional<std::uint64_t> defaults_revision = {};
};
struct boot_refused {
    error cause;
};                 ///< The backend could not start anything, and left nothing.
struct stopped {}; ///< No process of it is left; its data is.
struct stop_failed {
    error cause;
};
struct asleep {}; ///< Its workload is paused.
/// It is busy after all, or could not be paused.
struct sleep_cancelled {
    std::optional<error> cause = {}; ///< Why it could not be paused; nothing if it is in use.
};
struct awake {}; ///< Resumed, and healthy.
struct wake_refused {
    error cause;
}; ///< The backend could not resume it.
struct wake_unhealthy {
    std::string reason;
};
struct key_swapped {};
struct key_swap_unsupported {}; ///< It has its old key.
struct key_swap_unknown {};     ///< It may have either key.
struct key_swap_refused {
    error cause;
};
struct destroyed {};
struct destroy_failed {
    error cause;
};
/// No process of the old version is left.
struct copied {
    bool made = false; ///< Its data has been copied.
};
struct copy_failed {
    error cause;
};
struct watched {}; ///< The new version is healthy at the end of the time in which it is watched.
struct watch_failed {
    std::string reason;
};
struct restored {
}; ///< No process of the new version is left; the data is as it was copied, if it was.
struct restore_failed {
    error cause;
};
struct copy_dropped {};
struct drop_failed {
    error cause;
};
struct exited {
    workload_exit exit;
};
/// Somebody else has paused or resumed it.
struct paused_by_others {
    workload_pause pause;
};
struct probed_healthy {};
struct probed_unhealthy {
    std::uint32_t failures_in_a_row = 0;
    std::string reason;
};
/// The wait for a persisted deadline is over, as measured on a steady clock. The wall clock may say
/// something else, because it may have been set.
struct deadline {
    instant deadline{}; ///< The one that was waited for.
};
/// A restart is due, and there is no port for it.
struct restart_without_port {
    error cause;
};
/// What recovery found of it: nothing, or a workload of some generation.
struct found {
    std::optional<found_workload> workload;
};
/// The orchestrator is going away in good order and ends what runs: to be booted again at the next
/// start.
struct parked {};
} // namespace event

using event_variant = std::variant<
    event::boot_healthy, event::boot_refused, event::stopped, event::stop_failed, event::asleep,
    event::sleep_cancelled, event::awake, event::wake_refused, event::wake_unhealthy,
    event::key_swapped, event::key_swap_unsupported, event::key_swap_unknown,
    event::key_swap_refused, event::destroyed, event::destroy_failed, event::copied,
    event::copy_failed, event::watched, event::watch_failed, event::restored, event::restore_failed,
    event::copy_dropped, event::drop_failed, event::exited, event::paused_by_others,
    event::probed_healthy, event::probed_unhealthy, event::deadline, event::restart_without_port,
    event::found, event::parked>;

/// What the backend is to be asked. At most one at a time for an engine; a new one supersedes what
/// is under way.
enum class command : std::uint8_t {
    none,
    boot,         ///< Prepare, create, probe until healthy; each step waits for its turn.
    stop,         ///< End the workload within the stop grace.
    end,          ///< End what is left of a failed workload.
    sleep,        ///< Probe once more, then pause.
    wake,         ///< Resume, probe until healthy.
    swap_key,     ///< Offer the next key.
    destroy,      ///< End the workload and remove its data.
    copy_data,    ///< End the workload within the stop grace, and copy its data if that is wanted.
    watch,        ///< Wait, then probe the workload.
    restore_data, ///< End the workload within the stop grace, and put the copied data back.
    drop_copy,    ///< Remove the copy of the data.
};

constexpr std::string_view name_of(command what) noexcept {
    switch (what) {
    case command::none: return "none";
    case command::boot: return "boot";
    case command::stop: return "stop";
    case command::end: return "end";
    case command::sleep: return "sleep";
    case command::wake: return "wake";
    case command::swap_key: return "swap_key";
    case command::destroy: return "destroy";
    case command::copy_data: return "copy_data";
    case command::watch: return "watch";
    case command::restore_data: return "restore_data";
    case command::drop_copy: return "drop_copy";
    }
    return "unknown";
}

/// What happens to the call that is being decided.
enum class verdict : std::uint8_t {
    none,     ///< The input was no call.
    answered, ///< It can be answered from the record as it is now.
    refused,  ///< It fails with `decision::refusal`.
    joined,   ///< It waits for the operation under way and shares its outcome.
    deferred, ///< It waits for the operation under way to end, and is then decided afresh.
};

constexpr std::string_view name_of(verdict what) noexcept {
    switch (what) {
    case verdict::none: return "none";
    case verdict::answered: return "answered";
    case verdict::refused: return "refused";
    case verdict::joined: return "joined";
    case verdict::deferred: return "deferred";
    }
    return "unknown";
}

/// How an operation ended, for the calls that joined it.
struct settlement {
    std::optional<error> failure; ///< None: it succeeded.
};

/// What becomes of the row.
enum class row_change : std::uint8_t {
    none,
    update, ///< Replace it by `decision::next`.
    erase,  ///< Remove it.
    undo,   ///< Remove it as if it had never been.
};

/// What follows from one input. `next` and `audit` are committed together before `command` is carried
/// out and before anybody is decided.
struct decision {
    row_change row = row_change::none;
    engine_record next;
    /// What the store checks an update against (`update_engine::max_total_memory_mb`).
    std::optional<std::uint64_t> max_total_memory_mb = {};
    bool choose_port = false; ///< Keep its port if no stranger has it, else take another.
    std::vector<audit_entry> audit;
    core::command command = core::command::none;
    core::verdict verdict = core::verdict::none;
    error refusal;
    std::optional<denial> denied; ///< Set if an admit is answered, and not admitted.
    std::optional<settlement> settled;
    std::string_view why; ///< For people who read logs and tests.
    moment made_at;
};

/// Whether failed probes count (`brake`).
enum class brake_state : std::uint8_t {
    off,
    on,    ///< They do not, because many engines of the product fail together.
    trial, ///< The same, but this engine is to be restarted, to see whether that helps.
};

/// What a decision may know beside the record and the input. Spans of time are measured on a steady
/// clock, so that a wall clock that is set back or forward neither delays nor hastens anything.
struct context {
    instant now{};
    const roundhouse::settings& settings;
    std::string_view product_slug;        ///< The actor of what the product asked for.
    double jitter = 0;                    ///< Drawn evenly from [0, 1).
    bool backend_away = false;            ///< The backend can do nothing at present, and says so.
    brake_state brake = brake_state::off; ///< Of the engine's product.
    duration lease_left{};                ///< How much is left of the busy lease.
    /// How long the operation under way has taken, for a boot since its turn came; nothing if that
    /// was not measured.
    std::optional<duration> elapsed{};
    /// How far off the planned restart is; nothing if that was not measured.
    std::optional<duration> restart_in{};
    /// For how long the engine has been healthy; nothing if that was not measured.
    std::optional<duration> healthy_for{};
    /// How long ago a healthy answer was stored; nothing if that was not measured.
    std::optional<duration> since_health_row{};
    std::string last_probe{}; ///< Why the last probe of a boot or wake failed; may be empty.
    duration steady_now{};
    defaults_ptr defaults{}; ///< Of the engine's product; null if it has none.
    /// Of a call: who makes it, empty for the product itself. Nothing if an event is decided.
    std::optional<std::string_view> caller{};

    [[nodiscard]] moment present() const noexcept { return {now, steady_now}; }
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

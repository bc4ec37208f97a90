#pragma once

#include <roundhouse/enum_table.hpp>
#include <roundhouse/exit_status.hpp>
#include <roundhouse/version.hpp>

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// A point in wall time (UTC).
using instant = std::chrono::sys_time<std::chrono::milliseconds>;

/// A span of time: of settings, waits and measurements.
using duration = std::chrono::milliseconds;

/// A SHA-256 digest. Keys are recognised by theirs, and are not stored themselves.
using sha256_digest = std::array<std::uint8_t, 32>;

/// A UUID (RFC 9562) in binary form.
struct uuid {
    std::array<std::uint8_t, 16> bytes{};

    friend auto operator<=>(const uuid&, const uuid&) = default;
};

/// Returns bytes as lower-case hexadecimal text.
[[nodiscard]] inline std::string to_hex(std::string_view bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text(bytes.size() * 2, '0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        text[2 * i] = digits[static_cast<std::uint8_t>(bytes[i]) >> 4U];
        text[2 * i + 1] = digits[static_cast<std::uint8_t>(bytes[i]) & 0xFU];
    }
    return text;
}

template <std::size_t N>
[[nodiscard]] std::string to_hex(const std::array<std::uint8_t, N>& bytes) {
    return to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), N));
}

/// Returns the text of a UUID: lower case, in groups of 8-4-4-4-12 digits.
[[nodiscard]] inline std::string to_string(const uuid& id) {
    auto text = to_hex(id.bytes);
    for (const std::size_t at : {20U, 16U, 12U, 8U}) text.insert(at, 1, '-');
    return text;
}

namespace detail {

constexpr int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

} // namespace detail

/// Reads hexadecimal text in either case; nothing if it is malformed.
[[nodiscard]] inline std::optional<std::string> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::string bytes(text.size() / 2, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const int high = detail::hex_digit(text[2 * i]);
        const int low = detail::hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes[i] = static_cast<char>(high * 16 + low);
    }
    return bytes;
}

/// Reads the text of a UUID in either case; nothing if it is malformed.
[[nodiscard]] constexpr std::optional<uuid> parse_uuid(std::string_view text) noexcept {
    if (text.size() != 36) return std::nullopt;
    uuid id;
    std::size_t digit = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-') return std::nullopt;
            continue;
        }
        const int value = detail::hex_digit(text[i]);
        if (value < 0) return std::nullopt;
        auto& byte = id.bytes[digit / 2];
        byte = static_cast<std::uint8_t>(digit % 2 == 0 ? value << 4 : byte | value);
        ++digit;
    }
    return id;
}

/// Returns the first 12 hexadecimal digits of an engine's id, which are unique in a store. Names of
/// containers and volumes contain them.
[[nodiscard]] inline std::string short_id(const uuid& id) {
    return to_hex({reinterpret_cast<const char*>(id.bytes.data()), 6});
}

/// The last state of an engine that the backend has confirmed (SPEC §2).
enum class engine_status : std::uint8_t {
    provisioning,
    running,
    sleeping,
    stopped,
    failed,
    destroying
};

namespace detail {

inline constexpr std::array<name_row<engine_status>, 6> engine_status_names{{
    {engine_status::provisioning, "provisioning"},
    {engine_status::running, "running"},
    {engine_status::sleeping, "sleeping"},
    {engine_status::stopped, "stopped"},
    {engine_status::failed, "failed"},
    {engine_status::destroying, "destroying"},
}};

} // namespace detail

inline constexpr auto all_engine_statuses = detail::values_of(detail::engine_status_names);
static_assert(detail::lists_every_enumerator<all_engine_statuses>(),
              "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(engine_status status) noexcept {
    return detail::name_in(detail::engine_status_names, status);
}

[[nodiscard]] constexpr std::optional<engine_status>
parse_engine_status(std::string_view text) noexcept {
    return detail::find_named(detail::engine_status_names, text);
}

/// What has been decided about an engine and is not confirmed yet. Stored before the backend is
/// asked, so that a restarted orchestrator knows which operation was under way.
enum class intent : std::uint8_t {
    none,
    boot,    ///< provisioning: the workload is created and probed until it is healthy
    stop,    ///< running, sleeping, failed or provisioning: the workload is ended; then `stopped`
    sleep,   ///< running: the engine is probed once more and paused
    wake,    ///< sleeping: the workload is resumed and probed
    rotate,  ///< running: the engine is given its next key
    end,     ///< failed, or stopped after a failed start: remains of the workload are ended
    destroy, ///< destroying: the workload and the data are removed
    undo,    ///< destroying: a creation that could not start anything is undone
    deep_sleep, ///< sleeping: the workload is ended, and the engine sleeps on without it
    copy,       ///< provisioning: for an upgrade the old version is ended, and its data copied
    watch,      ///< running: the new version serves, and is watched
    restore,    ///< provisioning: the new version is ended, and the data put back as it was copied
    drop_copy,  ///< running: the copy of the data is removed
};

namespace detail {

inline constexpr std::array<name_row<intent>, 14> intent_names{{
    {intent::none, "none"},
    {intent::boot, "boot"},
    {intent::stop, "stop"},
    {intent::sleep, "sleep"},
    {intent::wake, "wake"},
    {intent::rotate, "rotate"},
    {intent::end, "end"},
    {intent::destroy, "destroy"},
    {intent::undo, "undo"},
    {intent::deep_sleep, "deep_sleep"},
    {intent::copy, "copy"},
    {intent::watch, "watch"},
    {intent::restore, "restore"},
    {intent::drop_copy, "drop_copy"},
}};

} // namespace detail

inline constexpr auto all_intents = detail::values_of(detail::intent_names);
static_assert(detail::lists_every_enumerator<all_intents>(), "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(intent decided) noexcept {
    return detail::name_in(detail::intent_names, decided);
}

/// Why an engine is booted. Determines the state after a failed boot, and the audit rows.
enum class boot_reason : std::uint8_t {
    first,    ///< its creation
    start,    ///< a start call
    restart,  ///< an auto-restart
    rotate,   ///< a new key for an engine that cannot take one while it runs
    recover,  ///< the engine should run, and did not when the orchestrator started
    settings, ///< other settings for an engine that runs
    wake,     ///< a wake of an engine that sleeps without a workload
    upgrade,  ///< another version for an engine that runs
    revert,   ///< the version from before an upgrade that has failed
};

inline constexpr std::array all_boot_reasons{
    boot_reason::first,  boot_reason::start,   boot_reason::restart,
    boot_reason::rotate, boot_reason::recover, boot_reason::settings,
    boot_reason::wake,   boot_reason::upgrade, boot_reason::revert};
static_assert(detail::lists_every_enumerator<all_boot_reasons>(), "a row is missing or misplaced");

/// How an engine sleeps.
enum class sleep_mode : std::uint8_t {
    paused,  ///< Its workload is paused, and holds its memory.
    stopped, ///< Its workload is ended; a wake boots it on its data.
};

namespace detail {

inline constexpr std::array<name_row<sleep_mode>, 2> sleep_mode_names{{
    {sleep_mode::paused, "paused"},
    {sleep_mode::stopped, "stopped"},
}};

} // namespace detail

inline constexpr auto all_sleep_modes = detail::values_of(detail::sleep_mode_names);
static_assert(detail::lists_every_enumerator<all_sleep_modes>(), "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(sleep_mode mode) noexcept {
    return detail::name_in(detail::sleep_mode_names, mode);
}

[[nodiscard]] constexpr std::optional<sleep_mode> parse_sleep_mode(std::string_view text) noexcept {
    return detail::find_named(detail::sleep_mode_names, text);
}

/// The limits of a product (SPEC §4). A member without a value sets no limit.
struct policy {
    std::optional<std::uint64_t> max_engines;
    std::optional<std::uint64_t> rate_limit_rpm;
    std::optional<std::uint64_t> rate_limit_burst;     ///< 1 to `rate_limit_rpm`; needs that
    std::optional<std::uint64_t> max_concurrent_boots; ///< 1 or more
    std::optional<std::uint64_t> max_provisions_per_minute;
    std::optional<std::uint64_t> weight; ///< 1 to 100; as if it were 1 where it is absent
    // Ceilings of each single engine; `core/ceilings.hpp` says which hold.
    std::optional<std::uint64_t> max_memory_mb;
    std::optional<double> max_cpus; ///< Processors, of which it may be a fraction.
    std::optional<std::uint64_t> max_pids;
    std::optional<std::uint64_t> max_total_memory_mb; ///< What all engines together may reserve.
    std::optional<bool> allow_provision;
    std::optional<bool> allow_env;
    std::optional<std::vector<std::string>> allowed_versions; ///< exact names, or `prefix*`

    friend bool operator==(const policy&, const policy&) = default;
};

/// A platform key of a product.
struct platform_key {
    std::uint64_t id = 1; ///< Counts the keys of the product from 1; none is used twice.
    sha256_digest hash{}; ///< Of the key itself, which is not stored.
    instant created_at{};
    std::optional<instant> expires_at = {}; ///< From then on it is refused.
    /// An operator has configured it, in place of which another one may be configured later.
    bool configured = false;

    friend bool operator==(const platform_key&, const platform_key&) = default;
};

struct product_defaults; // engine_settings.hpp

/// A tenant.
struct product {
    uuid id;
    std::string slug;
    std::string display_name;
    std::vector<platform_key> keys; ///< Oldest first.
    std::uint64_t last_key_id = 1;  ///< The highest id that any of its keys has had.
    roundhouse::policy policy;
    instant created_at{};
    std::uint64_t revision = 0; ///< Set by the store; a commit must carry the revision it read.
    /// What its engines get that have nothing of their own; null if that was never set.
    std::shared_ptr<const product_defaults> defaults = {};
    /// Since when it is being deleted with its engines; nothing if it is not. It has no keys then.
    std::optional<instant> deleting_since = {};
    /// Who makes the calls that this copy is given to, if that is not the product itself: the actor of
    /// their audit rows, such as `admin` (`fleet_calls::acting_for`). Not stored: empty in what stores
    /// return.
    std::string called_by = {};
};

/// The key of a product that has this hash; null if there is none.
[[nodiscard]] inline const platform_key* find_key(const product& owner,
                                                  const sha256_digest& hash) noexcept {
    for (const auto& key : owner.keys)
        if (key.hash == hash) return &key;
    return nullptr;
}

struct engine_settings; // engine_settings.hpp
struct engine_upgrade;  // engine_upgrade.hpp

/// The stored state of an engine.
struct engine_record {
    uuid id;
    uuid product_id;
    std::string user_id;
    /// What its next workload is made of; that of the present one unless `pending_settings::version`.
    std::string version;

    engine_status status = engine_status::provisioning;
    roundhouse::intent intent = roundhouse::intent::none;
    boot_reason boot = boot_reason::first;
    /// The state in which a boot, stop or wake began. The engine returns to it if the backend
    /// cannot begin the operation.
    engine_status origin = engine_status::provisioning;
    /// How its workload ended when it last failed; cleared once it runs again or is stopped.
    exit_status last_exit;

    std::uint64_t revision = 0; ///< Set by the store; a commit must carry the revision it read.
    std::uint64_t sequence = 0; ///< Set by the store at insertion; orders listings.
    /// Counts the workloads made for this engine. Committed before the backend is asked for one.
    std::uint64_t generation = 0;
    std::uint16_t port = 0; ///< The host port reserved for it; 0 if its backend needs none.
    /// While it sleeps, and while its wake boots it; before that, with `intent::sleep`, how it is
    /// asked to sleep. `paused` at other times.
    roundhouse::sleep_mode sleep_mode = roundhouse::sleep_mode::paused;
    std::uint32_t restarts = 0; ///< Auto-restarts that were tried since it was created.
    /// What it takes of its product's `max_total_memory_mb`, in MiB: its ceiling of memory when it
    /// was made; 0 if it had none.
    std::uint64_t reserved_memory_mb = 0;
    /// The revision of its product's defaults that its workload was made with; 0 if there were none.
    std::uint64_t defaults_revision = 0;

    sha256_digest key_hash{};
    std::string sealed_key; ///< Fernet token of the engine key.
    /// The key that a rotation under way hands over; all zero and empty otherwise.
    sha256_digest next_key_hash{};
    std::string next_sealed_key;

    instant created_at{};
    instant operation_started_at{}; ///< When the current operation began; else the last one.
    std::optional<instant> last_health_at;
    instant last_activity_at{};
    instant busy_until{}; ///< When the last busy lease ends.
    /// Since when it sleeps; kept while its wake boots it. The epoch where that is not known, as of
    /// engines that fell asleep under an earlier version, and at other times.
    instant sleeping_since{};
    /// When the engine moves on by itself: the end of a boot, the next restart or retry, or the deep
    /// sleep of one that sleeps.
    std::optional<instant> deadline;
    /// When a `failed` engine is restarted automatically; nothing if it will not be.
    std::optional<instant> restart_at;
    /// Since when it has been healthy without a break; long health resets `restart_attempts`.
    std::optional<instant> healthy_since;
    /// Auto-restarts since the engine was last healthy for `settings::restart_reset`.
    std::uint32_t restart_attempts = 0;
    std::uint32_t retries = 0; ///< Earlier attempts at the current operation.
    /// For people: why the engine last failed, or why it sleeps. May be empty.
    std::string reason;
    /// Who asked for the last operation that a call began, if that was not its product: the actor of
    /// the audit rows in which the operation ends.
    std::string asked_by;
    /// What it was given for itself; null if that is nothing.
    std::shared_ptr<const engine_settings> settings;
    /// Its upgrade under way; null if there is none.
    std::shared_ptr<const engine_upgrade> upgrade;
};

/// The kind of an audit row (SPEC §7).
enum class audit_action : std::uint8_t {
    provision,
    provision_failed,
    start,
    stop,
    wake,
    sleep,
    destroy,
    rotate_key,
    health_check,
    health_failed,
    auto_restart_start,
    auto_restart_success,
    auto_restart_failed,
    auto_restart_gave_up,
    policy_register,
    policy_update,
    admit_denied,
    recovered,
    orphan_removed,
    brake_on,
    brake_off,
    product_update,
    platform_key_rotated,
    platform_key_deleted,
    settings_update,
    defaults_update,
    product_delete,
    product_deleted,
    upgrade,
    upgrade_reverted,
};

namespace detail {

inline constexpr std::array<name_row<audit_action>, 30> audit_action_names{{
    {audit_action::provision, "provision"},
    {audit_action::provision_failed, "provision_failed"},
    {audit_action::start, "start"},
    {audit_action::stop, "stop"},
    {audit_action::wake, "wake"},
    {audit_action::sleep, "sleep"},
    {audit_action::destroy, "destroy"},
    {audit_action::rotate_key, "rotate_key"},
    {audit_action::health_check, "health_check"},
    {audit_action::health_failed, "health_failed"},
    {audit_action::auto_restart_start, "auto_restart_start"},
    {audit_action::auto_restart_success, "auto_restart_success"},
    {audit_action::auto_restart_failed, "auto_restart_failed"},
    {audit_action::auto_restart_gave_up, "auto_restart_gave_up"},
    {audit_action::policy_register, "policy_register"},
    {audit_action::policy_update, "policy_update"},
    {audit_action::admit_denied, "admit_denied"},
    {audit_action::recovered, "recovered"},
    {audit_action::orphan_removed, "orphan_removed"},
    {audit_action::brake_on, "brake_on"},
    {audit_action::brake_off, "brake_off"},
    {audit_action::product_update, "product_update"},
    {audit_action::platform_key_rotated, "platform_key_rotated"},
    {audit_action::platform_key_deleted, "platform_key_deleted"},
    {audit_action::settings_update, "settings_update"},
    {audit_action::defaults_update, "defaults_update"},
    {audit_action::product_delete, "product_delete"},
    {audit_action::product_deleted, "product_deleted"},
    {audit_action::upgrade, "upgrade"},
    {audit_action::upgrade_reverted, "upgrade_reverted"},
}};

} // namespace detail

inline constexpr auto all_audit_actions = detail::values_of(detail::audit_action_names);
static_assert(detail::lists_every_enumerator<all_audit_actions>(), "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(audit_action action) noexcept {
    return detail::name_in(detail::audit_action_names, action);
}

[[nodiscard]] constexpr std::optional<audit_action>
parse_audit_action(std::string_view text) noexcept {
    return detail::find_named(detail::audit_action_names, text);
}

/// A fact in an audit row. Never a key, a key's hash or the value of an environment variable.
using metadata_value = std::variant<std::string, std::int64_t, bool>;
using metadata = std::vector<std::pair<std::string, metadata_value>>;

/// A row of the audit log (SPEC §7).
struct audit_entry {
    std::uint64_t id = 0; ///< Set by the store; increasing.
    instant timestamp{};
    std::optional<uuid> product_id;
    std::optional<std::string> user_id;
    std::optional<uuid> engine_id;
    audit_action action = audit_action::provision;
    std::string actor; ///< `system`, `admin`, or the product's slug.
    roundhouse::metadata metadata;
    std::optional<duration> took;
    /// Set if the row records a change of status; shown as `from` and `to` in the metadata.
    std::optional<engine_status> from;
    std::optional<engine_status> to;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

template <> struct std::hash<roundhouse::uuid> {
    std::size_t operator()(const roundhouse::uuid& id) const noexcept {
        // Versions 4 and 7 are random in their last eight bytes.
        std::size_t value = 0;
        std::memcpy(&value, id.bytes.data() + 8, sizeof value);
        return value;
    }
};

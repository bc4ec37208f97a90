#pragma once

#include <roundhouse/version.hpp>

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// A point of wall time (UTC), as records keep it.
using instant = std::chrono::sys_time<std::chrono::milliseconds>;

/// A span of time. Settings, waits and measurements all use it.
using duration = std::chrono::milliseconds;

/// A SHA-256 digest: what is kept of a key so that it can be recognised.
using sha256_digest = std::array<std::uint8_t, 32>;

/// A UUID as RFC 9562 defines it, in its 16 bytes. Text is always lower case.
struct uuid {
    std::array<std::uint8_t, 16> bytes{};

    friend auto operator<=>(const uuid&, const uuid&) = default;
};

/// Lower-case hexadecimal text of bytes.
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

/// The 8-4-4-4-12 text of a UUID.
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

/// The bytes that a hexadecimal text, in either case, stands for; nothing if it is none.
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

/// Reads the 8-4-4-4-12 text of a UUID, in either case; nothing if it is not one.
[[nodiscard]] inline std::optional<uuid> parse_uuid(std::string_view text) noexcept {
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

/// The first 12 hexadecimal digits of an engine's id: names its container and volume, and is unique
/// in a store.
[[nodiscard]] inline std::string short_id(const uuid& id) {
    return to_hex({reinterpret_cast<const char*>(id.bytes.data()), 6});
}

/// What the backend has confirmed of an engine. SPEC §2 tells what each means.
enum class engine_status : std::uint8_t {
    provisioning,
    running,
    sleeping,
    stopped,
    failed,
    destroying
};

inline constexpr std::array all_engine_statuses{
    engine_status::provisioning, engine_status::running, engine_status::sleeping,
    engine_status::stopped,      engine_status::failed,  engine_status::destroying};

constexpr std::string_view name_of(engine_status status) noexcept {
    switch (status) {
    case engine_status::provisioning: return "provisioning";
    case engine_status::running: return "running";
    case engine_status::sleeping: return "sleeping";
    case engine_status::stopped: return "stopped";
    case engine_status::failed: return "failed";
    case engine_status::destroying: return "destroying";
    }
    return "unknown";
}

[[nodiscard]] inline std::optional<engine_status>
parse_engine_status(std::string_view text) noexcept {
    for (const auto status : all_engine_statuses)
        if (name_of(status) == text) return status;
    return std::nullopt;
}

/// What has been decided about an engine and is not yet confirmed. Persisted before the backend is
/// asked, so that a restart of the orchestrator knows what was under way.
enum class intent : std::uint8_t {
    none,
    boot,    ///< provisioning: being created and probed until healthy
    stop,    ///< running, sleeping, failed or provisioning: its workload is being ended, then it is
             ///< `stopped`
    sleep,   ///< running: being probed once more and paused
    wake,    ///< sleeping: being resumed and probed
    rotate,  ///< running: its next key is being handed to it
    end,     ///< failed, or stopped after a start that failed: what may be left of its workload is
             ///< being ended
    destroy, ///< destroying: workload and data are being removed
    undo,    ///< destroying: a creation that could not start anything is being undone
};

constexpr std::string_view name_of(intent what) noexcept {
    switch (what) {
    case intent::none: return "none";
    case intent::boot: return "boot";
    case intent::stop: return "stop";
    case intent::sleep: return "sleep";
    case intent::wake: return "wake";
    case intent::rotate: return "rotate";
    case intent::end: return "end";
    case intent::destroy: return "destroy";
    case intent::undo: return "undo";
    }
    return "unknown";
}

/// Why an engine is being booted: decides what a failed boot leads back to, and what the audit log
/// says.
enum class boot_reason : std::uint8_t {
    first,   ///< its creation
    start,   ///< a start call
    restart, ///< an auto-restart
    rotate,  ///< a new key for an engine that cannot take one while it runs
    recover, ///< it should run, and was not found running when the orchestrator started
};

/// The limits of one product (SPEC §4). A member without a value sets no limit.
struct policy {
    std::optional<std::uint64_t> max_engines;
    std::optional<std::uint64_t> rate_limit_rpm;
    std::optional<bool> allow_provision;
    std::optional<std::vector<std::string>> allowed_versions; ///< exact names, or `prefix*`

    friend bool operator==(const policy&, const policy&) = default;
};

/// A tenant. Only the SHA-256 of its platform key is kept.
struct product {
    uuid id;
    std::string slug;
    std::string display_name;
    sha256_digest key_hash{};
    roundhouse::policy policy;
    instant created_at{};
    std::uint64_t revision = 0; ///< Set by the store; a commit must carry the one that it read.
};

/// What the store keeps of one engine.
struct engine_record {
    uuid id;
    uuid product_id;
    std::string user_id;
    std::string version;

    engine_status status = engine_status::provisioning;
    roundhouse::intent intent = roundhouse::intent::none;
    boot_reason boot = boot_reason::first;
    /// The state that a boot, stop or wake began in: where it goes back to if the backend cannot
    /// even begin.
    engine_status origin = engine_status::provisioning;

    std::uint64_t revision = 0; ///< Set by the store; a commit must carry the one that it read.
    std::uint64_t sequence = 0; ///< Set by the store at insertion; orders listings.
    std::uint64_t generation =
        0; ///< Counts the workloads made for this engine; committed before each is made.
    std::uint16_t port = 0; ///< Host port held for it, or 0 if its backend needs none.

    sha256_digest key_hash{};
    std::string sealed_key; ///< Fernet token of the key.
    /// The key that a rotation under way hands over; all zero and empty otherwise.
    sha256_digest next_key_hash{};
    std::string next_sealed_key;

    instant created_at{};
    instant operation_started_at{}; ///< When the operation under way, or the last one, began.
    std::optional<instant> last_health_at;
    instant last_activity_at{};
    instant busy_until{}; ///< End of the last busy lease.
    std::optional<instant>
        deadline; ///< When something moves it on by itself: end of a boot, next restart or retry.
    std::optional<instant> restart_at; ///< When an auto-restart of a `failed` engine is due; none
                                       ///< if there will be none.
    std::optional<instant>
        healthy_since; ///< Start of the present stretch of health; restart attempts reset after it.
    std::uint32_t restart_attempts =
        0;                     ///< Auto-restarts since it was last healthy for long enough.
    std::uint32_t retries = 0; ///< Earlier tries of the operation under way.
    /// Why it is as it is, for people: why it failed last, or why it sleeps. Empty if there is
    /// nothing to tell.
    std::string reason;
};

/// What an audit row tells. SPEC §7 lists them.
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
};

namespace detail {

inline constexpr std::array<std::string_view, 19> audit_action_names{"provision",
                                                                     "provision_failed",
                                                                     "start",
                                                                     "stop",
                                                                     "wake",
                                                                     "sleep",
                                                                     "destroy",
                                                                     "rotate_key",
                                                                     "health_check",
                                                                     "health_failed",
                                                                     "auto_restart_start",
                                                                     "auto_restart_success",
                                                                     "auto_restart_failed",
                                                                     "auto_restart_gave_up",
                                                                     "policy_register",
                                                                     "policy_update",
                                                                     "admit_denied",
                                                                     "recovered",
                                                                     "orphan_removed"};

} // namespace detail

constexpr std::string_view name_of(audit_action action) noexcept {
    return detail::audit_action_names[static_cast<std::size_t>(action)];
}

[[nodiscard]] inline std::optional<audit_action>
parse_audit_action(std::string_view text) noexcept {
    for (std::size_t i = 0; i < detail::audit_action_names.size(); ++i)
        if (detail::audit_action_names[i] == text) return static_cast<audit_action>(i);
    return std::nullopt;
}

/// One fact of an audit row. Never a key, a key's hash or an environment value.
using metadata_value = std::variant<std::string, std::int64_t, bool>;
using metadata = std::vector<std::pair<std::string, metadata_value>>;

/// One row of the audit log (SPEC §7).
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
    /// Set on rows that tell a transition; shown as `from` and `to` in the metadata.
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

#pragma once

#include <roundhouse/enum_table.hpp>
#include <roundhouse/exit_status.hpp>
#include <roundhouse/version.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#if ROUNDHOUSE_HAS_STD_EXPECTED
#include <expected>
#else
#include <tl/expected.hpp>
#endif

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The kinds of failure. `error_table` has a row for each.
enum class errc {
    invalid_request = 1,
    invalid_platform_key,
    invalid_admin_key,
    policy_denied,
    product_not_found,
    engine_not_found,
    engine_already_exists,
    engine_not_running,
    engine_already_running,
    product_slug_exists,
    quota_exceeded,
    rate_limited,
    internal_error,
    backend_error,
    port_exhaustion,
    starting,
    overloaded,
    store_unavailable,
    boot_timeout,
    shutting_down,
    revision_conflict, ///< A commit was based on a record that has changed since it was read.
    short_id_taken,    ///< Another engine's id has the same `short_id`.
    backend_away,      ///< The backend could not be reached.
    cancelled,         ///< The caller stopped waiting; the operation goes on.
    too_many_failures, ///< Too many wrong keys came from the caller's address.
    port_taken,        ///< Another process listens on the port of the engine, or holds it.
    platform_key_not_found,
    precondition_failed,  ///< What the call was to change has been changed since it was read.
    engine_busy,          ///< The engine is in use, or is to stay awake.
    idempotency_mismatch, ///< The idempotency key stands for another request.
    product_not_empty,    ///< The product has engines.
    product_deleting,     ///< The product is being deleted.
    upgrade_failed,       ///< The new version did not hold: the old one serves, or is restarted.
};

/// Whether the same call can succeed if it is repeated.
enum class retry_rule : std::uint8_t {
    no,
    once,
    after_wait,         ///< After `retry_after_s`; if it fails again, with growing waits.
    with_growing_waits, ///< The length of the first wait is not known.
};

/// What there is to know about one kind of failure.
struct error_row {
    errc code;
    std::string_view name; ///< The code in the HTTP API; several kinds may share one.
    int http_status;
    retry_rule retry;
    std::string_view remedy; ///< What the caller should do, as a sentence.
};

/// One row for each `errc`, in their order (SPEC §3 "Errors"). docs/http-api.md repeats the names,
/// statuses and retries; a test compares the two.
inline constexpr std::array<error_row, 33> error_table{{
    {errc::invalid_request, "INVALID_REQUEST", 400, retry_rule::no,
     "Correct the request as the message says."},
    {errc::invalid_platform_key, "INVALID_PLATFORM_KEY", 401, retry_rule::no,
     "Send the key that the product got when it was registered."},
    {errc::invalid_admin_key, "INVALID_ADMIN_KEY", 401, retry_rule::no,
     "Send the admin key that the server was started with."},
    {errc::policy_denied, "POLICY_DENIED", 403, retry_rule::no,
     "Ask the operator to change the product's policy."},
    {errc::product_not_found, "PRODUCT_NOT_FOUND", 404, retry_rule::no,
     "Register the product, or correct its slug or product_id."},
    {errc::engine_not_found, "ENGINE_NOT_FOUND", 404, retry_rule::no,
     "Provision an engine for the user."},
    {errc::engine_already_exists, "ENGINE_ALREADY_EXISTS", 409, retry_rule::no,
     "Use the engine that the user has, or destroy it first."},
    {errc::engine_not_running, "ENGINE_NOT_RUNNING", 409, retry_rule::no,
     "Start the engine first."},
    {errc::engine_already_running, "ENGINE_ALREADY_RUNNING", 409, retry_rule::no,
     "Use the engine as it is."},
    {errc::product_slug_exists, "PRODUCT_SLUG_EXISTS", 409, retry_rule::no, "Choose another slug."},
    {errc::quota_exceeded, "QUOTA_EXCEEDED", 429, retry_rule::no,
     "Destroy engines, or ask the operator to raise the limit that the message names."},
    {errc::rate_limited, "RATE_LIMITED", 429, retry_rule::after_wait,
     "Wait, then repeat the call."},
    {errc::internal_error, "INTERNAL_ERROR", 500, retry_rule::no,
     "Ask the operator to look up the cause in the log."},
    {errc::backend_error, "BACKEND_ERROR", 502, retry_rule::once,
     "Repeat the call once; if it fails again, ask the operator to check the backend."},
    {errc::port_exhaustion, "PORT_EXHAUSTION", 503, retry_rule::no,
     "Destroy engines, or ask the operator to widen the range of ports."},
    {errc::starting, "STARTING", 503, retry_rule::after_wait, "Wait, then repeat the call."},
    {errc::overloaded, "OVERLOADED", 503, retry_rule::after_wait, "Wait, then repeat the call."},
    {errc::store_unavailable, "STORE_UNAVAILABLE", 503, retry_rule::with_growing_waits,
     "Repeat the call; if it keeps failing, ask the operator to check the store's disk."},
    {errc::boot_timeout, "BOOT_TIMEOUT", 504, retry_rule::no,
     "Read the engine's logs, and its status: it may be restarted automatically."},
    {errc::shutting_down, "OVERLOADED", 503, retry_rule::after_wait, "Wait, then repeat the call."},
    {errc::revision_conflict, "INTERNAL_ERROR", 500, retry_rule::no,
     "Read the record again, and decide anew."},
    {errc::short_id_taken, "INTERNAL_ERROR", 500, retry_rule::no,
     "Create the engine with another id."},
    {errc::backend_away, "BACKEND_ERROR", 502, retry_rule::once,
     "Repeat the call once; if it fails again, ask the operator to check the backend."},
    {errc::cancelled, "INTERNAL_ERROR", 500, retry_rule::no,
     "Look up the outcome of the operation, which goes on."},
    {errc::too_many_failures, "TOO_MANY_FAILURES", 429, retry_rule::no,
     "Send the right key, which is served at once."},
    {errc::port_taken, "BACKEND_ERROR", 502, retry_rule::once,
     "Repeat the call once: the engine gets another port."},
    {errc::platform_key_not_found, "PLATFORM_KEY_NOT_FOUND", 404, retry_rule::no,
     "Look up the product's keys, and name one of them."},
    {errc::precondition_failed, "PRECONDITION_FAILED", 412, retry_rule::no,
     "Read the engine again, and send the change with its settings_revision."},
    {errc::engine_busy, "ENGINE_BUSY", 409, retry_rule::no,
     "Wait until the engine is not in use, or change what keeps it awake."},
    {errc::idempotency_mismatch, "IDEMPOTENCY_MISMATCH", 422, retry_rule::no,
     "Send another request with another Idempotency-Key."},
    {errc::product_not_empty, "PRODUCT_NOT_EMPTY", 409, retry_rule::no,
     "Destroy the product's engines first, or delete it with cascade=true."},
    {errc::product_deleting, "PRODUCT_DELETING", 409, retry_rule::no,
     "Wait until the product is gone, and register another one."},
    {errc::upgrade_failed, "UPGRADE_FAILED", 502, retry_rule::no,
     "Read the message and the engine's logs, and mend the new version before the next upgrade."},
}};

namespace detail {

inline constexpr auto error_codes = values_of(error_table, &error_row::code);
static_assert(lists_every_enumerator<error_codes>(), "error_table: a row is missing or misplaced");

} // namespace detail

/// Returns the row of a kind of failure; that of `internal_error` for a value that is not an
/// enumerator.
[[nodiscard]] constexpr const error_row& error_row_of(errc code) noexcept {
    constexpr auto first = static_cast<int>(error_table.front().code);
    const auto index = static_cast<std::size_t>(static_cast<int>(code) - first);
    return index < error_table.size() ? error_table[index] : error_row_of(errc::internal_error);
}

/// Returns the name of a kind of failure in the HTTP API, such as `ENGINE_NOT_FOUND`.
[[nodiscard]] constexpr std::string_view code_name(errc code) noexcept {
    return error_row_of(code).name;
}

namespace detail {

class error_category_impl final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "roundhouse"; }
    [[nodiscard]] std::string message(int value) const override {
        return std::string(code_name(static_cast<errc>(value)));
    }
};

} // namespace detail

/// Returns the category of `errc` values as `std::error_code`s.
[[nodiscard]] inline const std::error_category& error_category() noexcept {
    static const detail::error_category_impl instance;
    return instance;
}

[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), error_category()};
}

/// Why a boot, a wake or an upgrade has failed.
enum class boot_failure : std::uint8_t {
    exited,           ///< The workload ended.
    timeout,          ///< It was not healthy in time.
    provision_failed, ///< Nothing could be started, and the creation of the engine was undone.
    refused,          ///< The backend could not start the new version.
    unhealthy,        ///< The new version failed its probes.
    prepare,          ///< The new version could not be prepared; the old one was left as it was.
    copy,             ///< The old version could not be ended, or its data not be copied.
};

namespace detail {

inline constexpr std::array<name_row<boot_failure>, 7> boot_failure_names{{
    {boot_failure::exited, "exited"},
    {boot_failure::timeout, "timeout"},
    {boot_failure::provision_failed, "provision_failed"},
    {boot_failure::refused, "refused"},
    {boot_failure::unhealthy, "unhealthy"},
    {boot_failure::prepare, "prepare"},
    {boot_failure::copy, "copy"},
}};

} // namespace detail

inline constexpr auto all_boot_failures = detail::values_of(detail::boot_failure_names);
static_assert(detail::lists_every_enumerator<all_boot_failures>(), "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(boot_failure cause) noexcept {
    return detail::name_in(detail::boot_failure_names, cause);
}

/// What programs may know of a failure beside its code.
struct error_details {
    boot_failure cause = boot_failure::timeout;
    exit_status exit = {}; ///< How the workload ended, if that is the cause.
    /// Of an upgrade: whether the old version serves again, or still does.
    std::optional<bool> reverted = {};
    /// Of `errc::product_not_empty`: how many engines there are. The other members say nothing then.
    std::optional<std::uint64_t> engines = {};
    // Of a creation that was undone.
    std::string reason = {}; ///< For people. May hold paths of the host.
    std::optional<std::chrono::sys_time<std::chrono::milliseconds>> at = {};

    friend bool operator==(const error_details&, const error_details&) = default;
};

/// A failure: a code for programs, and a message for people that names the thing, the cause and the
/// way out. Messages never hold a key, a key's hash or the value of an environment variable.
struct error {
    errc code = errc::internal_error;
    std::string message;
    /// Whole seconds after which a retry can succeed; 0 if that is not known.
    int retry_after_s = 0;
    /// Of a boot, a wake or an upgrade that has failed, of a creation that was undone, and of a product that is not
    /// empty.
    std::optional<error_details> details = {};

    friend bool operator==(const error&, const error&) = default;
};

/// A value, or the `error` that is the reason why there is none.
///
/// An alias cannot be `[[nodiscard]]`: mark functions that return one.
#if ROUNDHOUSE_HAS_STD_EXPECTED
template <class T> using result = std::expected<T, error>;
using unexpected = std::unexpected<error>;
#else
template <class T> using result = tl::expected<T, error>;
using unexpected = tl::unexpected<error>;
#endif

/// Makes a failed `result`.
[[nodiscard]] inline unexpected fail(errc code, std::string message, int retry_after_s = 0) {
    return unexpected(error{code, std::move(message), retry_after_s});
}

/// Returns the value of a result. For programs that prefer exceptions: throws `std::system_error`
/// with the error's code and message if there is none.
template <class T> T or_throw(result<T> outcome) {
    if (!outcome)
        throw std::system_error(make_error_code(outcome.error().code), outcome.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

template <> struct std::is_error_code_enum<roundhouse::errc> : std::true_type {};

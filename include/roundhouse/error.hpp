#pragma once

#include <roundhouse/version.hpp>

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

/// What went wrong, as callers tell cases apart. SPEC §3 "Errors" gives each its HTTP status and
/// code.
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
    revision_conflict,
    short_id_taken,
    backend_away, ///< A `backend_error`, of a backend that could not be reached.
};

namespace detail {

/// The stable upper-case name of a code, as the HTTP API shows it.
constexpr std::string_view code_name(errc code) noexcept {
    switch (code) {
    case errc::invalid_request: return "INVALID_REQUEST";
    case errc::invalid_platform_key: return "INVALID_PLATFORM_KEY";
    case errc::invalid_admin_key: return "INVALID_ADMIN_KEY";
    case errc::policy_denied: return "POLICY_DENIED";
    case errc::product_not_found: return "PRODUCT_NOT_FOUND";
    case errc::engine_not_found: return "ENGINE_NOT_FOUND";
    case errc::engine_already_exists: return "ENGINE_ALREADY_EXISTS";
    case errc::engine_not_running: return "ENGINE_NOT_RUNNING";
    case errc::engine_already_running: return "ENGINE_ALREADY_RUNNING";
    case errc::product_slug_exists: return "PRODUCT_SLUG_EXISTS";
    case errc::quota_exceeded: return "QUOTA_EXCEEDED";
    case errc::rate_limited: return "RATE_LIMITED";
    case errc::internal_error: return "INTERNAL_ERROR";
    case errc::backend_error: return "BACKEND_ERROR";
    case errc::port_exhaustion: return "PORT_EXHAUSTION";
    case errc::starting: return "STARTING";
    case errc::overloaded: return "OVERLOADED";
    case errc::store_unavailable: return "STORE_UNAVAILABLE";
    case errc::boot_timeout: return "BOOT_TIMEOUT";
    case errc::shutting_down: return "OVERLOADED";
    case errc::revision_conflict: return "INTERNAL_ERROR";
    case errc::short_id_taken: return "INTERNAL_ERROR";
    case errc::backend_away: return "BACKEND_ERROR";
    }
    return "INTERNAL_ERROR";
}

class error_category_impl final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "roundhouse"; }
    [[nodiscard]] std::string message(int value) const override {
        return std::string(code_name(static_cast<errc>(value)));
    }
};

} // namespace detail

using detail::code_name;

/// The category of `errc` values as `std::error_code`s.
inline const std::error_category& error_category() noexcept {
    static const detail::error_category_impl instance;
    return instance;
}

inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), error_category()};
}

/// A failure: its code for programs, and a message for people that names the thing, the cause and
/// the way out. Messages never hold a key, a key's hash or an environment value.
struct error {
    errc code = errc::internal_error;
    std::string message;
    int retry_after_s =
        0; ///< Whole seconds after which a retry can succeed; 0 where that is not known.

    friend bool operator==(const error&, const error&) = default;
};

#if ROUNDHOUSE_HAS_STD_EXPECTED
template <class T> using result = std::expected<T, error>;
using unexpected = std::unexpected<error>;
#else
/// A value or the `error` that kept it from being. `std::expected` where the standard library has
/// it.
template <class T> using result = tl::expected<T, error>;
using unexpected = tl::unexpected<error>;
#endif

/// Makes a failed `result`.
[[nodiscard]] inline unexpected fail(errc code, std::string message, int retry_after_s = 0) {
    return unexpected(error{code, std::move(message), retry_after_s});
}

/// The value, for programs that would rather have exceptions. Throws `std::system_error` with the
/// error's code and message.
template <class T> T or_throw(result<T> outcome) {
    if (!outcome)
        throw std::system_error(make_error_code(outcome.error().code), outcome.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

template <> struct std::is_error_code_enum<roundhouse::errc> : std::true_type {};

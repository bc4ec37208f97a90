#pragma once

#include <roundhouse/version.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The severity of a log line (docs/configuration.md, "Logs").
enum class log_level : std::uint8_t {
    debug,
    info,
    warning, ///< Something failed, and is mended or tried again without an operator.
    error,   ///< An operator has to act; the line says what to do.
};

[[nodiscard]] constexpr std::string_view name_of(log_level level) noexcept {
    switch (level) {
    case log_level::debug: return "debug";
    case log_level::info: return "info";
    case log_level::warning: return "warning";
    case log_level::error: return "error";
    }
    return "unknown";
}

/// A named value of a log line: a text, such as the id of a user, or a whole number.
struct log_field {
    std::string_view name; ///< Lower-case letters and underscores.
    std::variant<std::string_view, std::int64_t> value;

    log_field(std::string_view field, std::string_view text) : name(field), value(text) {}
    template <std::integral Number>
        requires(!std::same_as<Number, bool>)
    log_field(std::string_view field, Number number)
        : name(field), value(static_cast<std::int64_t>(number)) {}
};

/// A line for operators. What callers, engines or other programs chose is in the fields, as they
/// chose it: a sink that prints it must escape it, as `to_text` does. What it refers to is valid
/// during the call of the sink only.
struct log_line {
    log_level level = log_level::info;
    std::string_view message; ///< A sentence of the program that logs.
    std::span<const log_field> fields;
};

/// Receives log lines, which never hold a key. Called from any thread, also from several at once;
/// must not throw.
using log_sink = std::function<void(const log_line&)>;

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

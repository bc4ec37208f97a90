#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/whole_range.hpp>
#include <roundhouse/detail/utf8.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// What an engine may be given (SPEC §3, "Lifecycle"). No complaint holds the value of a
/// variable.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// What an engine may not be given: the name of the member, and what to say after it.
struct settings_fault {
    std::string member;
    std::string complaint;
};

inline constexpr std::size_t max_env_names = 64;
inline constexpr std::size_t max_env_bytes = 32'768; ///< Of names and values together.
inline constexpr std::size_t max_env_name_bytes = 128;
inline constexpr std::size_t max_metadata_members = 32;
inline constexpr std::size_t max_metadata_bytes = 8'192; ///< Of names and values together.
inline constexpr std::size_t max_metadata_name_bytes = 128;

/// Docker takes no less memory than the first (its `MinMemoryLimit`), and no fewer processors.
inline constexpr whole_range memory_mb_range{6, 4'194'304};
inline constexpr double least_cpus = 0.01;
inline constexpr double most_cpus = 1'024;
/// Up to the most that Linux counts.
inline constexpr whole_range pids_range{1, 4'194'304};
inline constexpr duration longest_stop_grace = std::chrono::hours{1};
inline constexpr duration longest_sleep_after = std::chrono::hours{24 * 366};

namespace detail {

/// The part of a name that a complaint shows.
[[nodiscard]] inline std::string shown_name(std::string_view name) {
    constexpr std::size_t most = 64;
    return std::string(name.substr(0, most));
}

/// Whether what a backend gives every engine, or the loader of programs, goes by this name.
[[nodiscard]] inline bool is_reserved_variable(std::string_view name) noexcept {
    constexpr std::array<std::string_view, 3> prefixes{"ENGINE_", "ORCH_", "LD_"};
    constexpr std::array<std::string_view, 5> names{"PATH", "HOME", "TMPDIR", "SQLITE_DB_PATH",
                                                    "CATALOG_DIR"};
    return std::ranges::find(names, name) != names.end() ||
           std::ranges::any_of(
               prefixes, [name](std::string_view prefix) { return name.starts_with(prefix); });
}

[[nodiscard]] inline bool is_variable_name(std::string_view name) noexcept {
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    return !name.empty() && is_letter(name.front()) && std::ranges::all_of(name, [&](char c) {
        return is_letter(c) || (c >= '0' && c <= '9');
    });
}

[[nodiscard]] inline std::optional<std::string>
check_size(const named_texts& texts, std::size_t most_members, std::size_t most_bytes) {
    if (texts.size() > most_members)
        return "must have at most " + std::to_string(most_members) + " members, and has " +
               std::to_string(texts.size()) + ".";
    std::size_t bytes = 0;
    for (const auto& [name, value] : texts) bytes += name.size() + value.size();
    if (bytes > most_bytes)
        return "must have at most " + std::to_string(most_bytes) +
               " bytes, names and values together, and has " + std::to_string(bytes) + ".";
    return std::nullopt;
}

[[nodiscard]] inline std::optional<std::string> check_variable(std::string_view name,
                                                               std::string_view value) {
    if (!is_variable_name(name))
        return "is no name of a variable. Use letters, digits and _, and no digit at the "
               "beginning.";
    if (name.size() > max_env_name_bytes)
        return "has a name of more than " + std::to_string(max_env_name_bytes) + " bytes.";
    if (is_reserved_variable(name))
        return "is set by the server. Choose another name: none of ENGINE_*, ORCH_*, LD_*, PATH, "
               "HOME, TMPDIR, SQLITE_DB_PATH and CATALOG_DIR.";
    if (value.find('\0') != std::string_view::npos)
        return "must not hold the character U+0000: no environment can. Encode the value.";
    if (!roundhouse::detail::is_utf8(value)) return "is not valid UTF-8. Encode the value.";
    return std::nullopt;
}

[[nodiscard]] inline std::optional<std::string> check_metadata(std::string_view name,
                                                               std::string_view value) {
    if (auto complaint = names::detail::check_text(name, max_metadata_name_bytes))
        return "its name " + *complaint;
    switch (names::detail::find_fault(value)) {
    case names::detail::text_fault::not_utf8: return "is not valid UTF-8.";
    case names::detail::text_fault::control_character: return "must not hold control characters.";
    case names::detail::text_fault::none: break;
    }
    return std::nullopt;
}

[[nodiscard]] inline std::string number_text(double number) {
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    return {text.data(), end};
}

/// What is wrong with a number of processors; nothing if it may be a ceiling.
[[nodiscard]] inline std::optional<std::string> check_cpus(double cpus) {
    if (cpus >= least_cpus && cpus <= most_cpus) return std::nullopt; // false for what is no number
    return "must be a number from " + number_text(least_cpus) + " to " + number_text(most_cpus) +
           ", and is " + number_text(cpus) + ".";
}

[[nodiscard]] inline std::optional<settings_fault> check_limits(const engine_limits& limits) {
    const auto wrong = [](std::string_view name, const whole_range& range, std::uint64_t value) {
        return settings_fault{"limits." + std::string(name), "must be " + range.text() +
                                                                 ", and is " +
                                                                 std::to_string(value) + "."};
    };
    if (limits.memory_mb && !memory_mb_range.holds(*limits.memory_mb))
        return wrong("memory_mb", memory_mb_range, *limits.memory_mb);
    if (auto complaint = limits.cpus ? check_cpus(*limits.cpus) : std::nullopt)
        return settings_fault{"limits.cpus", std::move(*complaint)};
    if (limits.pids && !pids_range.holds(*limits.pids))
        return wrong("pids", pids_range, *limits.pids);
    return std::nullopt;
}

} // namespace detail

/// Finds what no engine's metadata may be, nor a filter of engines by metadata; nothing if there is
/// nothing.
[[nodiscard]] inline std::optional<settings_fault> check_metadata(const named_texts& metadata) {
    if (auto complaint = detail::check_size(metadata, max_metadata_members, max_metadata_bytes))
        return settings_fault{"metadata", std::move(*complaint)};
    for (const auto& [name, value] : metadata)
        if (auto complaint = detail::check_metadata(name, value))
            return settings_fault{"metadata." + detail::shown_name(name), std::move(*complaint)};
    return std::nullopt;
}

/// Finds the first member that no engine may be given so; nothing if there is none.
[[nodiscard]] inline std::optional<settings_fault> check_options(const provision_options& options) {
    const auto& [version, env, metadata, limits, stop_grace, sleep] = options;
    if (auto complaint = version ? names::check_version(*version) : std::nullopt)
        return settings_fault{"engine_version", std::move(*complaint)};
    if (auto complaint = detail::check_size(env, max_env_names, max_env_bytes))
        return settings_fault{"env", std::move(*complaint)};
    for (const auto& [name, value] : env)
        if (auto complaint = detail::check_variable(name, value))
            return settings_fault{"env." + detail::shown_name(name), std::move(*complaint)};
    if (auto fault = check_metadata(metadata)) return fault;
    if (auto fault = detail::check_limits(limits)) return fault;
    if (stop_grace && (*stop_grace < duration{0} || *stop_grace > longest_stop_grace))
        return settings_fault{"stop_grace_s", "must be a number from 0 to 3600."};
    if (sleep.after && (*sleep.after < duration{0} || *sleep.after > longest_sleep_after))
        return settings_fault{"sleep.after_s", "must be a number from 0 to 31622400."};
    const auto deep = sleep.deep_after.value_or(duration{0});
    if (deep < duration{0} || deep > longest_sleep_after)
        return settings_fault{"sleep.deep_after_s", "must be a number from 0 to 31622400."};
    return std::nullopt;
}

/// Finds the first ceiling that is above the one which all engines have; nothing if there is none.
[[nodiscard]] inline std::optional<settings_fault> check_general(const engine_limits& limits,
                                                                 const engine_limits& general) {
    const auto above = [](std::string_view member, std::string most) {
        return settings_fault{"limits." + std::string(member),
                              "must be at most " + std::move(most) +
                                  ", the ceiling that the operator has set for every engine."};
    };
    if (limits.memory_mb > general.memory_mb && general.memory_mb)
        return above("memory_mb", std::to_string(*general.memory_mb));
    if (limits.cpus > general.cpus && general.cpus)
        return above("cpus", detail::number_text(*general.cpus));
    if (limits.pids > general.pids && general.pids)
        return above("pids", std::to_string(*general.pids));
    return std::nullopt;
}

/// Finds the first ceiling that a backend cannot hold; nothing if there is none.
[[nodiscard]] inline std::optional<settings_fault> check_held(const engine_limits& limits,
                                                              const limit_support& backend,
                                                              std::string_view backend_name) {
    const auto unheld = [&](std::string_view member) {
        return settings_fault{
            "limits." + std::string(member),
            "cannot be held by this server's backend (" + std::string(backend_name) +
                "). Leave it out, or ask the operator to set the server up for it."};
    };
    if (limits.memory_mb && !backend.memory_mb) return unheld("memory_mb");
    if (limits.cpus && !backend.cpus) return unheld("cpus");
    if (limits.pids && !backend.pids) return unheld("pids");
    return std::nullopt;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

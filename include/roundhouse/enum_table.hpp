#pragma once

#include <roundhouse/version.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>

/// Tables with a row for each enumerator, checked at compile time.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A row of a table that names the enumerators of `Enum`.
template <class Enum> struct name_row {
    Enum value;
    std::string_view name;
};

/// Returns whether `value` is a declared enumerator of its type.
template <auto value> consteval bool is_enumerator() noexcept {
    // GCC and Clang print an enumerator by its name, and any other value as a cast: `(errc)99`. A
    // name may hold parentheses too: `(anonymous namespace)::errc::other`.
    constexpr std::string_view printed = __PRETTY_FUNCTION__;
    static_assert(printed.find("value = ") != std::string_view::npos,
                  "this compiler prints template arguments in another way");
    const auto parenthesis = printed.rfind(')');
    const auto argument = printed.rfind("value = ");
    if (parenthesis == std::string_view::npos || parenthesis < argument) return true;
    const char after = printed[parenthesis + 1];
    return after != '-' && (after < '0' || after > '9');
}

/// Returns the enumerators that a table has rows for, in its order.
template <class Row, std::size_t N, class Enum>
consteval std::array<Enum, N> values_of(const std::array<Row, N>& rows, Enum Row::*value) noexcept {
    std::array<Enum, N> values{};
    for (std::size_t i = 0; i < N; ++i) values[i] = rows[i].*value;
    return values;
}

template <class Enum, std::size_t N>
consteval std::array<Enum, N> values_of(const std::array<name_row<Enum>, N>& rows) noexcept {
    return values_of(rows, &name_row<Enum>::value);
}

/// Returns whether an array holds every enumerator of its type once, in order. The enumerators must
/// be consecutive.
template <const auto& values> consteval bool lists_every_enumerator() noexcept {
    using value_type = typename std::remove_cvref_t<decltype(values)>::value_type;
    using number = std::underlying_type_t<value_type>;
    constexpr auto first = static_cast<number>(values.front());
    constexpr auto last = static_cast<number>(values.back());
    for (std::size_t i = 0; i < values.size(); ++i)
        if (static_cast<std::size_t>(values[i]) != static_cast<std::size_t>(first) + i)
            return false;
    return !is_enumerator<static_cast<value_type>(static_cast<number>(first - 1))>() &&
           !is_enumerator<static_cast<value_type>(static_cast<number>(last + 1))>();
}

/// Finds the name of a value; "unknown" if the value is not an enumerator.
template <class Enum, std::size_t N>
[[nodiscard]] constexpr std::string_view name_in(const std::array<name_row<Enum>, N>& rows,
                                                 Enum value) noexcept {
    const auto index = static_cast<std::size_t>(value) -
                       static_cast<std::size_t>(rows.front().value);
    return index < N ? rows[index].name : std::string_view("unknown");
}

/// Finds the value that a text names; nothing if it names none.
template <class Enum, std::size_t N>
[[nodiscard]] constexpr std::optional<Enum> find_named(const std::array<name_row<Enum>, N>& rows,
                                                       std::string_view name) noexcept {
    for (const auto& row : rows)
        if (row.name == name) return row.value;
    return std::nullopt;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

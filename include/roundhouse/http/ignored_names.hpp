#pragma once

#include <roundhouse/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

/// Tells callers of names in their requests that nothing reads, such as misspelt ones.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

namespace detail {

/// The longest part of a name that callers made up which a message or a header shows.
inline constexpr std::size_t max_shown_name = 64;

/// The number of characters to change, add or leave out to make one name of the other
/// (Levenshtein's distance).
[[nodiscard]] inline std::size_t distance_of(std::string_view from, std::string_view to) {
    std::array<std::size_t, max_shown_name + 1> row{}; // of distances to the beginnings of `to`
    to = to.substr(0, max_shown_name);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < from.size(); ++i) {
        auto diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < to.size(); ++j) {
            const auto replaced = diagonal + (from[i] == to[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
        }
    }
    return row[to.size()];
}

/// The known name that a name was probably meant to be: at most a third of it differs, or one
/// character, and not all of it. Empty if there is none.
[[nodiscard]] inline std::string_view nearest_of(std::string_view name,
                                                 std::span<const std::string_view> known) {
    if (name.size() > max_shown_name) return {};
    std::string_view nearest;
    std::size_t least = std::max<std::size_t>(name.size() / 3, 1) + 1;
    for (const auto candidate : known) {
        const auto distance = distance_of(name, candidate);
        if (distance >= std::max(name.size(), candidate.size())) continue;
        if (distance < least) nearest = candidate;
        least = std::min(least, distance);
    }
    return nearest;
}

} // namespace detail

/// The names in a request that were ignored: members of its JSON, and parameters of its query.
class ignored_names {
public:
    /// The place of a name in a request, as the header shows it.
    static constexpr std::string_view in_body = "body";
    static constexpr std::string_view in_query = "query";

    /// Adds a name that was ignored. `path` is that of the object around it, such as `policy.`, and
    /// `known` has the names that would have been read there.
    void add(std::string_view place, std::string_view path, std::string_view name,
             std::span<const std::string_view> known) {
        if (count_++ >= most_named) return;
        const auto nearest = detail::nearest_of(name, known);
        if (count_ == 1) describe_first(path, name, nearest);
        else names_ += ", ";
        append_text(path, name);
        ((names_ += ";in=") += place);
        if (nearest.empty()) return;
        names_ += ";nearest=";
        append_text(path, nearest);
    }

    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

    /// The value of `Roundhouse-Ignored`, a list of structured fields (RFC 8941 §3.1): the names as
    /// strings, and if there are more than eight, how many more as an integer at the end. Empty if
    /// no name was ignored.
    [[nodiscard]] std::string header() const {
        if (count_ <= most_named) return names_;
        return names_ + ", " + std::to_string(count_ - most_named);
    }

    /// The failure of a request that asks for strict handling.
    [[nodiscard]] error refusal() const { return {errc::invalid_request, first_}; }

private:
    static constexpr std::size_t most_named = 8;

    void describe_first(std::string_view path, std::string_view name, std::string_view nearest) {
        ((first_ = path) += name.substr(0, detail::max_shown_name)) += ": is not known here.";
        if (nearest.empty()) first_ += " Check its spelling.";
        else (((first_ += " Did you mean ") += path) += nearest) += '?';
    }

    /// Appends a string of RFC 8941 §3.3.3, in which bytes that it cannot hold are question marks.
    void append_text(std::string_view path, std::string_view name) {
        names_ += '"';
        for (const auto part : {path, name.substr(0, detail::max_shown_name)})
            for (const char c : part) {
                if (c == '"' || c == '\\') names_ += '\\';
                names_ += c >= ' ' && c <= '~' ? c : '?';
            }
        names_ += '"';
    }

    std::string names_;
    std::string first_; ///< What a refusal says.
    std::size_t count_ = 0;
};

/// The names that a reader was asked for, which are literals of the program.
class asked_names {
public:
    void add(std::string_view name) noexcept {
        if (count_ < names_.size()) names_[count_++] = name;
    }
    [[nodiscard]] std::span<const std::string_view> all() const noexcept {
        return std::span(names_).first(count_);
    }
    [[nodiscard]] bool has(std::string_view name) const noexcept {
        return std::ranges::find(all(), name) != all().end();
    }

private:
    /// More than any object or query here has.
    std::array<std::string_view, 16> names_{};
    std::size_t count_ = 0;
};

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

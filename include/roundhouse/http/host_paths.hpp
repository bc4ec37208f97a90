#pragma once

#include <roundhouse/version.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

/// Keeps paths of the host out of what products are told (SPEC §3).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

namespace detail {

/// Whether a path of the host may begin after this text: not within a name or a URL, in the request
/// line of an engine's endpoint (`POST /rotate-key`), or in a user's name.
constexpr bool path_may_follow(std::string_view before) noexcept {
    if (before.empty()) return true;
    if (std::string_view(" \t\n\"'(=,:<[").find(before.back()) == std::string_view::npos)
        return false;
    if (before.ends_with("http:") || before.ends_with("https:") || before.ends_with("user '"))
        return false;
    if (before.back() != ' ') return true;
    before.remove_suffix(1);
    const auto word = before.substr(before.find_last_of(" \t\n\"'(") + 1);
    return word.empty() || !std::ranges::all_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
}

/// The size of the path at the beginning of a text.
constexpr std::size_t path_size(std::string_view text) noexcept {
    std::size_t size = 0;
    while (size < text.size() &&
           std::string_view(" \t\n\"'(),;:<>[]").find(text[size]) == std::string_view::npos)
        ++size;
    return size;
}

} // namespace detail

/// Returns the text with the last part of each absolute path in place of the path: `engine.log` for
/// `/var/lib/roundhouse/engines/engine.log`.
[[nodiscard]] inline std::string without_host_paths(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] != '/' || !detail::path_may_follow(text.substr(0, at))) {
            out += text[at++];
            continue;
        }
        auto path = text.substr(at, detail::path_size(text.substr(at)));
        at += path.size();
        while (path.ends_with('/')) path.remove_suffix(1);
        out.append(path.substr(path.rfind('/') + 1));
    }
    return out;
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

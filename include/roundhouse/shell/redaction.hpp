#pragma once

#include <roundhouse/version.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Keeps secrets of engines out of the log (SPEC §7).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The lines of the texts that are to be redacted, longest first, because one may be a part of
/// another. Lines of fewer than 8 bytes are left out: they are no secrets, and would blot out half
/// of the log.
[[nodiscard]] inline std::vector<std::string_view>
redacted_lines(std::span<const std::string> redacted) {
    constexpr std::size_t least = 8;
    std::vector<std::string_view> lines;
    for (std::string_view rest : redacted)
        while (!rest.empty()) {
            const auto line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(line.size() + 1, rest.size()));
            if (line.size() >= least) lines.push_back(line);
        }
    std::ranges::sort(lines, std::ranges::greater{}, &std::string_view::size);
    return lines;
}

/// The last lines of an engine's output, at most `most` of them, as they may stand in the log: each
/// cut to a bound, and with `*` for each redacted text.
[[nodiscard]] inline std::vector<std::string> log_excerpt(std::string_view output, std::size_t most,
                                                          std::span<const std::string> redacted) {
    constexpr std::size_t line_bytes = 1'000;
    const auto secrets = redacted_lines(redacted);
    std::vector<std::string> lines;
    while (output.ends_with('\n')) output.remove_suffix(1);
    while (!output.empty() && lines.size() < most) {
        const auto end = output.rfind('\n');
        const auto begin = end == std::string_view::npos ? 0 : end + 1;
        std::string line(output.substr(begin));
        output = output.substr(0, begin == 0 ? 0 : begin - 1);
        for (const auto text : secrets)
            for (auto at = line.find(text); at != std::string::npos; at = line.find(text, at + 1))
                line.replace(at, text.size(), 1, '*');
        if (line.size() > line_bytes) line.resize(line_bytes);
        lines.insert(lines.begin(), std::move(line));
    }
    return lines;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

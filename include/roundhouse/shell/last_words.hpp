#pragma once

#include <roundhouse/version.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse::inline ROUNDHOUSE_ABI::detail {

/// The last lines of an engine's output, at most `most` of them, as they may stand in a log: cut to
/// a bound, and without the texts that must not be in one (SPEC §7).
[[nodiscard]] inline std::vector<std::string> last_words(std::string_view output, std::size_t most,
                                                         std::span<const std::string> hidden) {
    constexpr std::size_t line_bytes = 1'000;
    std::vector<std::string> lines;
    while (output.ends_with('\n')) output.remove_suffix(1);
    while (!output.empty() && lines.size() < most) {
        const auto end = output.rfind('\n');
        const auto begin = end == std::string_view::npos ? 0 : end + 1;
        std::string line(output.substr(begin));
        output = output.substr(0, begin == 0 ? 0 : begin - 1);
        for (const auto& text : hidden)
            for (auto at = line.find(text); !text.empty() && at != std::string::npos;
                 at = line.find(text, at + 1))
                line.replace(at, text.size(), 1, '*');
        if (line.size() > line_bytes) line.resize(line_bytes);
        lines.insert(lines.begin(), std::move(line));
    }
    return lines;
}

} // namespace roundhouse::inline ROUNDHOUSE_ABI::detail

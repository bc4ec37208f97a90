#pragma once

#include <roundhouse/version.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Keeps secrets out of what engines have written, wherever that is read (SPEC §7).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Replaces secrets by `*` in a text that may come in pieces. A secret of several lines is hidden line
/// by line. Lines of fewer than 6 bytes are left: they are no secrets, and would blot out half of the
/// text.
class redactor {
public:
    explicit redactor(const std::vector<std::string>& secrets) {
        constexpr std::size_t least = 6;
        for (std::string_view rest : secrets)
            while (!rest.empty()) {
                const auto line = rest.substr(0, rest.find('\n'));
                rest.remove_prefix(std::min(line.size() + 1, rest.size()));
                if (line.size() >= least) lines_.emplace_back(line);
            }
        // Longest first, because one may be the beginning of another.
        std::ranges::sort(lines_, std::ranges::greater{}, &std::string::size);
        for (const auto& line : lines_) may_begin(line.front()) = true;
    }

    /// What may be shown after one more piece. An end of it that may be the beginning of a secret is
    /// held back; it is shorter than the longest secret and on one line.
    [[nodiscard]] std::string take(std::string_view piece) {
        std::string text = std::exchange(held_, {});
        text += piece;
        if (lines_.empty()) return text;
        std::string shown;
        shown.reserve(text.size());
        for (std::string_view left = text; !left.empty();) {
            const auto* const line = may_begin(left.front()) ? begun_by(left) : nullptr;
            if (line != nullptr && line->size() > left.size()) {
                held_ = left;
                break;
            }
            shown += line != nullptr ? '*' : left.front();
            left.remove_prefix(line != nullptr ? line->size() : 1);
        }
        return shown;
    }

    /// What was held back, at the end of the text.
    [[nodiscard]] std::string rest() { return std::exchange(held_, {}); }

    /// A text that comes at once.
    [[nodiscard]] std::string whole(std::string_view text) {
        auto shown = take(text);
        return shown += rest();
    }

private:
    [[nodiscard]] bool& may_begin(char first) { return firsts_[static_cast<unsigned char>(first)]; }

    /// The longest secret with which a text begins, or which begins with all of the text.
    [[nodiscard]] const std::string* begun_by(std::string_view text) const {
        const auto found = std::ranges::find_if(lines_, [text](const std::string& line) {
            return text.starts_with(line) || std::string_view(line).starts_with(text);
        });
        return found == lines_.end() ? nullptr : &*found;
    }

    std::vector<std::string> lines_;
    std::array<bool, 256> firsts_{}; ///< Whether a line begins with the byte.
    std::string held_;
};

/// The last lines of an engine's output, at most `most` of them, as they may stand in the log: each
/// without secrets, and cut to a bound.
[[nodiscard]] inline std::vector<std::string> log_excerpt(std::string_view output, std::size_t most,
                                                          const std::vector<std::string>& secrets) {
    constexpr std::size_t line_bytes = 1'000;
    redactor hidden(secrets);
    std::vector<std::string> lines;
    while (output.ends_with('\n')) output.remove_suffix(1);
    while (!output.empty() && lines.size() < most) {
        const auto end = output.rfind('\n');
        const auto begin = end == std::string_view::npos ? 0 : end + 1;
        auto line = hidden.whole(output.substr(begin));
        output = output.substr(0, begin == 0 ? 0 : begin - 1);
        if (line.size() > line_bytes) line.resize(line_bytes);
        lines.insert(lines.begin(), std::move(line));
    }
    return lines;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

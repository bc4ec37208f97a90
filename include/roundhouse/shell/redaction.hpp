#pragma once

#include <roundhouse/version.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// Keeps secrets out of what engines have written, wherever that is read (SPEC §7).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Replaces secrets by `*` in a text that may come in pieces. A secret of several lines is hidden line
/// by line; where secrets overlap, all of them is hidden. Lines of fewer than 6 bytes are left: they
/// are no secrets, and would blot out half of the text. The work for a text does not depend on how
/// many secrets there are (Aho and Corasick, 1975).
class redactor {
public:
    explicit redactor(const std::vector<std::string>& secrets) {
        for (std::string_view rest : secrets)
            while (!rest.empty()) {
                auto line = rest.substr(0, rest.find('\n'));
                rest.remove_prefix(std::min(line.size() + 1, rest.size()));
                if (line.ends_with('\r')) line.remove_suffix(1);
                if (line.size() >= least_bytes) add(line);
            }
        link();
    }

    /// What may be shown after one more piece. An end of it that may be the beginning of a secret is
    /// held back; it is shorter than the longest secret and on one line.
    [[nodiscard]] std::string take(std::string_view piece) {
        if (nodes_.size() == 1) return std::string(piece);
        held_ += piece;
        for (const char each : piece) {
            at_ = next(at_, each);
            ++seen_;
            if (nodes_[at_].hides > 0) hide(seen_ - nodes_[at_].hides);
        }
        return show(seen_ - nodes_[at_].depth);
    }

    /// What was held back, at the end of the text.
    [[nodiscard]] std::string rest() {
        at_ = 0;
        return show(seen_);
    }

    /// A text that comes at once.
    [[nodiscard]] std::string whole(std::string_view text) {
        auto shown = take(text);
        return shown += rest();
    }

private:
    static constexpr std::size_t least_bytes = 6;

    /// A beginning of secrets.
    struct node {
        std::uint32_t depth = 0;  ///< Its length.
        std::uint32_t parent = 0; ///< Without its last byte.
        char last = 0;
        std::uint32_t shorter = 0; ///< The longest other beginning with which it ends.
        std::uint32_t hides = 0;   ///< The length of the longest secret with which it ends, or 0.
    };
    /// A part of the text that is hidden, in bytes from the beginning of the text.
    struct span {
        std::size_t begin = 0;
        std::size_t end = 0;
    };

    [[nodiscard]] static std::uint64_t edge(std::uint32_t from, char by) noexcept {
        return std::uint64_t{from} << 8U | static_cast<unsigned char>(by);
    }

    void add(std::string_view line) {
        std::uint32_t at = 0;
        for (const char each : line) {
            const auto [found, is_new] = edges_.try_emplace(
                edge(at, each), static_cast<std::uint32_t>(nodes_.size()));
            if (is_new)
                nodes_.push_back({.depth = nodes_[at].depth + 1, .parent = at, .last = each});
            at = found->second;
        }
        nodes_[at].hides = nodes_[at].depth;
    }

    /// Finds `shorter` of each node, from the shortest node on, because it needs those before.
    void link() {
        std::vector<std::uint32_t> order(nodes_.size());
        std::iota(order.begin(), order.end(), 0U);
        std::ranges::stable_sort(order, {}, [this](std::uint32_t n) { return nodes_[n].depth; });
        for (const auto n : order) {
            auto& one = nodes_[n];
            if (one.depth > 1) one.shorter = next(nodes_[one.parent].shorter, one.last);
            one.hides = std::max(one.hides, nodes_[one.shorter].hides);
        }
    }

    [[nodiscard]] std::uint32_t next(std::uint32_t from, char by) const {
        for (;;) {
            const auto found = edges_.find(edge(from, by));
            if (found != edges_.end()) return found->second;
            if (from == 0) return 0;
            from = nodes_[from].shorter;
        }
    }

    /// Hides the text from `begin` to what was seen last.
    void hide(std::size_t begin) {
        while (!hidden_.empty() && hidden_.back().end >= begin) {
            begin = std::min(begin, hidden_.back().begin);
            hidden_.pop_back();
        }
        hidden_.push_back({begin, seen_});
    }

    /// What is to be shown of the text up to `end`, which no further byte changes.
    [[nodiscard]] std::string show(std::size_t end) {
        std::string shown;
        const auto begin = seen_ - held_.size();
        for (auto at = begin; at < end; ++at) {
            while (!hidden_.empty() && hidden_.front().end <= at) hidden_.pop_front();
            const bool hidden = !hidden_.empty() && hidden_.front().begin <= at;
            if (!hidden) shown += held_[at - begin];
            else if (!in_secret_) shown += '*';
            in_secret_ = hidden;
        }
        held_.erase(0, end - begin);
        return shown;
    }

    std::vector<node> nodes_{1}; ///< The first is the empty text.
    std::unordered_map<std::uint64_t, std::uint32_t> edges_;
    std::uint32_t at_ = 0;    ///< The longest beginning with which the text ends so far.
    std::size_t seen_ = 0;    ///< Bytes of the text so far.
    std::string held_;        ///< The end of the text that was not shown.
    std::deque<span> hidden_; ///< Of what was not shown, in order.
    bool in_secret_ = false;  ///< Whether the last byte that was shown is one of a secret.
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

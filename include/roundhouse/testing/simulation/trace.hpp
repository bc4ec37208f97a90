#pragma once

#include <roundhouse/testing/simulation/timeline.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// The events of a run as text: a line each, with its virtual time in milliseconds.
class trace {
public:
    /// Keeps all lines, or only as many as `last` returns.
    trace(const timeline& time, bool keep_all) : time_(time), keep_all_(keep_all) {}

    void note(std::string_view text) {
        auto time = std::to_string(time_.since_start().count());
        if (time.size() < 9) time.insert(0, 9 - time.size(), ' ');
        lines_.push_back(time + "  " + std::string(text) + '\n');
        if (!keep_all_ && lines_.size() > last_kept) lines_.pop_front();
    }

    /// Every line that is kept.
    [[nodiscard]] std::string text() const {
        std::string out;
        for (const auto& line : lines_) out += line;
        return out;
    }

    /// The last fifty lines.
    [[nodiscard]] std::string last() const {
        std::string out;
        for (std::size_t i = lines_.size() - std::min(lines_.size(), last_kept); i < lines_.size();
             ++i)
            out += lines_[i];
        return out;
    }

private:
    static constexpr std::size_t last_kept = 50;

    const timeline& time_;
    const bool keep_all_;
    std::deque<std::string> lines_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/testing/simulation/timeline.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What happened, a line each with its virtual time in milliseconds.
class sim_trace {
public:
    /// Keeps all lines, or the last fifty.
    sim_trace(std::shared_ptr<sim_timeline> timeline, bool all)
        : timeline_(std::move(timeline)), all_(all) {}

    void note(std::string_view what) {
        auto time = std::to_string(timeline_->since_start().count());
        if (time.size() < 9) time.insert(0, 9 - time.size(), ' ');
        lines_.push_back(time + "  " + std::string(what) + '\n');
        if (!all_ && lines_.size() > last_kept) lines_.pop_front();
    }

    [[nodiscard]] std::string text() const {
        std::string out;
        for (const auto& line : lines_) out += line;
        return out;
    }

    [[nodiscard]] std::string last() const {
        std::string out;
        for (std::size_t i = lines_.size() - std::min(lines_.size(), last_kept); i < lines_.size();
             ++i)
            out += lines_[i];
        return out;
    }

private:
    static constexpr std::size_t last_kept = 50;

    const std::shared_ptr<sim_timeline> timeline_;
    const bool all_;
    std::deque<std::string> lines_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/types.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Virtual time, and all that is to happen in it. It stands still until `advance`. For one thread.
class sim_timeline {
public:
    using entry = std::uint64_t; ///< Names one thing that is to happen.

    [[nodiscard]] instant now() const noexcept { return now_; }
    [[nodiscard]] duration since_start() const noexcept { return now_ - start; }

    /// Plans something; what is planned for one time happens in the order of planning.
    entry at(instant when, std::function<void()> what) {
        const auto mine = ++last_;
        queue_.emplace(std::pair{when, mine}, std::move(what));
        times_.emplace(mine, when);
        return mine;
    }
    entry after(duration wait, std::function<void()> what) {
        return at(now_ + wait, std::move(what));
    }

    /// Takes back what has not happened yet. False if it has.
    bool cancel(entry which) {
        const auto known = times_.find(which);
        if (known == times_.end()) return false;
        const auto what = queue_.extract({known->second, which}); // destroyed once it is out
        times_.erase(known);
        return true;
    }

    [[nodiscard]] std::optional<instant> next() const {
        if (queue_.empty()) return std::nullopt;
        return std::max(now_, queue_.begin()->first.first);
    }

    /// Moves on to the next thing, and does it. There has to be one.
    void advance() {
        auto first = queue_.extract(queue_.begin());
        times_.erase(first.key().second);
        now_ = std::max(now_, first.key().first);
        first.mapped()();
    }

    void advance_to(instant when) { now_ = std::max(now_, when); }

    [[nodiscard]] std::size_t size() const noexcept { return queue_.size(); }

private:
    static constexpr instant start{std::chrono::seconds{1'700'000'000}};

    instant now_ = start;
    entry last_ = 0;
    std::map<std::pair<instant, entry>, std::function<void()>> queue_;
    std::unordered_map<entry, instant> times_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/version.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Lets a bounded number of boots run at once; those that a caller waits for go first. Thread-safe.
class boot_queue {
public:
    using turn = std::uint64_t; ///< Names one place in the queue.
    enum class urgency : std::uint8_t { awaited, background };

    explicit boot_queue(std::size_t at_once) : free_(at_once) {}

    /// Calls `begin` when its turn comes, at once or from a `leave`. Whoever's turn has come must
    /// `leave`.
    turn enter(urgency how, std::function<void()> begin) {
        {
            const std::lock_guard lock(mutex_);
            const turn mine = ++last_;
            if (free_ == 0) {
                line(how).push_back({mine, std::move(begin)});
                return mine;
            }
            --free_;
        }
        begin();
        return 0;
    }

    /// Takes back a place owner turn has not come. False if it has come.
    bool withdraw(turn mine) {
        const std::lock_guard lock(mutex_);
        for (auto& waiting : lines_)
            for (auto it = waiting.begin(); it != waiting.end(); ++it)
                if (it->mine == mine) {
                    waiting.erase(it);
                    return true;
                }
        return false;
    }

    void leave() {
        std::function<void()> begin;
        {
            const std::lock_guard lock(mutex_);
            for (auto& waiting : lines_) {
                if (waiting.empty()) continue;
                begin = std::move(waiting.front().begin);
                waiting.pop_front();
                break;
            }
            if (!begin) ++free_;
        }
        if (begin) begin();
    }

private:
    struct place {
        turn mine = 0;
        std::function<void()> begin;
    };

    std::list<place>& line(urgency how) noexcept { return lines_[static_cast<std::size_t>(how)]; }

    std::mutex mutex_;
    std::size_t free_;
    turn last_ = 0;
    std::array<std::list<place>, 2> lines_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/engine_owner.hpp>
#include <roundhouse/version.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Lets a bounded number of boots run at once. Those that a caller waits for go first. Thread-safe.
class boot_queue {
public:
    using ticket = std::uint64_t; ///< Names a place in the queue; 0 is none.
    enum class urgency : std::uint8_t { awaited, background };

    /// A boot that waits: of which engine, and the number of its command.
    struct boot {
        engine_owner owner;
        std::uint64_t number = 0;
    };

    explicit boot_queue(std::size_t at_once) : free_(at_once) {}

    /// Takes a turn at once, and returns 0, or a place in the queue. Whoever has a turn must
    /// `leave`.
    ticket enter(urgency how, boot wanted) {
        const std::lock_guard lock(mutex_);
        if (free_ == 0) {
            lines_[static_cast<std::size_t>(how)].push_back({++last_, std::move(wanted)});
            return last_;
        }
        --free_;
        return 0;
    }

    /// Gives up a place. False if its turn has come.
    bool withdraw(ticket mine) {
        const std::lock_guard lock(mutex_);
        for (auto& line : lines_)
            if (std::erase_if(line, [&](const place& waiting) { return waiting.mine == mine; }) > 0)
                return true;
        return false;
    }

    /// Moves a place to the line of those that a caller waits for. Without effect if it is there, or
    /// in no line any more.
    void hurry(ticket mine) {
        const std::lock_guard lock(mutex_);
        auto& from = lines_[static_cast<std::size_t>(urgency::background)];
        auto& to = lines_[static_cast<std::size_t>(urgency::awaited)];
        for (auto waiting = from.begin(); waiting != from.end(); ++waiting)
            if (waiting->mine == mine) return to.splice(to.end(), from, waiting);
    }

    /// Ends a turn: the boot whose turn has come by that, if one waits.
    [[nodiscard]] std::optional<boot> leave() {
        const std::lock_guard lock(mutex_);
        for (auto& line : lines_) {
            if (line.empty()) continue;
            auto next = std::move(line.front().wanted);
            line.pop_front();
            return next;
        }
        ++free_;
        return std::nullopt;
    }

private:
    struct place {
        ticket mine = 0;
        boot wanted;
    };

    std::mutex mutex_;
    std::size_t free_;
    ticket last_ = 0;
    std::array<std::list<place>, 2> lines_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

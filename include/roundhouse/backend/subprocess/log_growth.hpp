#pragma once

#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// How much an engine had written at which time, as far as that was noted. Answers where the output
/// since a time begins. Where it does not know exactly, it answers with an earlier place.
class log_growth {
public:
    /// The log had `size` bytes, the last of which were written at `modified`.
    void note(std::uint64_t size, instant modified) {
        const auto written = log_begins_at_ + size;
        if (!notes_.empty() && notes_.back().written == written) return;
        notes_.push_back({modified, written});
        if (notes_.size() == most_notes) drop_every_second();
    }

    /// The log was rotated.
    void rotated(const log_rotation& rotation) {
        old_log_begins_at_ = log_begins_at_ + rotation.kept_from;
        has_old_log_ = rotation.kept;
        log_begins_at_ += std::max(rotation.size, rotation.kept_to);
        std::erase_if(notes_,
                      [&](const log_note& note) { return note.written < old_log_begins_at_; });
    }

    /// Where the output since a time begins.
    [[nodiscard]] log_position position_at(instant since) const {
        const auto later = std::ranges::find_if(
            notes_, [&](const log_note& note) { return note.at + stamps_lag >= since; });
        if (later == notes_.begin()) return {};
        const auto written = std::prev(later)->written; // before `since`
        if (written >= log_begins_at_) return {written - log_begins_at_, std::nullopt};
        if (!has_old_log_) return {0, std::nullopt};
        return {0, written - std::min(written, old_log_begins_at_)};
    }

private:
    struct log_note {
        instant at;
        std::uint64_t written = 0; ///< Since the first note.
    };

    /// The kernel stamps a write with the time of its latest tick, of which there are 100 a second
    /// or more.
    static constexpr std::chrono::milliseconds stamps_lag{10};
    /// At one note a second, the last quarter of an hour is known exactly.
    static constexpr std::size_t most_notes = 2048;

    /// Makes room in the older half.
    void drop_every_second() {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < notes_.size(); ++i)
            if (i % 2 == 1 || i >= notes_.size() / 2) notes_[kept++] = notes_[i];
        notes_.resize(kept);
    }

    std::vector<log_note> notes_;
    std::uint64_t log_begins_at_ = 0;
    std::uint64_t old_log_begins_at_ = 0;
    bool has_old_log_ = false;
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

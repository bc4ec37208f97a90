#pragma once

#include "io_threads.hpp"

#include <roundhouse/log.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace roundhouse_tests {

/// The log of a trash or of a backend. While it is held, the thread of the trash waits in its line that says what it
/// is about to remove. To be released before the trash ends.
class removal_log {
public:
    [[nodiscard]] roundhouse::log_sink sink() {
        return [this](const roundhouse::log_line& line) {
            std::string text{line.message};
            for (const auto& field : line.fields)
                if (const auto* const value = std::get_if<std::string_view>(&field.value))
                    text.append(" ").append(*value);
            add(text);
        };
    }

    /// The line that tells of the removal of a folder.
    [[nodiscard]] static std::string removed(const std::string& path) {
        return "removed a destroyed engine's data " + path;
    }

    void hold() {
        const std::lock_guard lock{mutex_};
        held_ = true;
    }
    void release() {
        const std::lock_guard lock{mutex_};
        held_ = false;
        changed_.notify_all();
    }

    /// Waits for a line with this text; false if none comes within `patience`.
    [[nodiscard]] bool waits_for(std::string_view text) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, patience, [&] { return place_of(text) < lines_.size(); });
    }

    /// The number of the first line with this text.
    [[nodiscard]] std::size_t place(std::string_view text) const {
        const std::lock_guard lock{mutex_};
        return place_of(text);
    }

    [[nodiscard]] std::ptrdiff_t count(std::string_view text) const {
        const std::lock_guard lock{mutex_};
        return std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
            return line.find(text) != std::string::npos;
        });
    }

private:
    void add(std::string_view text) {
        std::unique_lock lock{mutex_};
        lines_.emplace_back(text);
        changed_.notify_all();
        if (text.starts_with("removing "))
            changed_.wait_for(lock, patience, [this] { return !held_; });
    }

    [[nodiscard]] std::size_t place_of(std::string_view text) const {
        const auto found = std::find_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
            return line.find(text) != std::string::npos;
        });
        return static_cast<std::size_t>(found - lines_.begin());
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> lines_;
    bool held_ = false;
};

} // namespace roundhouse_tests

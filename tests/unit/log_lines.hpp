#pragma once

#include <roundhouse/log.hpp>
#include <roundhouse/log_text.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse_tests {

/// Collects the lines of a log, each as its level and its text. Thread-safe.
class log_lines {
public:
    void add(const roundhouse::log_line& line) {
        const std::lock_guard lock(mutex_);
        lines_.push_back(std::string(name_of(line.level)) + " " + roundhouse::to_text(line));
    }
    /// The number of lines that contain all of these.
    [[nodiscard]] std::size_t count(std::initializer_list<std::string_view> parts) const {
        const std::lock_guard lock(mutex_);
        return static_cast<std::size_t>(std::ranges::count_if(lines_, [&](const std::string& line) {
            return std::ranges::all_of(
                parts, [&](std::string_view part) { return line.find(part) != std::string::npos; });
        }));
    }
    [[nodiscard]] std::size_t count(std::string_view part) const { return count({part}); }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

} // namespace roundhouse_tests

#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace roundhouse_bench {

using milliseconds = std::chrono::duration<double, std::milli>;

/// Runs `work` and returns how long it takes.
template <class Work> milliseconds time_of(Work work) {
    const auto began = std::chrono::steady_clock::now();
    work();
    return std::chrono::steady_clock::now() - began;
}

/// The median of at least one value; of an even number of values, the upper of the middle two.
template <class T> T median(std::vector<T> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}

} // namespace roundhouse_bench

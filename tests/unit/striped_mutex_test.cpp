#include "catch.hpp"

#include <roundhouse/detail/striped_mutex.hpp>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

using roundhouse::detail::striped_mutex;

TEST_CASE("readers of a striped mutex see each write whole, and writers lose none") {
    constexpr int writes = 500;
    striped_mutex mutex;
    int first = 0;
    int second = 0;
    std::atomic<int> torn = 0;
    std::atomic<int> writers = 2;
    std::vector<std::thread> threads;
    for (int n = 0; n < 2; ++n)
        threads.emplace_back([&] {
            for (int i = 0; i < writes; ++i) {
                const std::lock_guard lock(mutex);
                ++first;
                ++second;
            }
            --writers;
        });
    for (int n = 0; n < 4; ++n)
        threads.emplace_back([&] {
            while (writers.load() != 0) {
                const striped_mutex::reading lock(mutex);
                if (first != second) ++torn;
            }
        });
    for (auto& thread : threads) thread.join();
    CHECK(torn == 0);
    CHECK(first == 2 * writes);
}

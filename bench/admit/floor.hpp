#pragma once

#include "../support/full_fleet.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

/// What no admit can do without, whatever the program: the SHA-256 of the platform key, two clocks,
/// and three reads of memory that no cache has, because the fleet is large.
namespace roundhouse_bench {

/// The bytes of a store's engine records in memory, without any index.
template <class Store> std::size_t bytes_of_records(const Store& store) {
    std::size_t bytes = 0;
    or_throw(store.for_each_engine([&](const result<engine_ptr>& found) {
        const auto& engine = *or_throw(found);
        bytes += sizeof engine + engine.user_id.size() + engine.version.size() +
                 engine.sealed_key.size();
    }));
    return bytes;
}

/// Memory as large as a store's records.
class floor_memory {
public:
    explicit floor_memory(std::size_t bytes) : lines_(bytes / sizeof(line) + 1) {}

    /// Reads three lines. None of the addresses depends on what is read.
    [[nodiscard]] std::uint64_t read_three(std::uint64_t& random) const {
        std::uint64_t sum = 0;
        for (int i = 0; i < 3; ++i) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            for (const auto word : lines_[(random >> 24U) % lines_.size()].words) sum += word;
        }
        return sum;
    }

private:
    struct alignas(64) line {
        std::array<std::uint64_t, 8> words{1};
    };

    std::vector<line> lines_;
};

/// Does what no admit can do without, once.
inline void pass_floor(const floor_memory& memory, std::string_view platform_key,
                       const system_clock& clock, std::uint64_t& random) {
    benchmark::DoNotOptimize(crypto::sha256(platform_key));
    benchmark::DoNotOptimize(clock.now());
    benchmark::DoNotOptimize(clock.steady_now());
    benchmark::DoNotOptimize(memory.read_three(random));
}

} // namespace roundhouse_bench

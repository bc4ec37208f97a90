#pragma once

#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// The only source of randomness in a simulation. The same seed gives the same numbers on every
/// platform: SplitMix64 (Steele, Lea, Flood 2014).
class random_generator {
public:
    explicit random_generator(std::uint64_t seed) noexcept : state_(seed) {}

    /// A generator for one part of a simulation, independent of what other parts draw. The label is
    /// part of the seed: another label makes another run.
    [[nodiscard]] random_generator branch(std::string_view label) const noexcept {
        std::uint64_t mixed = state_ ^ 0xCBF29CE484222325U;
        for (const char c : label) mixed = (mixed ^ static_cast<std::uint8_t>(c)) * 0x100000001B3U;
        return random_generator(random_generator(mixed).next());
    }

    std::uint64_t next() noexcept {
        std::uint64_t out = (state_ += 0x9E3779B97F4A7C15U);
        out = (out ^ (out >> 30U)) * 0xBF58476D1CE4E5B9U;
        out = (out ^ (out >> 27U)) * 0x94D049BB133111EBU;
        return out ^ (out >> 31U);
    }

    /// Uniform in [0, count), with a bias that is negligible while `count` is small.
    std::uint64_t below(std::uint64_t count) noexcept { return next() % count; }

    /// Uniform in [least, most].
    std::uint64_t between(std::uint64_t least, std::uint64_t most) noexcept {
        return least + below(most - least + 1);
    }
    duration between(duration least, duration most) noexcept {
        const auto range = static_cast<std::uint64_t>((most - least).count());
        return least + duration{static_cast<duration::rep>(below(range + 1))};
    }

    /// Uniform in [0, 1).
    double fraction() noexcept { return static_cast<double>(next() >> 11U) / 9007199254740992.0; }

    bool chance(double probability) noexcept { return fraction() < probability; }

    void fill(std::span<std::uint8_t> out) noexcept {
        while (!out.empty()) {
            auto bits = next();
            const auto part = out.first(std::min<std::size_t>(out.size(), sizeof bits));
            for (auto& byte : part) {
                byte = static_cast<std::uint8_t>(bits);
                bits >>= 8U;
            }
            out = out.subspan(part.size());
        }
    }

private:
    std::uint64_t state_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// The one source of chance in a simulation: the same seed, the same numbers, on every platform.
/// SplitMix64 (Steele, Lea, Flood 2014).
class sim_random {
public:
    explicit sim_random(std::uint64_t seed) noexcept : state_(seed) {}

    /// A generator of its own for one part of a simulation, so that what another part draws does
    /// not change what happens here.
    [[nodiscard]] sim_random branch(std::string_view part) const noexcept {
        std::uint64_t mixed = state_ ^ 0xCBF29CE484222325U;
        for (const char c : part) mixed = (mixed ^ static_cast<std::uint8_t>(c)) * 0x100000001B3U;
        return sim_random(sim_random(mixed).next());
    }

    std::uint64_t next() noexcept {
        std::uint64_t out = (state_ += 0x9E3779B97F4A7C15U);
        out = (out ^ (out >> 30U)) * 0xBF58476D1CE4E5B9U;
        out = (out ^ (out >> 27U)) * 0x94D049BB133111EBU;
        return out ^ (out >> 31U);
    }

    /// Even in [0, count); `count` is small, so that its bias is of no interest.
    std::uint64_t below(std::uint64_t count) noexcept { return next() % count; }

    /// Even in [least, most].
    std::uint64_t between(std::uint64_t least, std::uint64_t most) noexcept {
        return least + below(most - least + 1);
    }
    duration between(duration least, duration most) noexcept {
        const auto range = static_cast<std::uint64_t>((most - least).count());
        return least + duration{static_cast<duration::rep>(below(range + 1))};
    }

    /// Even in [0, 1).
    double fraction() noexcept { return static_cast<double>(next() >> 11U) / 9007199254740992.0; }

    bool chance(double of_one) noexcept { return fraction() < of_one; }

    template <class Range> auto& pick(Range& from) noexcept {
        return from[static_cast<std::size_t>(below(from.size()))];
    }

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

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

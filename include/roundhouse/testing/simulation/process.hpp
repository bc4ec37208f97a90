#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>
#include <set>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Whether the process dies at an interaction, and when.
enum class crash_time : std::uint8_t { never, before_effect, after_effect };

/// Numbers the interactions of all incarnations of the process, and decides at which it dies.
///
/// An interaction changes something outside the process: a commit, or a backend call. Probes and
/// logs are none, because a death there equals a death after the interaction before it. Interaction
/// n has two crash points: 2n before its effect, and 2n + 1 after it.
class crash_plan {
public:
    explicit crash_plan(std::set<std::uint64_t> points = {}) : points_(std::move(points)) {}

    [[nodiscard]] crash_time next() {
        const auto before = 2 * interactions_++;
        if (!armed_) return crash_time::never;
        if (points_.contains(before)) return crash_time::before_effect;
        if (points_.contains(before + 1)) return crash_time::after_effect;
        return crash_time::never;
    }

    /// From here on the process lives.
    void disarm() noexcept { armed_ = false; }
    [[nodiscard]] std::uint64_t interactions() const noexcept { return interactions_; }

private:
    std::set<std::uint64_t> points_;
    std::uint64_t interactions_ = 0;
    bool armed_ = true;
};

/// One incarnation of the process under test. Nothing that it does after its death has an effect.
class process {
public:
    explicit process(crash_plan& crashes) : crashes_(crashes) {}

    [[nodiscard]] bool alive() const noexcept { return alive_; }
    void die() noexcept { alive_ = false; }
    /// Whether it died before the effect of an interaction, and not after it.
    [[nodiscard]] bool died_before() const noexcept { return died_before_; }

    /// Counts an interaction. If the process dies before it, it is dead when this returns.
    [[nodiscard]] crash_time interact() {
        if (!alive_) return crash_time::before_effect;
        const auto crash = crashes_.next();
        died_before_ = crash == crash_time::before_effect;
        if (died_before_) die();
        return crash;
    }

private:
    crash_plan& crashes_;
    bool alive_ = true;
    bool died_before_ = false;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

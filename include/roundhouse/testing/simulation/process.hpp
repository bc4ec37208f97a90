#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>
#include <memory>
#include <set>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What becomes of the process at one of its interactions with the world.
enum class sim_fate : std::uint8_t { lives, dies_before, dies_after };

/// Numbers the interactions of all incarnations of the process, and says at which it dies.
///
/// What changes something outside is an interaction: a commit, and a call to the backend. Probes
/// and logs are none: a death there is the same as one after the interaction before it. Interaction
/// n has two crash points, 2n before its effect and 2n + 1 after it.
class sim_crash_plan {
public:
    explicit sim_crash_plan(std::set<std::uint64_t> points = {}) : points_(std::move(points)) {}

    [[nodiscard]] sim_fate next() {
        const auto mine = 2 * interactions_++;
        if (!armed_) return sim_fate::lives;
        if (points_.contains(mine)) return sim_fate::dies_before;
        if (points_.contains(mine + 1)) return sim_fate::dies_after;
        return sim_fate::lives;
    }

    void disarm() noexcept { armed_ = false; }
    [[nodiscard]] std::uint64_t interactions() const noexcept { return interactions_; }

private:
    std::set<std::uint64_t> points_;
    std::uint64_t interactions_ = 0;
    bool armed_ = true;
};

/// One incarnation of the process under test. Nothing that it does after its death has any effect.
class sim_process {
public:
    explicit sim_process(std::shared_ptr<sim_crash_plan> crashes) : crashes_(std::move(crashes)) {}

    [[nodiscard]] bool alive() const noexcept { return alive_; }
    void die() noexcept { alive_ = false; }
    /// Whether it died before the effect of an interaction, and not after it.
    [[nodiscard]] bool died_before() const noexcept { return died_before_; }

    /// Counts an interaction. One that dies before it is dead when this returns.
    [[nodiscard]] sim_fate interact() {
        if (!alive_) return sim_fate::dies_before;
        const auto fate = crashes_->next();
        died_before_ = fate == sim_fate::dies_before;
        if (died_before_) die();
        return fate;
    }

private:
    const std::shared_ptr<sim_crash_plan> crashes_;
    bool alive_ = true;
    bool died_before_ = false;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/core/moment.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// What follows from a failed probe.
struct failed_probe {
    std::uint32_t failures_in_a_row = 0; ///< 0: it does not count, because the brake is on.
    bool trial = false;                  ///< The engine is to be restarted all the same.

    [[nodiscard]] bool matters() const noexcept { return failures_in_a_row > 0 || trial; }
};

/// The brake went on or off.
struct brake_change {
    bool on = false;
    bool by_trial = false; ///< It went off because a restart has helped.
    moment since;          ///< When it went on.
    std::uint64_t failing = 0;
    std::uint64_t running = 0;
};

/// Whether an engine runs, or will run again without a call.
[[nodiscard]] inline bool comes_back(const engine_record& engine) noexcept {
    return engine.status == engine_status::running ||
           engine.status == engine_status::provisioning ||
           (engine.status == engine_status::failed && engine.restart_at);
}

/// Judges the failed probes of one product's running engines (SPEC §5). If many fail together, the
/// cause is rather what they share than the engines themselves: the brake goes on, and failed probes
/// do not count until few fail. Every step takes constant time. Not thread-safe.
///
/// An engine is failing from a failed probe until one that passes, or until it ceases to run.
class brake {
public:
    explicit brake(const settings& settings) noexcept : settings_(settings) {}

    /// An engine begins to run, which it did not before.
    void began() noexcept { ++running_; }

    /// A running engine ceases to run. It may run again.
    void ended(const uuid& engine) {
        --running_;
        failing_.erase(engine);
        if (is_trial(engine)) trial_->restarted = true;
        end_if_few_fail();
    }

    /// An engine does not run, and will not run again without a call (`comes_back`).
    void left(const uuid& engine) noexcept {
        if (is_trial(engine)) trial_.reset();
    }

    /// A running engine has passed a probe.
    void passed(const uuid& engine) {
        failing_.erase(engine);
        end_if_few_fail();
        if (!is_trial(engine)) return;
        if (!trial_->restarted) trial_.reset(); // It has become healthy by itself.
        else if (++trial_->passed >= settings_.health_max_failures) release(true);
    }

    /// A running engine has failed a probe.
    [[nodiscard]] failed_probe failed(const uuid& engine, const moment& now) {
        auto& failing = failing_[engine];
        if (!since_) {
            if (!released_ && many_fail()) begin(now);
        } else if (is_over(now) && settings_.restart_max_attempts == 0) {
            release(false); // Where nothing is restarted, nothing can be tried.
        }
        if (since_) return {0, to_be_tried(engine, now)};
        if (failing.before_brake != brakes_) failing = {brakes_, 0};
        if (failing.in_a_row != std::numeric_limits<std::uint32_t>::max()) ++failing.in_a_row;
        return {failing.in_a_row, false};
    }

    [[nodiscard]] brake_state state_of(const uuid& engine) const noexcept {
        if (!since_) return brake_state::off;
        return is_trial(engine) && !trial_->restarted ? brake_state::trial : brake_state::on;
    }
    /// Nothing unless the brake is on.
    [[nodiscard]] std::optional<brake_status> status() const {
        if (!since_) return std::nullopt;
        return brake_status{since_->wall, failing_.size(), running_};
    }
    /// The last change, once.
    [[nodiscard]] std::optional<brake_change> take_change() noexcept {
        return std::exchange(change_, std::nullopt);
    }
    /// Without a running engine it knows nothing that counts, and may be removed.
    [[nodiscard]] bool idle() const noexcept { return running_ == 0; }

private:
    /// Failures count from zero after each brake, without a visit of each engine.
    struct failing_engine {
        std::uint64_t before_brake = 0; ///< The value of `brakes_` when they were counted.
        std::uint32_t in_a_row = 0;
    };
    struct trial {
        uuid engine;
        bool restarted = false;
        std::uint32_t passed = 0; ///< Probes, since it was restarted.
    };

    [[nodiscard]] bool is_trial(const uuid& engine) const noexcept {
        return trial_ && trial_->engine == engine;
    }
    [[nodiscard]] bool many_fail() const noexcept {
        const auto failing = failing_.size();
        return settings_.brake_percent > 0 && failing >= settings_.brake_min_failing &&
               failing * 100 >= settings_.brake_percent * running_;
    }
    /// Half of what switches the brake on, so that it does not switch with each probe.
    [[nodiscard]] bool few_fail() const noexcept {
        const auto failing = failing_.size();
        return failing * 2 < settings_.brake_min_failing ||
               failing * 200 < settings_.brake_percent * running_;
    }

    void begin(const moment& now) {
        since_ = now;
        ++brakes_;
        change_ = {true, false, now, failing_.size(), running_};
    }
    void end(bool by_trial) {
        trial_.reset();
        if (!since_) return;
        change_ = {false, by_trial, *since_, failing_.size(), running_};
        since_.reset();
    }
    void end_if_few_fail() {
        if (!few_fail()) return;
        released_ = false;
        end(false);
    }
    /// Ends it although many fail.
    void release(bool by_trial) {
        released_ = true;
        end(by_trial);
    }
    [[nodiscard]] bool is_over(const moment& now) const noexcept {
        return since_ && now.steady - since_->steady >= settings_.brake_max;
    }

    /// Whether this failing engine is the one that is restarted although the brake is on.
    [[nodiscard]] bool to_be_tried(const uuid& engine, const moment& now) {
        if (!is_over(now)) return false;
        if (is_trial(engine) && trial_->restarted) {
            // The restart has not helped. The next engine that fails a probe is tried.
            trial_.reset();
            return false;
        }
        if (!trial_) trial_ = trial{engine};
        return is_trial(engine);
    }

    const settings& settings_;
    std::uint64_t running_ = 0;
    std::unordered_map<uuid, failing_engine> failing_;
    std::optional<moment> since_; ///< Set while it is on.
    std::uint64_t brakes_ = 0;    ///< How often it went on.
    std::optional<trial> trial_;
    /// It went off although many fail: it stays off until few do.
    bool released_ = false;
    std::optional<brake_change> change_;
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

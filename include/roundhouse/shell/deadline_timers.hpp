#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/core/moment.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/shell/earliest_timer.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>

#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Waits for the persisted deadlines of engines, on the steady clock, and delivers each as
/// `event::deadline`. Also measures the time to planned restarts, for which the deadline of an engine
/// stands only once its failed workload has been ended. Thread-safe.
class deadline_timers {
public:
    deadline_timers(services& services, engine_inbox& inbox)
        : services_(services), inbox_(inbox), timer_(services, [this] { deliver_due(); }) {}

    /// Follows a record that was decided or found then: waits for its deadline, or for none. The
    /// wait is as long as the deadline was off by the wall clock, but never longer than
    /// `core::longest_wait`; a deadline that is waited for already keeps its time.
    void follow(const engine_record& engine, const core::moment& then);
    void forget(const engine_owner& owner);

    /// Delivers the deadline that is waited for after this wait instead.
    void change_wait(const engine_owner& owner, duration wait);

    /// Whether the engine has a deadline that is yet to come.
    [[nodiscard]] bool waits(const engine_owner& owner) const;

    /// How far off the engine's planned restart is; nothing if none was followed.
    [[nodiscard]] std::optional<duration> restart_in(const engine_owner& owner) const;

    void close();

private:
    /// A time of a record.
    struct measured {
        instant at;   ///< By the wall clock, as stored.
        duration due; ///< By the steady clock.
    };
    struct timer {
        measured deadline;
        std::optional<measured> restart;
    };

    void deliver_due();
    void set(const engine_owner& owner, timer wanted);
    void erase(const engine_owner& owner);

    services& services_;
    engine_inbox& inbox_;
    earliest_timer timer_;
    mutable std::mutex mutex_;
    std::unordered_map<engine_owner, timer, engine_owner_hash, engine_owner_equal> by_owner_;
    std::set<std::pair<duration, engine_owner>> by_time_;
    bool closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/deadline_timers.ipp>
#endif

#pragma once

#include <roundhouse/config.hpp>
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
/// `event::deadline`. Thread-safe.
class deadline_timers {
public:
    deadline_timers(services& services, engine_inbox& inbox)
        : services_(services), inbox_(inbox), timer_(services, [this] { deliver_due(); }) {}

    /// Follows a record that was committed or found: waits for its deadline, or for none. The wait
    /// is as long as the deadline is off by the wall clock, but never longer than
    /// `core::longest_wait`; a deadline that is waited for already keeps its time.
    void follow(const engine_record& engine);
    void forget(const engine_owner& owner);

    /// Delivers the deadline that is waited for after this wait instead.
    void change_wait(const engine_owner& owner, duration wait);

    /// How long the engine's deadline is off; nothing if none is waited for.
    [[nodiscard]] std::optional<duration> left(const engine_owner& owner) const;

    void close();

private:
    struct timer {
        instant deadline;
        duration due; ///< By the steady clock.
    };

    void deliver_due();
    void set(const engine_owner& owner, instant deadline, duration wait);
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

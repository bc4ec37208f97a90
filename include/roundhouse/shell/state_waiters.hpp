#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/shell/call_ticket.hpp>
#include <roundhouse/shell/call_timers.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/shell/shared_places.hpp>
#include <roundhouse/types.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What a wait for a state has come to.
struct state_wait_end {
    enum class kind : std::uint8_t {
        reached,   ///< `engine` is in a state that was waited for.
        gone,      ///< The engine has no row any more.
        timed_out, ///< The caller has waited long enough.
        failed,    ///< `failure` tells why.
    };

    kind how = kind::timed_out;
    engine_ptr engine = {};
    std::optional<error> failure = {};
};

/// Callers who wait for an engine to get into a state. They are told by the commits of its row, and
/// count among the calls of their product that wait. Thread-safe.
class state_waiters {
public:
    using number = std::uint64_t;
    using told = std::function<void(const state_wait_end&)>;

    state_waiters(services& services, shared_places& places, call_timers& timers)
        : services_(services), places_(places), timers_(timers) {}

    /// Takes in a caller, who waits until then (steady time). `done` is called once, from any thread,
    /// and not from inside. Fails with `errc::overloaded` if as many wait as may.
    [[nodiscard]] result<number> add(const engine_owner& owner, engine_statuses wanted,
                                     duration until, told done);
    /// Answers a caller if this row is in a state that is waited for.
    void see(const engine_owner& owner, number waiter, const engine_ptr& row);
    /// Answers a caller, if that was not done already.
    void end(const engine_owner& owner, number waiter, const state_wait_end& how);

    /// Tells of a row that has been committed, null if it is gone now.
    void follow(const engine_owner& owner, const engine_ptr& row) {
        // Read after the commit, as a caller reads the row after having been taken in.
        if (count_.load() > 0) tell(owner, row);
    }

    /// Tells those who wait for engines of a product that these are gone, as the product is.
    void forget_product(const uuid& product);
    void fail_all(const error& cause);

private:
    struct waiting_caller {
        engine_statuses wanted;
        call_ticket timer;
        told done;
    };
    using waiters = std::map<number, waiting_caller>;

    void tell(const engine_owner& owner, const engine_ptr& row);
    /// Under the lock: ends the wait, so that the caller can be told.
    told take(const engine_owner& owner, waiters& from, waiters::iterator which);

    services& services_;
    shared_places& places_;
    call_timers& timers_;
    std::mutex mutex_;
    std::unordered_map<engine_owner, waiters, engine_owner_hash, engine_owner_equal> by_owner_;
    std::atomic<std::size_t> count_ = 0;
    number last_ = 0;
    std::optional<error> closed_; ///< Why nobody can wait any more.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/state_waiters.ipp>
#endif

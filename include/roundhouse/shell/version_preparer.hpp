#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/shell/call_timers.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/shell/turn_queue.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <exception>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Prepares the new versions of upgrades while the old ones serve: of each engine one at a time, and
/// for as long as a call wants it. They take turns as boots do, in a queue of their own, and have
/// `settings::create_timeout` from their turn on. Called from the drain of the engine's mailbox, into
/// which the outcome goes.
class version_preparer {
public:
    version_preparer(services& services, call_timers& timers, engine_inbox& inbox)
        : services_(services),
          timers_(timers),
          inbox_(inbox),
          turns_(services.settings.prepare_concurrency) {}

    /// Begins to prepare the version of an upgrade, or lets the call want what is under way. If that
    /// is another version, the call has to wait for its end, and to be decided again.
    void begin(mailbox& engine, waiting_call& call, const engine_ptr& record);

    /// Takes the turn of a preparation that waited, unless that is dropped or `give_up` is set.
    void take_turn(mailbox& engine, const preparation_turn_came& came, bool give_up);

    /// Takes the end of the preparation. Fails as the calls that want it do.
    result<void> take_end(mailbox& engine, const preparation_ended& ended);

    /// Cancels the preparation if no call wants it any more. Its end follows.
    void drop_unwanted(mailbox& engine);

    /// Lets the present policy of a product hold for preparations that wait.
    void policy_changed(const product& product);

private:
    void launch(mailbox& engine);
    asio::awaitable<result<void>> prepare(workload wanted);
    void announce(const std::vector<turn_queue::command>& begun);
    [[nodiscard]] error why_cancelled(const mailbox& engine, const std::exception_ptr& failure,
                                      duration until) const;

    services& services_;
    call_timers& timers_;
    engine_inbox& inbox_;
    turn_queue turns_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/version_preparer.ipp>
#endif

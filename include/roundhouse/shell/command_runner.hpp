#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/shell/running_engines.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <memory>
#include <optional>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Carries out one command with the backend, and returns the event that came of it; nothing if it
/// has prepared the workload of a boot, which is to be started next. It can be cancelled at any
/// wait, except while a workload is being created: what was begun must be known.
class command_runner {
public:
    command_runner(services& services, running_engines& running, engine_inbox& inbox)
        : services_(services), running_(running), inbox_(inbox) {}

    asio::awaitable<std::optional<core::event_variant>> run(command_request request,
                                                            std::shared_ptr<task> self);

private:
    using outcome = core::event_variant;

    asio::awaitable<std::optional<outcome>> prepare(const command_request& request);
    asio::awaitable<outcome> boot(const command_request& request, const task& self);
    asio::awaitable<outcome> stop(const engine_record& engine, duration grace);
    asio::awaitable<outcome> sleep(const command_request& request);
    asio::awaitable<outcome> wake(const command_request& request);
    asio::awaitable<outcome> swap_key(const engine_record& engine);
    asio::awaitable<outcome> destroy(const engine_record& engine);
    asio::awaitable<outcome> copy_data(const engine_record& engine, duration grace);
    asio::awaitable<outcome> watch(const engine_record& engine);
    asio::awaitable<outcome> restore_data(const engine_record& engine, duration grace);
    asio::awaitable<outcome> drop_copy(const engine_record& engine);

    [[nodiscard]] asio::awaitable<product> product_of(const command_request& request) const;
    [[nodiscard]] bool used_since(const command_request& request) const;

    services& services_;
    running_engines& running_;
    engine_inbox& inbox_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/command_runner.ipp>
#endif

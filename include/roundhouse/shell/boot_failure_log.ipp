#pragma once

#include <roundhouse/shell/boot_failure_log.hpp>
#include <roundhouse/shell/engine_secrets.hpp>
#include <roundhouse/shell/redaction.hpp>

#include <exception>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void boot_failure_log::log(const engine_record& engine, logged_engine named) {
    auto done = [this, engine, named = std::move(named)](const std::exception_ptr& failure,
                                                         const result<std::string>& output) {
        if (failure) return; // cancelled: the orchestrator goes away
        if (output) return log_lines(engine, named, *output);
        services_.log(log_level::warning, "the output of an engine cannot be read", named,
                      {{"reason", output.error().message}});
    };
    services_.tasks.spawn(read(ref_of(engine)), std::move(done));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>> boot_failure_log::read(workload_ref ref) {
    auto output = co_await services_.backend->boot_logs(ref, services_.settings.boot_log_lines);
    co_return output;
}

ROUNDHOUSE_DECL void boot_failure_log::log_lines(const engine_record& engine,
                                                 const logged_engine& named,
                                                 const std::string& output) const {
    const auto most = services_.settings.boot_log_lines;
    for (const auto& line : log_excerpt(output, most, secrets_of(engine, services_)))
        services_.log(log_level::warning, "an engine wrote before its boot failed", named,
                      {{"output", line}});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

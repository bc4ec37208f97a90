#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Logs what an engine wrote before its boot failed: the reason is often in there. It is for
/// operators, not for callers, and is redacted.
class boot_failure_log {
public:
    explicit boot_failure_log(services& services) : services_(services) {}

    void log(const engine_record& engine, logged_engine named);

private:
    asio::awaitable<result<std::string>> read(workload_ref ref);
    void log_lines(const engine_record& engine, const logged_engine& named,
                   const std::string& output) const;

    services& services_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/boot_failure_log.ipp>
#endif

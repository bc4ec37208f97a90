#pragma once

#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/detail/replaceable_handler.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/version.hpp>

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Tells operators of processes that this program cannot end, where no call fails that would tell it.
/// Used on the supervisor's strand only, but for `close`.
class unended_processes {
public:
    explicit unended_processes(log_sink log) { log_.set(std::move(log)); }

    /// A process that this program may not signal: there is one line of it.
    void refused(std::string_view message, const process_entry& process) {
        auto& told = told_[process.pid]; // no more of them than there are numbers
        if (std::exchange(told, process.stat.start_time) == process.stat.start_time) return;
        tell(message, why_not_signalled(process.pid));
    }

    void tell(std::string_view message, std::string_view cause) const {
        const std::array<log_field, 1> fields{log_field{"cause", cause}};
        log_({.level = log_level::warning, .message = message, .fields = fields});
    }

    /// Once this has returned, the log is not called any more. From any thread.
    void close() { log_.set({}); }

private:
    replaceable_handler<log_line> log_;
    std::unordered_map<pid_t, std::uint64_t> told_; ///< Start times.
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/detail/task.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What no line may hold of texts that are hidden: each of their lines, longest first, for one may
/// be a part of another. A short one says nothing, and would blot out half of the log.
[[nodiscard]] inline std::vector<std::string_view>
redacted_lines(std::span<const std::string> hidden) {
    constexpr std::size_t least = 8;
    std::vector<std::string_view> lines;
    for (std::string_view rest : hidden)
        while (!rest.empty()) {
            const auto line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(line.size() + 1, rest.size()));
            if (line.size() >= least) lines.push_back(line);
        }
    std::ranges::sort(lines, std::ranges::greater{}, &std::string_view::size);
    return lines;
}

/// The last lines of an engine's output, at most `most` of them, as they may stand in a log: cut to
/// a bound, and without the texts that must not be in one (SPEC §7).
[[nodiscard]] inline std::vector<std::string> log_excerpt(std::string_view output, std::size_t most,
                                                          std::span<const std::string> hidden) {
    constexpr std::size_t line_bytes = 1'000;
    const auto secrets = redacted_lines(hidden);
    std::vector<std::string> lines;
    while (output.ends_with('\n')) output.remove_suffix(1);
    while (!output.empty() && lines.size() < most) {
        const auto end = output.rfind('\n');
        const auto begin = end == std::string_view::npos ? 0 : end + 1;
        std::string line(output.substr(begin));
        output = output.substr(0, begin == 0 ? 0 : begin - 1);
        for (const auto text : secrets)
            for (auto at = line.find(text); at != std::string::npos; at = line.find(text, at + 1))
                line.replace(at, text.size(), 1, '*');
        if (line.size() > line_bytes) line.resize(line_bytes);
        lines.insert(lines.begin(), std::move(line));
    }
    return lines;
}

template <class Parts>
asio::awaitable<result<std::string>> output_of(std::shared_ptr<const Parts> with,
                                               workload_ref engine) {
    auto output = co_await with->backend->logs(engine, with->settings.boot_log_lines);
    co_return output;
}

/// Logs the last words of an engine owner boot has failed: why is often in them. That is for
/// operators, not for callers.
template <class Parts>
void log_boot_failure(std::shared_ptr<const Parts> with, task_group& tasks,
                      const engine_record& engine) {
    auto read = [with, engine](const std::exception_ptr& failure,
                               const result<std::string>& output) {
        if (failure) return; // cancelled: the orchestrator goes away
        const auto who = "engine " + to_string(engine.id) + " of user '" + engine.user_id + "'";
        if (!output)
            return with->log_line(log_level::warning, who + ": what it wrote cannot be read: " +
                                                          output.error().message);
        auto hidden = with->hidden;
        hidden.push_back(to_hex(engine.key_hash));
        for (const auto& line : log_excerpt(*output, with->settings.boot_log_lines, hidden))
            with->log_line(log_level::warning, who + " wrote: " + line);
    };
    auto body = output_of(with, {engine.id, engine.generation, engine.port});
    tasks.spawn(std::make_shared<task>(with->executor), std::move(body), std::move(read));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

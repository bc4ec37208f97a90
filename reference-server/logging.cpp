#include "logging.hpp"

#include <roundhouse/detail/json_writer.hpp>
#include <roundhouse/log_text.hpp>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <cstdio>

namespace roundhouse::server {

namespace {

constexpr std::size_t queued_lines = 8192;

std::string json_line(instant time, const log_line& line) {
    std::string out = "{\"time\":\"";
    json::append_time(out, time);
    out.append("\",\"level\":\"").append(name_of(line.level)).append("\",");
    const auto append_member = [&out](const log_field& field) {
        out.append("\"").append(field.name).append("\":");
        append_log_value(out, field);
    };
    append_member({"message", line.message});
    for (const auto& field : line.fields) {
        out += ',';
        append_member(field);
    }
    return out += '}';
}

std::string text_line(instant time, const log_line& line) {
    std::string out;
    json::append_time(out, time);
    out.append(" ").append(name_of(line.level));
    return out.append(line.level == log_level::info ? "    " : " ").append(to_text(line));
}

} // namespace

std::string format_log_line(log_format format, instant time, const log_line& line) {
    return format == log_format::json ? json_line(time, line) : text_line(time, line);
}

struct logger::implementation {
    // The queue and its thread are destroyed before the logger: queued lines hold the logger, and
    // the last of them must not destroy it in that thread.
    std::shared_ptr<spdlog::async_logger> lines;
    std::shared_ptr<spdlog::details::thread_pool> queue;

    implementation() : queue(std::make_shared<spdlog::details::thread_pool>(queued_lines, 1)) {
        lines = std::make_shared<spdlog::async_logger>(
            "", std::make_shared<spdlog::sinks::stderr_sink_mt>(), queue,
            spdlog::async_overflow_policy::overrun_oldest);
    }
};

logger::logger(log_level min_level, log_format format)
    : min_level_(min_level), format_(format), implementation_(std::make_unique<implementation>()) {
    implementation_->lines->set_pattern("%v"); // lines are complete
    implementation_->lines->set_level(spdlog::level::trace);
}

logger::~logger() {
    const auto dropped = implementation_->queue->overrun_counter();
    if (dropped > 0)
        write(log_level::warning, "log lines were dropped because nobody read them in time",
              {{"count", dropped}});
}

void logger::write(const log_line& line) noexcept {
    if (!shows(line.level)) return;
    try {
        const auto now = std::chrono::floor<std::chrono::milliseconds>(
            std::chrono::system_clock::now());
        const auto text = format_log_line(format_, now, line);
        implementation_->lines->log(spdlog::level::info,
                                    spdlog::string_view_t(text.data(), text.size()));
    } catch (...) {
        // Out of memory. The failure cannot be logged, and no caller could handle it.
    }
}

} // namespace roundhouse::server

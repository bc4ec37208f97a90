#include "logging.hpp"

#include <roundhouse/detail/json_writer.hpp>
#include <roundhouse/detail/utf8.hpp>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

namespace roundhouse::server {

namespace {

constexpr std::size_t queued_lines = 8192;

void append_escaped(std::string& line, char c) {
    constexpr char digits[] = "0123456789abcdef";
    const auto code = static_cast<unsigned char>(c);
    switch (c) {
    case '"': line += "\\\""; return;
    case '\\': line += "\\\\"; return;
    case '\n': line += "\\n"; return;
    case '\r': line += "\\r"; return;
    case '\t': line += "\\t"; return;
    default: line.append("\\u00").append(1, digits[code >> 4U]).append(1, digits[code & 0xFU]);
    }
}

/// Appends text without control characters and malformed UTF-8. Quotes and backslashes are escaped
/// if the text is between quotes.
void append_clean(std::string& line, std::string_view text, bool quoted) {
    while (!text.empty()) {
        const auto length = roundhouse::detail::utf8_sequence(text);
        const char c = text.front();
        const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
        if (length == 0) line += "\xEF\xBF\xBD";
        else if (control || (quoted && (c == '"' || c == '\\'))) append_escaped(line, c);
        else line.append(text.substr(0, length));
        text.remove_prefix(length == 0 ? 1 : length);
    }
}

void append_quoted(std::string& line, std::string_view text) {
    line += '"';
    append_clean(line, text, true);
    line += '"';
}

std::string json_line(instant time, log_level level, std::string_view message,
                      std::span<const log_field> fields) {
    std::string line = "{\"time\":\"";
    json::append_time(line, time);
    line.append("\",\"level\":\"").append(name_of(level)).append("\",\"message\":");
    append_quoted(line, message);
    for (const auto& field : fields) {
        line += ',';
        append_quoted(line, field.name);
        line += ':';
        append_quoted(line, field.value);
    }
    return line += '}';
}

std::string text_line(instant time, log_level level, std::string_view message,
                      std::span<const log_field> fields) {
    std::string line;
    json::append_time(line, time);
    line.append(" ").append(name_of(level)).append(level == log_level::info ? "    " : " ");
    append_clean(line, message, false);
    for (const auto& field : fields) {
        line.append(" ").append(field.name).append("=");
        append_quoted(line, field.value);
    }
    return line;
}

} // namespace

std::string_view name_of(log_level level) noexcept {
    switch (level) {
    case log_level::debug: return "debug";
    case log_level::info: return "info";
    case log_level::warning: return "warning";
    case log_level::error: return "error";
    }
    return "unknown";
}

std::string format_log_line(log_format format, instant time, log_level level,
                            std::string_view message, std::span<const log_field> fields) {
    return format == log_format::json ? json_line(time, level, message, fields)
                                      : text_line(time, level, message, fields);
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
              {{"count", std::to_string(dropped)}});
}

void logger::write(log_level level, std::string_view message,
                   std::span<const log_field> fields) noexcept {
    if (!shows(level)) return;
    try {
        const auto now = std::chrono::floor<std::chrono::milliseconds>(
            std::chrono::system_clock::now());
        const auto line = format_log_line(format_, now, level, message, fields);
        implementation_->lines->log(spdlog::level::info,
                                    spdlog::string_view_t(line.data(), line.size()));
    } catch (...) {
        // Out of memory. The failure cannot be logged, and no caller could handle it.
    }
}

} // namespace roundhouse::server

#include "logging.hpp"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

namespace roundhouse::server {

namespace {

constexpr std::size_t queued_lines = 8192;

/// The length of the UTF-8 sequence that text begins with (RFC 3629), or 0 if it begins with none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned first = byte(0);
    const std::size_t length = first < 0x80                    ? 1
                               : first >= 0xC2 && first < 0xE0 ? 2
                               : first >= 0xE0 && first < 0xF0 ? 3
                               : first >= 0xF0 && first < 0xF5 ? 4
                                                               : 0;
    if (length == 0 || text.size() < length) return 0;
    for (std::size_t at = 1; at < length; ++at)
        if ((byte(at) & 0xC0U) != 0x80U) return 0;
    // Overlong forms, surrogates, and what is above U+10FFFF, all told by the second byte.
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
        (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F))
        return 0;
    return length;
}

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

/// Appends text as it may stand in a line. Quotes and backslashes are escaped only inside of
/// quotes.
void append_clean(std::string& line, std::string_view text, bool quoted) {
    while (!text.empty()) {
        const auto length = utf8_length(text);
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

void append_number(std::string& line, long long number, std::size_t width) {
    const auto digits = std::to_string(number);
    line.append(width > digits.size() ? width - digits.size() : 0, '0').append(digits);
}

/// `2026-01-31T23:59:59.123Z`
void append_time(std::string& line, instant time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    append_number(line, static_cast<int>(date.year()), 4);
    append_number(line += '-', static_cast<unsigned>(date.month()), 2);
    append_number(line += '-', static_cast<unsigned>(date.day()), 2);
    append_number(line += 'T', clock.hours().count(), 2);
    append_number(line += ':', clock.minutes().count(), 2);
    append_number(line += ':', clock.seconds().count(), 2);
    append_number(line += '.', clock.subseconds().count(), 3);
    line += 'Z';
}

std::string json_line(instant time, log_level level, std::string_view message,
                      std::span<const log_field> fields) {
    std::string line = "{\"time\":\"";
    append_time(line, time);
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
    append_time(line, time);
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
    // The queue goes first, and its thread with it: lines that wait hold the logger, and the last
    // of them must not be what destroys it, in that thread.
    std::shared_ptr<spdlog::async_logger> lines;
    std::shared_ptr<spdlog::details::thread_pool> queue;

    implementation() : queue(std::make_shared<spdlog::details::thread_pool>(queued_lines, 1)) {
        lines = std::make_shared<spdlog::async_logger>(
            "", std::make_shared<spdlog::sinks::stderr_sink_mt>(), queue,
            spdlog::async_overflow_policy::overrun_oldest);
    }
};

logger::logger(log_level least, log_format format)
    : least_(least), format_(format), implementation_(std::make_unique<implementation>()) {
    implementation_->lines->set_pattern("%v"); // lines come complete
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
        // No memory for a line: there is nobody left to tell, and no caller could do better.
    }
}

} // namespace roundhouse::server

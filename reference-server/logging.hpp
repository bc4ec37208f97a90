#pragma once

#include "options.hpp"

#include <roundhouse/types.hpp>

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace roundhouse::server {

[[nodiscard]] std::string_view name_of(log_level level) noexcept;

/// A fact that a log line carries beside its message, such as a request's id.
struct log_field {
    std::string_view name; ///< Of letters and underscores.
    std::string_view value;
};

/// One line, without its end. As JSON it is an object with the members `time`, `level`, `message`
/// and one per field; text cannot hold a control character, so that a line is always one line.
/// Bytes that are no UTF-8 are replaced by U+FFFD.
[[nodiscard]] std::string format_log_line(log_format format, instant time, log_level level,
                                          std::string_view message,
                                          std::span<const log_field> fields);

/// The server's log: lines on the standard error.
///
/// Lines go through a bounded queue to a thread of its own, so that a reader of the standard error
/// that stops reading stops nobody else; the oldest lines are dropped then, and their number is
/// told at the end. Any thread may write.
class logger {
public:
    logger(log_level least, log_format format);
    /// Writes what is still queued.
    ~logger();
    logger(const logger&) = delete;
    logger& operator=(const logger&) = delete;

    /// Whether lines of this level are written: ask before making an expensive one.
    [[nodiscard]] bool shows(log_level level) const noexcept { return level >= least_; }

    void write(log_level level, std::string_view message,
               std::span<const log_field> fields) noexcept;
    void write(log_level level, std::string_view message,
               std::initializer_list<log_field> fields = {}) noexcept {
        write(level, message, std::span(fields.begin(), fields.size()));
    }

private:
    struct implementation; // keeps spdlog out of this header
    log_level least_;
    log_format format_;
    std::unique_ptr<implementation> implementation_;
};

} // namespace roundhouse::server

#pragma once

#include "options.hpp"

#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace roundhouse::server {

/// Formats a log line, without its line break. In JSON it is an object with the members `time`,
/// `level`, `message`, and one per field; numbers are numbers. As text it is `time level` and what
/// `to_text` returns, which has the escapes of both formats.
[[nodiscard]] std::string format_log_line(log_format format, instant time, const log_line& line);

/// The server's log, on the standard error.
///
/// A bounded queue and a thread of its own keep a reader of the standard error that stops reading
/// from blocking the server: then the oldest lines are dropped, and their number is logged at the
/// end. Any thread may write.
class logger {
public:
    logger(log_level min_level, log_format format);
    /// Writes the queued lines.
    ~logger();
    logger(const logger&) = delete;
    logger& operator=(const logger&) = delete;

    /// Returns whether lines of this level are written. Avoids the cost of making others.
    [[nodiscard]] bool shows(log_level level) const noexcept { return level >= min_level_; }

    /// Writes a line if its level is shown. Does not block.
    void write(const log_line& line) noexcept;
    void write(log_level level, std::string_view message,
               std::initializer_list<log_field> fields = {}) noexcept {
        write({level, message, std::span(fields.begin(), fields.size())});
    }

    /// Writes the lines that the SDK logs. Must not outlive the logger.
    [[nodiscard]] log_sink sink() noexcept {
        return [this](const log_line& line) { write(line); };
    }

private:
    struct implementation; // Keeps spdlog out of this header.
    log_level min_level_;
    log_format format_;
    std::unique_ptr<implementation> implementation_;
};

} // namespace roundhouse::server

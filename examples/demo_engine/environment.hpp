#pragma once

#include <sys/socket.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace demo_engine {

/// Returns the value of an environment variable; `otherwise` if it is not set. Throws
/// std::runtime_error if there is neither.
inline std::string variable(const char* name, std::optional<std::string> otherwise = std::nullopt) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') {
        return value;
    }
    if (!otherwise) {
        throw std::runtime_error{std::string{name} +
                                 ": is not set; the orchestrator sets it (see --help)"};
    }
    return *otherwise;
}

/// Returns the value of an environment variable as a whole number from `min` to `max`. Throws
/// std::runtime_error if it is not such a number.
inline int number(const char* name, int min, int max,
                  std::optional<std::string> otherwise = std::nullopt) {
    const auto text = variable(name, std::move(otherwise));
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < min || value > max) {
        throw std::runtime_error{std::string{name} + ": " + text + " is not a whole number from " +
                                 std::to_string(min) + " to " + std::to_string(max)};
    }
    return value;
}

/// Returns the descriptor of the socket that the engine was passed, which listens on its port;
/// negative if `ENGINE_LISTEN_FD` is not set. Throws std::runtime_error if it is no such socket.
inline int passed_listener() {
    constexpr auto name = "ENGINE_LISTEN_FD";
    const int passed = number(name, -1, std::numeric_limits<int>::max(), "-1");
    if (passed < 0) {
        return passed;
    }
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(passed, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) {
        throw std::runtime_error{std::string{name} + ": descriptor " + std::to_string(passed) +
                                 " is no socket that listens"};
    }
    return passed;
}

} // namespace demo_engine

#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/error.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// The path of the engine's program, found as execvp does, but on the engine's PATH. A failure's
/// message has the cause.
[[nodiscard]] inline result<std::string> find_program(const subprocess_options& options) {
    const auto& name = options.command.front();
    int number = ENOENT;
    const auto usable = [&number](const std::string& file) {
        struct stat status {};
        if (::stat(file.c_str(), &status) == 0) {
            if (S_ISREG(status.st_mode) && ::access(file.c_str(), X_OK) == 0) return true;
            number = EACCES;
        }
        return false;
    };
    if (name.find('/') != std::string::npos) {
        if (usable(name)) return name;
        return failed("cannot run " + name, number);
    }
    std::string_view path;
    for (const auto& [variable, value] : options.environment)
        if (path.empty() && variable == "PATH") path = value;
    while (!path.empty()) {
        const auto end = std::min(path.find(':'), path.size());
        const auto file = std::string{path.substr(0, end)} + '/' + name;
        if (file.front() == '/' && end > 0 && usable(file))
            return file; // relative ones would mean another folder later
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return failed("cannot run " + name + " (looked for on the engine's PATH)", number);
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/backend/subprocess/isolation.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/process.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// What is checked and made before a backend serves.
namespace detail::subprocess {

/// Makes the paths in the options absolute. Throws std::invalid_argument for options that cannot
/// work, and std::system_error.
[[nodiscard]] inline subprocess_options checked(subprocess_options options) {
    const auto refuse = [](const std::string& why) {
        throw std::invalid_argument{"subprocess backend: " + why};
    };
    const auto has_nul = [](const std::string& text) {
        return text.find('\0') != std::string::npos;
    };
    if (options.store_path.empty()) refuse("the store path is empty");
    if (options.command.empty() || options.command.front().empty())
        refuse("the engine command is empty");
    for (const auto& word : options.command)
        if (has_nul(word)) refuse("the engine command holds a NUL");
    for (const auto& [name, value] : options.environment) {
        if (name.empty() || name.find('=') != std::string::npos || has_nul(name)) {
            refuse("\"" + name + "\" is no name for an environment variable");
        }
        if (has_nul(value)) refuse("the environment variable " + name + " holds a NUL");
    }
    if (has_nul(options.catalog_dir)) refuse("the catalog folder holds a NUL");
    options.store_path = std::filesystem::absolute(options.store_path).lexically_normal();
    if (!options.catalog_dir.empty())
        options.catalog_dir = std::filesystem::absolute(options.catalog_dir).string();
    std::error_code missing; // the store's folder may not have been made yet
    const auto store = std::filesystem::weakly_canonical(options.store_path, missing);
    for (auto& path : options.readable) {
        path = std::filesystem::absolute(path).string();
        if (const auto why = not_to_be_given(real_path(path), store); !why.empty())
            refuse("engines cannot be given " + path + " to read: " + std::string(why));
    }
    // The bound of one file is one of the log too: it has to be cut before.
    if (options.file_bytes > 0)
        options.log_limit_bytes = std::min(options.log_limit_bytes, options.file_bytes / 2);
    if (const auto unmet = unmet_requirement(options)) refuse(*unmet);
    auto& program = options.command.front();
    if (program.find('/') != std::string::npos)
        program = std::filesystem::absolute(program).string();
    return options;
}

/// Creates `<store_path>/engines`, and checks that the kernel is new enough. Throws
/// std::system_error.
inline void make_ready(const subprocess_options& options) {
    const auto engines = options.store_path / "engines";
    const bool had_store = std::filesystem::exists(options.store_path);
    std::filesystem::create_directories(engines);
    if (!had_store)
        std::filesystem::permissions(options.store_path, std::filesystem::perms::owner_all);
    std::filesystem::permissions(engines, std::filesystem::perms::owner_all);
    if (!open_pidfd(::getpid()) || ::syscall(SYS_close_range, ~0U, ~0U, 0U) != 0) {
        throw std::system_error{errno, std::system_category(),
                                "subprocess backend: needs pidfd_open and close_range (Linux 5.9)"};
    }
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

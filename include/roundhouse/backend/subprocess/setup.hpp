#pragma once

#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/isolation.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>
#include <roundhouse/backend/subprocess/uids.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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
    if (has_nul(options.cgroup_root)) refuse("the folder of control groups holds a NUL");
    constexpr double most_cpus = 65'536; // more is no machine's, and no number for the kernel
    if (!(options.cpus >= 0 && options.cpus <= most_cpus))
        refuse("cpus: is not a number from 0 to 65536");
    options.store_path = std::filesystem::absolute(options.store_path).lexically_normal();
    if (!options.catalog_dir.empty())
        options.catalog_dir = std::filesystem::absolute(options.catalog_dir).string();
    std::error_code missing; // the store's folder may not have been made yet
    const auto store = std::filesystem::weakly_canonical(options.store_path, missing);
    for (auto& path : options.readable) {
        path = std::filesystem::absolute(path).string();
        if (const auto why = not_to_be_given(real_path(path), store); !why.empty())
            refuse("readable: engines cannot be given " + path + " to read: " + std::string(why));
    }
    // The bound of one file is one of the log too: it has to be cut before.
    if (options.file_bytes > 0)
        options.log_limit_bytes = std::min(options.log_limit_bytes, options.file_bytes / 2);
    auto& program = options.command.front();
    if (program.find('/') != std::string::npos)
        program = std::filesystem::absolute(program).string();
    return options;
}

/// The engines' folders that this program may not use, because they belong to other users: throws
/// std::invalid_argument for the first.
inline void check_owners(const std::string& engines) {
    if (may_use_other_users()) return;
    const auto found = engines_in(engines);
    if (!found) return; // reported by the first call that needs the folder
    for (const auto& engine : *found) {
        const auto path = engines + '/' + to_string(engine);
        struct stat status {};
        if (::lstat(path.c_str(), &status) == 0 && status.st_uid != ::geteuid())
            throw std::invalid_argument{
                "subprocess backend: " + path + " belongs to user " +
                std::to_string(status.st_uid) +
                ", as which this process may start nothing: run it as root, as before, or give "
                "that folder and all in it to user " +
                std::to_string(::geteuid())};
    }
}

/// Finds out which isolation is reached, and gives the store's folder and that of the engines the
/// modes that go with it. Blocks for a child.
[[nodiscard]] inline isolation find_isolation(const subprocess_options& options, bool had_store) {
    const auto engines = options.store_path / "engines";
    using std::filesystem::perms;
    constexpr auto enterable = perms::owner_all | perms::group_exec | perms::others_exec;
    const auto before = had_store ? std::filesystem::status(options.store_path).permissions()
                                  : perms::owner_all;
    const auto set_mode = [](const std::filesystem::path& folder, perms wanted) {
        if (std::filesystem::status(folder).permissions() != wanted)
            std::filesystem::permissions(folder, wanted);
    };
    const auto set = [&](perms of_store, perms of_engines) {
        set_mode(options.store_path, of_store);
        set_mode(engines, of_engines);
    };
    if (may_use_other_users()) set(before | enterable, enterable); // for the trial
    isolation reached{options.isolation, find_uids(options, engines.string()),
                      find_cgroups(options, engines.string())};
    const bool has_uids = !reached.uids().empty();
    set(has_uids ? enterable : before, has_uids ? enterable : perms::owner_all);
    return reached;
}

/// Warns of each hierarchy of control groups that is not used although groups can be made there.
inline void warn_of_cgroups(const engine_cgroups& cgroups, const log_sink& log) {
    if (!log) return;
    for (const auto& why : cgroups.left_out()) {
        const std::array<log_field, 1> fields{log_field{"cause", why}};
        log({.level = log_level::warning,
             .message =
                 "engines have no control groups in one hierarchy, because a group can be made "
                 "there and not used: give this program's own group, with all files in it, "
                 "to its user",
             .fields = fields});
    }
}

/// Creates `<store_path>/engines`, checks that the kernel is new enough, and finds out which
/// isolation is reached. Throws std::system_error, and std::invalid_argument if less is reached than
/// is required.
[[nodiscard]] inline isolation make_ready(const subprocess_options& options) {
    const auto engines = options.store_path / "engines";
    const bool had_store = std::filesystem::exists(options.store_path);
    std::filesystem::create_directories(engines);
    if (!open_pidfd(::getpid()) || ::syscall(SYS_close_range, ~0U, ~0U, 0U) != 0) {
        throw std::system_error{errno, std::system_category(),
                                "subprocess backend: needs pidfd_open and close_range (Linux 5.9)"};
    }
    if (options.ends_orphans && ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        throw std::system_error{errno, std::system_category(),
                                "subprocess backend: cannot inherit what engines leave"};
    check_owners(engines.string());
    auto reached = find_isolation(options, had_store);
    if (options.uids && !options.uids->empty() && reached.uids().empty())
        throw std::invalid_argument{"subprocess backend: uids: engines cannot have the users " +
                                    std::to_string(options.uids->low) + '-' +
                                    std::to_string(options.uids->high) + ": " +
                                    reached.why_no_uids() + "; choose others, or none"};
    if (const auto unmet = unmet_requirement(options, reached))
        throw std::invalid_argument{"subprocess backend: isolation: " + *unmet};
    warn_of_cgroups(reached.cgroups(), options.log);
    return reached;
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

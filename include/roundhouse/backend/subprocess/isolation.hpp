#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/landlock.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/port_owner.hpp>
#include <roundhouse/backend/subprocess/program.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>
#include <roundhouse/backend/subprocess/uids.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// What keeps an engine from this program, from other engines and from the rest of the machine: the
/// parts that are put into effect between fork and exec.
namespace detail::subprocess {

/// What every engine may read and execute: programs, libraries and what describes the system. What
/// does not exist is left out.
inline constexpr std::array<const char*, 13> system_paths{"/usr",
                                                          "/bin",
                                                          "/sbin",
                                                          "/lib",
                                                          "/lib32",
                                                          "/lib64",
                                                          "/libx32",
                                                          "/etc",
                                                          "/proc",
                                                          "/sys",
                                                          "/run/systemd/resolve",
                                                          "/run/resolvconf",
                                                          "/run/nscd"};
inline constexpr std::array<const char*, 7> common_devices{
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"};
inline constexpr auto shared_memory = "/dev/shm";
/// What is installed beside a folder of programs, such as the modules of an interpreter.
inline constexpr std::array<const char*, 13> beside_programs{
    "bin", "sbin",    "lib",   "lib32",    "lib64",   "libexec",   "share",
    "etc", "include", "shims", "versions", "version", "pyvenv.cfg"};

/// The limits of an engine, which it cannot raise.
inline constexpr rlim_t open_files_at_first =
    1024; ///< A soft limit: the hard one is this program's.
inline constexpr std::string_view likely_out_of_memory = "500"; ///< For oom_score_adj (proc(5)).

/// A path without links; empty if it does not exist.
[[nodiscard]] inline std::filesystem::path real_path(const std::filesystem::path& path) {
    std::error_code missing;
    auto found = std::filesystem::canonical(path, missing);
    return missing ? std::filesystem::path() : found;
}

/// Whether a path without links is a folder or in it.
[[nodiscard]] inline bool contains(const std::filesystem::path& folder,
                                   const std::filesystem::path& path) {
    const auto [end, ignored] = std::ranges::mismatch(folder, path);
    return end == folder.end();
}

/// The path that is given to every engine in which another lies; empty if there is none. What is
/// secret must not lie there, because nothing can be taken from a folder that is given.
[[nodiscard]] inline std::string given_to_all(const std::filesystem::path& path) {
    const auto found = real_path(path);
    if (found.empty()) return {};
    for (const auto* const given : system_paths) {
        const auto folder = real_path(given);
        if (!folder.empty() && contains(folder, found)) return given;
    }
    return contains(shared_memory, found) ? shared_memory : std::string();
}

/// Whether a folder holds what does not belong together, so that a program in it says nothing of the
/// files beside it.
[[nodiscard]] inline bool is_common_folder(const std::filesystem::path& folder) {
    constexpr std::array<std::string_view, 5> common{"/", "/tmp", "/var/tmp", "/root", "/home"};
    return std::ranges::find(common, folder.native()) != common.end() ||
           folder.parent_path() == "/home";
}

/// Why engines cannot be given a path to read; empty if they can. `found` is its `real_path`, and
/// `store` the store's.
[[nodiscard]] inline std::string_view not_to_be_given(const std::filesystem::path& found,
                                                      const std::filesystem::path& store) {
    if (found.empty()) return "it does not exist";
    if (contains(found, store)) return "it has the store in it";
    if (contains(store, found)) return "it lies in the store";
    return {};
}

/// What an engine's command and the options let it read beside the system's paths: the folder of
/// each file that the command names, and of a program in `bin` what is installed beside that.
///
/// A folder that has the store in it is left out, and so is one of the store. A file of the command
/// is given alone then, and in a folder that is common to many things, such as a home folder.
[[nodiscard]] inline std::vector<std::string> readable_paths(const subprocess_options& options,
                                                             const std::string& program) {
    namespace fs = std::filesystem;
    std::vector<std::string> out(system_paths.begin(), system_paths.end());
    const auto store = real_path(options.store_path);
    const auto give = [&](const fs::path& path) {
        const auto found = real_path(path);
        if (!not_to_be_given(found, store).empty()) return false;
        out.push_back(found.string());
        return true;
    };
    const auto give_file_of_command = [&](const std::string& word) {
        const fs::path path(word);
        if (!path.is_absolute()) return;
        std::error_code ignored; // what is no folder is a file, or missing
        if (fs::is_directory(path, ignored)) {
            give(path);
            return;
        }
        const auto found = real_path(path);
        if (found.empty()) return;
        out.push_back(found.string());
        for (const auto& folder : {found.parent_path(), path.parent_path()}) { // path: of a link
            if (!is_common_folder(folder)) give(folder);
            const auto is_program_folder = folder.filename() == "bin" ||
                                           folder.filename() == "shims";
            for (const auto* const name : beside_programs)
                if (is_program_folder) give(folder.parent_path() / name);
        }
    };
    give_file_of_command(program);
    for (const auto& word : options.command) give_file_of_command(word);
    if (!options.catalog_dir.empty()) give(options.catalog_dir);
    for (const auto& path : options.readable) give(path);
    return out;
}

/// What a user of an engine's own has to be able to use: the folder of the engines, the program, the
/// files that the command names, and the catalog. What does not exist is left out.
[[nodiscard]] inline std::vector<needed_path> needed_paths(const subprocess_options& options,
                                                           const std::string& engines) {
    std::vector<needed_path> out{{engines, X_OK}};
    const auto add = [&](const std::string& path, int access) {
        std::error_code ignored; // what cannot be looked at is no folder
        if (!std::filesystem::path(path).is_absolute() || ::access(path.c_str(), F_OK) != 0) return;
        const bool is_folder = std::filesystem::is_directory(path, ignored);
        out.push_back({path, is_folder ? access | X_OK : access});
    };
    if (const auto program = find_program(options)) add(*program, X_OK);
    for (std::size_t word = 1; word < options.command.size(); ++word)
        add(options.command[word], R_OK);
    add(options.catalog_dir, R_OK);
    for (const auto& path : options.readable) add(path, R_OK);
    return out;
}

/// The users that engines can have, or why they have none.
struct usable_uids {
    uid_range range;
    std::string why_none; ///< Empty if none are wanted.
};

/// Tries whether engines can have users of their own. `engines` is their folder. Blocks for a child.
[[nodiscard]] inline usable_uids find_uids(const subprocess_options& options,
                                           const std::string& engines) {
    const auto range = options.uids.value_or(default_engine_uids);
    if (range.empty() || (!options.uids && options.isolation == isolation_mode::none)) return {};
    std::string why{why_unusable(range)};
    if (why.empty() && range.low == range.high) why = "there is only one";
    if (why.empty()) why = why_refused(killer_of(range), needed_paths(options, engines));
    if (why.empty()) return {.range = range, .why_none = {}};
    return {.range = {}, .why_none = why};
}

/// What this program can put into effect on this machine.
class isolation {
public:
    isolation(isolation_mode mode, usable_uids uids, engine_cgroups cgroups)
        : on_{mode != isolation_mode::none},
          landlock_{on_ ? landlock_version() : 0},
          uids_{std::move(uids)},
          cgroups_{std::move(cgroups)},
          tells_listeners_{on_ && tells_listeners()} {}

    [[nodiscard]] bool is_on() const noexcept { return on_; }
    [[nodiscard]] bool has_landlock() const noexcept { return landlock_ > 0; }
    /// The users that engines have for themselves; empty if they have none.
    [[nodiscard]] const uid_range& uids() const noexcept { return uids_.range; }
    /// Why they have none; empty if they have, or none are wanted.
    [[nodiscard]] const std::string& why_no_uids() const noexcept { return uids_.why_none; }

    /// The control groups of the engines.
    [[nodiscard]] const engine_cgroups& cgroups() const noexcept { return cgroups_; }

    /// The names of the parts that are reached.
    [[nodiscard]] std::vector<std::string_view> names() const {
        std::vector<std::string_view> out;
        if (on_) out = {"no_new_privileges", "limits"};
        if (has_landlock()) out.emplace_back("landlock");
        if (!uids().empty()) out.emplace_back("uid");
        if (on_ && tells_listeners_) out.emplace_back("port_owner");
        if (!cgroups_.empty()) out.emplace_back("cgroup");
        return out;
    }

    /// The rules of an engine whose data is in `folder`; no descriptor without Landlock. The engine
    /// may open its log, because programs write to /dev/stdout by its path.
    [[nodiscard]] result<descriptor> rules_for(const subprocess_options& options,
                                               const std::string& program,
                                               const std::string& folder, const std::string& log,
                                               std::uint16_t port) const {
        if (!has_landlock()) return descriptor{};
        std::vector<std::string> owned{folder};
        std::error_code ignored; // what cannot be looked at cannot be used
        if (std::filesystem::is_directory(
                std::filesystem::symlink_status(shared_memory, ignored)) &&
            !contains(shared_memory, real_path(options.store_path)))
            owned.emplace_back(shared_memory);
        std::vector<std::string> writable(common_devices.begin(), common_devices.end());
        writable.push_back(log);
        return make_landlock_ruleset({.readable = readable_paths(options, program),
                                      .writable = std::move(writable),
                                      .owned = std::move(owned),
                                      .port = port},
                                     landlock_);
    }

private:
    bool on_;
    int landlock_;
    usable_uids uids_;
    engine_cgroups cgroups_;
    bool tells_listeners_;
};

/// Why the isolation that the options require is not reached; nothing if it is, or none is required.
[[nodiscard]] inline std::optional<std::string> unmet_requirement(const subprocess_options& options,
                                                                  const isolation& reached) {
    if (options.isolation != isolation_mode::required || !reached.uids().empty())
        return std::nullopt;
    const auto without_uid = reached.why_no_uids().empty()
                                 ? std::string()
                                 : ", and engines have no user of their own: " +
                                       reached.why_no_uids();
    if (!reached.has_landlock())
        return "isolation is required, and this kernel has no Landlock, or it is switched off (its "
               "parameter lsm= has to name landlock)" +
               without_uid;
    if (const auto given = given_to_all(options.store_path); !given.empty())
        return "isolation is required, and the store lies in " + given +
               ", which every engine may read: move it, such as to /var/lib" + without_uid;
    return std::nullopt;
}

/// The ceilings that can be held here, and those of every engine. Processors are among them only if
/// the options have a ceiling of them: a controller that no engine needs costs each boot.
[[nodiscard]] inline limit_support held_limits(const subprocess_options& options,
                                               const isolation& reached) {
    limit_support out;
    const auto& cgroups = reached.cgroups();
    out.memory_mb = cgroups.hold(&cgroup_controllers::memory);
    out.cpus = cgroups.hold(&cgroup_controllers::cpu);
    const bool bounds_user = reached.is_on() && !reached.uids().empty();
    out.pids = bounds_user || cgroups.hold(&cgroup_controllers::pids);
    if (out.memory_mb && options.memory_bytes > 0)
        out.general.memory_mb = whole_mb(options.memory_bytes);
    if (out.cpus && options.cpus > 0) out.general.cpus = options.cpus;
    if (out.pids && options.processes > 0) out.general.pids = options.processes;
    return out;
}

/// The members of the options that ask for a ceiling which nothing holds here.
[[nodiscard]] inline std::vector<std::string> unheld_ceilings(const subprocess_options& options,
                                                              const isolation& reached) {
    std::vector<std::string> out;
    const auto held = held_limits(options, reached);
    if (options.memory_bytes > 0 && !held.memory_mb) out.emplace_back("memory_bytes");
    if (options.cpus > 0 && !held.cpus) out.emplace_back("cpus");
    if (options.processes > 0 && !held.pids) out.emplace_back("processes");
    if (options.io_bytes_per_s > 0 && !reached.cgroups().hold(&cgroup_controllers::io))
        out.emplace_back("io_bytes_per_s");
    return out;
}

/// The ceilings of one engine: its own, and else those of every engine.
[[nodiscard]] inline engine_ceilings ceilings_of(const subprocess_options& options,
                                                 const engine_limits& own) {
    return {.memory_bytes = own.memory_mb ? *own.memory_mb * bytes_per_mb : options.memory_bytes,
            .cpus = own.cpus.value_or(options.cpus),
            .processes = own.pids ? static_cast<std::uint32_t>(*own.pids) : options.processes};
}

/// The isolation of one child, prepared by its parent.
struct child_isolation {
    bool on = false;
    int ruleset = -1;                       ///< Of Landlock, if there is one.
    rlim_t file_bytes = RLIM_INFINITY;      ///< The size of one file.
    uid_t uid = 0;                          ///< The user that the engine has for itself, or 0.
    rlim_t processes = RLIM_INFINITY;       ///< Of that user.
    std::optional<soft_limits> limits = {}; ///< Of a child that is not isolated.
};

/// The isolation of an engine with this user and these ceilings, which has the rules of `ruleset`,
/// its caller's.
[[nodiscard]] inline child_isolation isolation_of(const subprocess_options& options,
                                                  const isolation& reached, int ruleset, uid_t uid,
                                                  const engine_ceilings& ceilings) {
    return {.on = reached.is_on(),
            .ruleset = ruleset,
            .file_bytes = options.file_bytes > 0 ? options.file_bytes : RLIM_INFINITY,
            .uid = uid,
            .processes = ceilings.processes > 0 ? ceilings.processes : RLIM_INFINITY,
            .limits = options.limits};
}

/// Sets the limits of the calling child. Async-signal-safe. On failure returns false, with the cause
/// in errno.
[[nodiscard]] inline bool set_limits(const child_isolation& wanted) noexcept {
    const auto limit = [](auto resource, rlim_t soft, rlim_t hard) {
        rlimit present{};
        if (::getrlimit(resource, &present) != 0) return false;
        const rlimit lower{std::min(soft, present.rlim_max), std::min(hard, present.rlim_max)};
        return ::setrlimit(resource, &lower) == 0;
    };
    if (!wanted.on)
        return !wanted.limits || (limit(RLIMIT_CORE, wanted.limits->core_bytes, RLIM_INFINITY) &&
                                  limit(RLIMIT_NOFILE, wanted.limits->open_files, RLIM_INFINITY));
    if (!limit(RLIMIT_CORE, 0, 0) || !limit(RLIMIT_NOFILE, open_files_at_first, RLIM_INFINITY) ||
        !limit(RLIMIT_FSIZE, wanted.file_bytes, wanted.file_bytes))
        return false;
    if (wanted.uid != 0 && !limit(RLIMIT_NPROC, wanted.processes, wanted.processes)) return false;
    const descriptor score{::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)};
    // A server that is itself more likely to be killed than that keeps its engines so.
    if (score) [[maybe_unused]]
        const auto written = ::write(score.get(), likely_out_of_memory.data(),
                                     likely_out_of_memory.size());
    return true;
}

/// Puts the isolation into effect for the calling child. Async-signal-safe. On failure returns false,
/// with the cause in errno.
[[nodiscard]] inline bool isolate(const child_isolation& wanted) noexcept {
    if (!set_limits(wanted)) return false;
    if (wanted.uid != 0 && !become(wanted.uid)) return false;
    if (!wanted.on) return true;
    if (wanted.uid == 0 && !keep_capabilities(capability(CAP_DAC_OVERRIDE))) return false;
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    return wanted.ruleset < 0 || restrict_self(wanted.ruleset);
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

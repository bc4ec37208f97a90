#pragma once

#include <roundhouse/detail/engine_calls.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// How far engines are kept from this program, from each other and from the rest of the machine.
enum class isolation_mode : std::uint8_t {
    automatic, ///< As far as this machine and the rights of this program allow.
    required,  ///< The backend is not made with neither Landlock nor a user of each engine's own.
    none,
};

/// Numbers of users (uid), both ends included. Empty if `low` is 0.
struct uid_range {
    std::uint32_t low = 0;
    std::uint32_t high = 0;

    [[nodiscard]] constexpr bool empty() const noexcept { return low == 0 || high < low; }
    [[nodiscard]] constexpr bool contains(std::uint32_t uid) const noexcept {
        return !empty() && uid >= low && uid <= high;
    }
    friend bool operator==(const uid_range&, const uid_range&) = default;
};

/// Above what systems give to accounts, subordinate ids, containers and services
/// (systemd's "Users, Groups, UIDs and GIDs").
inline constexpr uid_range default_engine_uids{.low = 1'879'048'192, .high = 1'879'113'727};

/// Ports, both ends included. Empty if `low` is 0.
struct port_range {
    std::uint16_t low = 0;
    std::uint16_t high = 0;

    [[nodiscard]] constexpr bool empty() const noexcept { return low == 0 || high < low; }
};

/// Soft limits of a process (setrlimit(2)), which it may raise up to its hard ones.
struct soft_limits {
    std::uint64_t open_files = 0;
    std::uint64_t core_bytes = 0; ///< Of a core dump.
};

/// The engine command of a `subprocess_backend`, and its bounds.
struct subprocess_options {
    /// Engines have their folders in `<store_path>/engines/`. Created if missing.
    std::filesystem::path store_path;
    /// Program and arguments, run without a shell. A program without a slash is searched for, at
    /// each start, on the PATH in `environment`. A relative path with a slash counts from the
    /// working folder at the construction of the backend. `{engine_version}` stands for the version
    /// of the engine, in any word and at each start; a version that has a slash, is empty, `.` or
    /// `..`, or begins with a hyphen is refused then. Products choose versions: set
    /// `settings::versions_need_allowing` with it.
    std::vector<std::string> command;
    /// The environment of every engine, beside the engine's own variables, which take precedence.
    /// An engine inherits nothing from this process: put PATH, LANG, TZ and all that is to be
    /// passed through in here.
    std::vector<std::pair<std::string, std::string>> environment;
    /// The `CATALOG_DIR` of every engine; empty for none.
    std::string catalog_dir;
    /// Engines do not bind their port but get a socket that listens on it already, as the descriptor
    /// that `ENGINE_LISTEN_FD` names: no other process can take the port before the engine listens.
    /// For engines that take the socket over; one that binds its port itself finds it in use.
    bool pass_listener = false;

    isolation_mode isolation = isolation_mode::automatic;
    /// Files and folders that every engine may read and execute, beside those of the system, those
    /// of the command, and the catalog. Not the store's folder, nor one that has it in it.
    std::vector<std::string> readable;
    /// The most bytes of one file that an engine writes; 0 for no bound. It holds for the log too: an
    /// engine that prints half of it within `log_check_interval` may be ended by SIGXFSZ.
    std::uint64_t file_bytes = 0;

    /// The users of which each engine gets one of its own, with a group of the same number: for a
    /// program that is root, or has its capabilities to change users and files. Absent:
    /// `default_engine_uids` if they can be used. The last of a range is kept for the processes that
    /// end engines, and no two programs may use the same user. An empty range: none, but an engine whose data
    /// folder has such a user keeps it. One that is given and cannot be used is refused.
    std::optional<uid_range> uids;
    /// The most processes and threads of an engine that has a user or a control group of its own; 0
    /// for no bound.
    std::uint32_t processes = 4096;
    /// The most memory of an engine, with what of it is swapped out, and the most processors, of which
    /// it may use a fraction; 0 for no ceiling. For these the backend needs control groups.
    std::uint64_t memory_bytes = 0;
    double cpus = 0;
    /// The most bytes that an engine reads from the disk which holds `store_path` in a second, and the
    /// most that it writes there; 0 for no ceiling. It needs control groups, and a file system on one
    /// disk, such as ext4 and XFS: not overlayfs, tmpfs and btrfs. With version 1 of control groups it
    /// does not hold for what is written by way of the page cache.
    std::uint64_t io_bytes_per_s = 0;
    /// Where control groups (cgroups(7)) are mounted; empty to use none. Each engine gets a group of
    /// its own, as far as this program may make groups in its own: its processes end with it,
    /// wherever they have gone. With version 2 the constructor moves this program to a group
    /// `roundhouse-server` in its group, so that engines can have ceilings. With
    /// `isolation_mode::none` used only for a ceiling of memory, processors or the disk.
    std::string cgroup_root = "/sys/fs/cgroup";
    /// Makes this process the one that inherits what engines have started and left (prctl(2),
    /// PR_SET_CHILD_SUBREAPER), and ends of that what belongs to no engine that runs. For a program whose only
    /// child processes are the engines of one backend.
    bool ends_orphans = false;
    /// The ports that are given to engines (`settings::port_min`, `port_max`). With isolation, an
    /// engine that listens on one of them that is not its own is ended within about
    /// `log_check_interval`, where the kernel tells who listens. Empty: that is not looked at.
    port_range ports = {};
    /// The limits that engines get with `isolation_mode::none`; without a value those of this
    /// program. A program that changes its own limits names here those that it was started with.
    std::optional<soft_limits> limits = {};

    /// When an engine's `engine.log` is larger, its last bytes, as many as this, are moved to
    /// `engine.log.1`. At most half of `file_bytes`, if that is set.
    std::uint64_t log_limit_bytes = std::uint64_t{10} * 1024 * 1024;
    /// How often the sizes are checked. Logs may exceed the limit in between.
    duration log_check_interval = std::chrono::seconds{1};
    /// The most that `logs` and `boot_logs` return.
    std::size_t log_tail_bytes = std::size_t{1024} * 1024;

    /// The time between SIGTERM and SIGKILL where the caller gives no grace: in `destroy`, and in
    /// `create` for the workload that it replaces.
    duration short_grace = std::chrono::seconds{2};
    /// How long to wait for processes after SIGKILL. Those in uninterruptible sleep may take
    /// longer: that is a failure which names a process.
    duration kill_timeout = std::chrono::seconds{10};
    /// How long `pause` and `resume` wait for their effect.
    duration pause_timeout = std::chrono::seconds{5};
    /// How long to wait for an engine's answer to `POST /rotate-key`.
    duration swap_timeout = std::chrono::seconds{10};
    /// How long to wait for the end of a launch that a crashed orchestrator had begun.
    duration launch_timeout = std::chrono::seconds{5};

    detail::engine_answer_limits answers;

    /// Gets what no operation reports: which folders of destroyed engines cannot be removed, which
    /// engines were found on a port that another backend holds, which engines have the name of a
    /// port, which control groups cannot be entered, which processes cannot be ended, and what lies
    /// among an engine's files and is not used, such as a link. Must be callable until the backend has
    /// been destroyed.
    log_sink log;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

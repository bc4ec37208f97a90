#pragma once

#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/optional_member.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {
class supervisor;
struct engine_folder;
struct log_position;
struct process_identity;
struct process_watch;
} // namespace detail::subprocess

/// Runs each engine as a process of this machine, in a session of its own, with the data folder
/// `<store_path>/engines/<engine_id>/` (mode 0700). The concept `backend` describes the operations.
///
/// Engines outlive the backend, and a crash of its program: `list` finds them and watches them
/// again, by the identity file that each process writes before it becomes the engine. That file and
/// the engine's output lie in `<store_path>/workloads/<engine_id>/`, which isolated engines cannot
/// reach. Exit codes are known for engines that this program started.
///
/// All members but the constructor may be called from any thread. The operations run on `executor`.
/// Their system calls are short, but they block: give the backend an executor with threads of its
/// own, which do not serve requests. The executor must outlive the backend, and its context must run
/// until the operations have ended. Operations can be cancelled with type `terminal`.
///
/// While it runs an engine, and from the choice of a port on, it holds the engine's port against other
/// backends of the network namespace, by one descriptor for each: a Unix socket with the abstract name
/// `roundhouse-port-<port>`. `create` fails with `errc::port_taken` if another holds it, and, where the
/// engine is to be passed a socket (`subprocess_options::pass_listener`), if any process has bound it.
///
/// `destroy` moves the data folder to the trash, `<store_path>/trash/`, or to
/// `<store_path>/engines/.trash/` if `engines` is on another file system, and returns. A thread of the
/// backend removes it afterwards, at low priority. The thread is started when there is something to
/// remove, also by the constructor, and blocks all signals; what the destructor interrupts, the next
/// backend on the store removes. A folder that cannot be moved is removed by `destroy` itself.
///
/// Copies of engines' data lie in `<store_path>/engines/.copies/`, which no isolated engine can reach.
/// They share the blocks of the data where the file system lets them. A copy that would leave less
/// than a twentieth of the file system free, or 256 MiB, is not made. The ceilings of an engine do not
/// hold for its copying, which is this program's work.
class subprocess_backend {
public:
    static constexpr auto optional_members = optional_member::boot_logs |
                                             optional_member::open_logs |
                                             optional_member::isolation | optional_member::limits |
                                             optional_member::data_copy;

    /// Throws std::invalid_argument for options that cannot work, and std::system_error if the
    /// folder of the engines cannot be created or the kernel is older than Linux 5.9.
    subprocess_backend(const asio::any_io_executor& executor, subprocess_options options);

    subprocess_backend(const subprocess_backend&) = delete;
    subprocess_backend& operator=(const subprocess_backend&) = delete;

    /// Leaves the engines as they are. No operation may be under way. Neither the handler of `on_exit`
    /// nor the log is called any more once this has returned.
    ~subprocess_backend();

    [[nodiscard]] std::string_view name() const noexcept { return "subprocess"; }
    [[nodiscard]] bool needs_port() const noexcept { return true; }

    /// Why the folder of the engines, or that of their workloads, cannot be used at present; empty if
    /// they can.
    [[nodiscard]] std::optional<std::string> trouble() const;

    /// The names of what engines are isolated by: `no_new_privileges`, `limits`, `landlock`, `uid`,
    /// `port_owner`, `cgroup`. Of those that an earlier program started, what that program reached
    /// holds.
    [[nodiscard]] std::vector<std::string> isolation() const;

    /// Memory and processes as far as control groups, or a user of each engine's own, hold them on this
    /// machine; processors if `subprocess_options::cpus` is set and held too.
    [[nodiscard]] limit_support limits() const;

    /// Why engines have no users of their own; empty if they have, or none are wanted.
    [[nodiscard]] std::string why_no_uids() const;

    /// The ceilings that the options ask for and nothing holds on this machine, by their members:
    /// `memory_bytes`, `cpus`, `processes`, `io_bytes_per_s`.
    [[nodiscard]] std::vector<std::string> unheld_ceilings() const;

    [[nodiscard]] std::string url(const uuid& /*engine*/, std::uint16_t port) const;

    /// Whether nobody has bound the port on 127.0.0.1 or on all addresses, also without listening, and
    /// no other backend of the network namespace holds it. Holds it from then on, for five minutes or
    /// more if no engine is created with it. Makes a few system calls, does not block.
    [[nodiscard]] bool port_usable(std::uint16_t port) const;

    asio::awaitable<result<void>> create(const workload& requested);

    asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace);

    asio::awaitable<result<void>> pause(const workload_ref& ref);

    asio::awaitable<result<void>> resume(const workload_ref& ref);

    asio::awaitable<result<void>> destroy(const workload_ref& ref);

    /// Copies the data folder: files, folders and links, with owners, modes, times and extended
    /// attributes. Sockets, pipes and devices are left out, and a mounted folder is a failure.
    asio::awaitable<result<bool>> copy_data(const workload_ref& ref,
                                            std::optional<std::uint64_t> max_bytes);

    /// Moves the data folder to the trash, and the copy in its place. What this was interrupted in is
    /// ended by the next `create` too.
    asio::awaitable<result<void>> restore_data(const workload_ref& ref);

    asio::awaitable<result<void>> drop_copy(const workload_ref& ref);

    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string& key,
                                               const sha256_digest& next);

    asio::awaitable<result<health>> probe(const workload_ref& ref, duration timeout);

    /// Lists every engine that has a data folder or a workload folder. Starts to watch engines that
    /// run unwatched.
    asio::awaitable<result<std::vector<found_workload>>> list();

    /// The last lines of stdout and stderr, at most `log_tail_bytes` bytes, as the engine wrote
    /// them: they need not be UTF-8.
    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t tail);

    /// The last lines that this generation of the workload wrote. Like `logs` for a workload that
    /// another backend started.
    asio::awaitable<result<std::string>> boot_logs(const workload_ref& ref, std::size_t tail);

    /// Opens the output of all of the engine's workloads so far. It is followed to the end of the
    /// one that runs. `since` is exact to about a second for what was written in the last quarter of
    /// an hour, and while this backend watched the engine; else there may be more than was asked for.
    asio::awaitable<result<log_source_ptr>> open_logs(const workload_ref& ref,
                                                      const log_query& query);

    /// Replaces the handler, and waits for a call of the earlier one that is under way. The handler
    /// runs on `executor`, with no lock held. It must not throw, and should return soon: no other
    /// operation on processes goes on meanwhile. It may destroy the backend.
    void on_exit(std::function<void(const workload_exit&)> handler);

private:
    asio::awaitable<result<void>> do_create(const workload& requested);

    /// Finds the user that an engine is to run as, and gives it the engine's data folder, if that
    /// exists. 0: this program's.
    asio::awaitable<result<uid_t>> own_data_folder(const uuid& engine);

    /// What was left to its owner, in words.
    static asio::awaitable<result<std::string>> change_owner(std::string folder,
                                                             uid_range of_engines, uid_t uid);

    /// Not a coroutine, so that a cancellation cannot come between the launch and the watch.
    result<void> start(const workload& requested, uid_t uid);

    asio::awaitable<result<void>> do_stop(const workload_ref& ref, duration grace);

    asio::awaitable<result<void>> do_pause(const workload_ref& ref, bool paused);

    asio::awaitable<result<void>> do_destroy(const workload_ref& ref);

    asio::awaitable<result<void>> remove_folder_of(const uuid& engine);

    /// Moves an engine's folder out of `parent` to the trash, or removes it where it is.
    asio::awaitable<result<void>> take_away(std::string parent, uuid engine);

    asio::awaitable<result<bool>> do_copy_data(workload_ref ref,
                                               std::optional<std::uint64_t> max_bytes);

    asio::awaitable<result<bool>> copy_folder_of(uuid engine,
                                                 std::optional<std::uint64_t> max_bytes);

    asio::awaitable<result<bool>> copy_tree(std::string from, std::string to,
                                            std::optional<std::uint64_t> max_bytes);

    asio::awaitable<result<void>> do_restore_data(workload_ref ref);

    asio::awaitable<result<void>> restore_folder_of(uuid engine);

    asio::awaitable<result<void>> remove_copies_of(uuid engine);

    asio::awaitable<result<void>> do_drop_copy(workload_ref ref);

    /// Fails if the engine runs. On the strand, like `settle`, which it begins with.
    asio::awaitable<result<void>> require_ended(uuid engine);

    /// Removes what a user has in shared memory. Nothing is done for 0.
    asio::awaitable<result<void>> remove_shared_memory(uid_t uid);

    asio::awaitable<result<key_swap>> do_swap_key(const workload_ref& ref, const std::string& key,
                                                  const sha256_digest& next);

    asio::awaitable<result<health>> do_probe(const workload_ref& ref, duration timeout);

    /// `answered`: somebody has just answered there.
    asio::awaitable<result<void>> check_port(const workload_ref& ref, bool answered);

    asio::awaitable<result<std::string>> do_boot_logs(const workload_ref& ref, std::size_t tail);

    asio::awaitable<result<log_source_ptr>> do_open_logs(workload_ref ref, log_query query);

    asio::awaitable<result<std::string>> read_output(uuid engine, std::size_t tail,
                                                     detail::subprocess::log_position start);

    asio::awaitable<result<std::vector<found_workload>>> do_list();

    asio::awaitable<result<std::vector<detail::subprocess::engine_folder>>> read_engines();

    /// Adopts an engine's process if there is one. On the strand.
    result<found_workload>
    look_at(const uuid& engine,
            const std::optional<detail::subprocess::process_identity>& identity);

    static workload_state state_of(detail::subprocess::process_watch& watched);

    std::shared_ptr<detail::subprocess::supervisor> supervisor_;
};

static_assert(separates_boot_logs<subprocess_backend> && opens_logs<subprocess_backend> &&
              holds_limits<subprocess_backend> && copies_data<subprocess_backend>);

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/backend/subprocess.ipp>
#include <roundhouse/backend/subprocess_copies.ipp>
#endif

#pragma once

#include <roundhouse/backend/subprocess/data_copies.hpp>
#include <roundhouse/backend/subprocess/engine_logs.hpp>
#include <roundhouse/backend/subprocess/engine_uids.hpp>
#include <roundhouse/backend/subprocess/growing_waits.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/identity_checks.hpp>
#include <roundhouse/backend/subprocess/isolation.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/orphans.hpp>
#include <roundhouse/backend/subprocess/output_starts.hpp>
#include <roundhouse/backend/subprocess/port_locks.hpp>
#include <roundhouse/backend/subprocess/port_owner.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_watch.hpp>
#include <roundhouse/backend/subprocess/second_ports.hpp>
#include <roundhouse/backend/subprocess/take_over.hpp>
#include <roundhouse/backend/subprocess/trash.hpp>
#include <roundhouse/backend/subprocess/unended.hpp>
#include <roundhouse/backend/subprocess/workload_processes.hpp>
#include <roundhouse/detail/replaceable_handler.hpp>
#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/dispatch.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>
#include <sys/file.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// Watches the process that leads each engine, and ends it with all other processes of the engine.
///
/// Its coroutines and its data belong to its strand. One coroutine watches each process, from its
/// launch or its adoption until the leader has ended, the rest of the session has been ended and
/// the zombie has been reaped; so a stop that is cancelled half-way leaves no process behind. Held
/// by shared_ptr, because the watches outlive the backend until their cancellation is complete.
class supervisor : public std::enable_shared_from_this<supervisor> {
public:
    supervisor(const asio::any_io_executor& executor, subprocess_options options,
               subprocess::isolation reached)
        : options_{std::move(options)},
          isolation_{std::move(reached)},
          engines_{(options_.store_path / "engines").string()},
          workloads_{(options_.store_path / "workloads").string()},
          boot_id_{read_boot_id()},
          executor_{executor},
          strand_{asio::make_strand(executor)},
          removals_{asio::make_strand(executor)},
          copying_{asio::make_strand(executor)},
          processes_{executor, options_.kill_timeout, isolation_.uids(), isolation_.cgroups(),
                     store_mark(engines_)},
          logs_{std::make_shared<engine_logs>(executor, workloads_, options_.log_limit_bytes,
                                              options_.log_tail_bytes, options_.log)},
          trash_{options_.store_path.string(), options_.log},
          copies_{engines_},
          ports_{options_.log, isolation_.uids()},
          uids_{engines_, workloads_, isolation_.uids()},
          unended_{options_.log},
          second_ports_{executor, isolation_.is_on() ? options_.ports : port_range{}, unended_},
          orphans_{options_.ends_orphans, options_.kill_timeout, unended_},
          log_timer_{strand_} {}

    [[nodiscard]] const subprocess_options& options() const noexcept { return options_; }
    [[nodiscard]] const std::string& engines() const noexcept { return engines_; }
    [[nodiscard]] const std::string& boot_id() const noexcept { return boot_id_; }
    [[nodiscard]] const asio::any_io_executor& strand() const noexcept { return strand_; }
    [[nodiscard]] asio::any_io_executor own_strand() const { return asio::make_strand(executor_); }
    /// Of all `gradual_removal`s.
    [[nodiscard]] const asio::any_io_executor& removals() const noexcept { return removals_; }
    /// Of all `tree_copy`s, which may wait for the disk longer than removals do.
    [[nodiscard]] const asio::any_io_executor& copying() const noexcept { return copying_; }
    [[nodiscard]] const std::string& workloads() const noexcept { return workloads_; }
    /// The engine's data folder.
    [[nodiscard]] std::string folder_of(const uuid& engine) const {
        return engines_ + '/' + to_string(engine);
    }
    /// What is kept of the engine's workloads where the engine cannot write: identity and output.
    [[nodiscard]] std::string workload_folder_of(const uuid& engine) const {
        return workloads_ + '/' + to_string(engine);
    }
    /// What the identity file of an engine says. What lies in its place is told in the log.
    [[nodiscard]] result<std::optional<process_identity>> identity_of(const uuid& engine) const {
        return read_identity(workload_folder_of(engine) + '/' + identity_name, engine,
                             logs_->refused());
    }
    /// A file that every process between fork and exec keeps locked.
    [[nodiscard]] std::string launch_lock() const {
        return options_.store_path.string() + "/launch-lock";
    }

    /// From any thread: whether `settle` has succeeded, so that there is a folder of workloads.
    [[nodiscard]] bool settled() const noexcept { return settled_; }

    [[nodiscard]] engine_logs& logs() const noexcept { return *logs_; }
    [[nodiscard]] subprocess::trash& trash() noexcept { return trash_; }
    [[nodiscard]] const data_copies& copies() const noexcept { return copies_; }
    [[nodiscard]] const subprocess::isolation& isolation() const noexcept { return isolation_; }
    /// The ports of the engines that run or are about to. From any thread.
    [[nodiscard]] port_locks& ports() noexcept { return ports_; }

    /// From any thread. The handler is called on the strand, with no lock held.
    void on_exit(std::function<void(const workload_exit&)> handler) {
        exit_handler_.set(std::move(handler));
    }

    /// Ends the watches, the timers and the removal of folders, gives the ports back, and leaves the
    /// engines alone. Neither the handler nor the log is called once this has returned. From any
    /// thread, also from inside an exit handler.
    void close() {
        on_exit({});
        ports_.close();
        trash_.close();
        logs_->refused().close();
        unended_.close();
        isolation_.cgroups().remove_own(); // now: the next backend on the store uses them too
        asio::dispatch(strand_, [self = shared_from_this()] {
            self->closed_ = true;
            self->orphans_.close();
            self->log_timer_.cancel();
            self->logs_->close();
            const auto watches = std::exchange(self->watches_, {});
            for (const auto& [engine, watch] : watches)
                watch->cancel.emit(asio::cancellation_type::terminal);
        });
    }

    // The members below are called on the strand only.

    /// Waits until no launch is under way that an earlier orchestrator began: until then the
    /// identity of an engine may still be about to be written. Takes a store of 0.1.0 over then.
    asio::awaitable<result<void>> settle() {
        if (settled_) co_return result<void>{};
        const auto path = launch_lock();
        const auto lock = open_regular(path, O_RDWR | O_CREAT);
        if (!lock) co_return not_opened(path, errno);
        growing_waits waits{strand_, std::chrono::steady_clock::now() + options_.launch_timeout};
        while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK && errno != EINTR) co_return failed(path, errno);
            auto waiting = waits.next();
            if (!co_await std::move(waiting))
                co_return fail(errc::backend_error, path + ": a start begun earlier does not end");
        }
        if (auto taken = take_over(engines_, workloads_, boot_id_); !taken) co_return taken;
        auto marked = uids_.mark_all();
        settled_ = marked.has_value();
        co_return marked;
    }

    /// The users of the engines.
    [[nodiscard]] engine_uids& uids() noexcept { return uids_; }

    /// The watch over an engine's process, which is adopted if it is not watched yet. Null if none
    /// runs.
    [[nodiscard]] result<watch_ptr> find(const uuid& engine) {
        if (const auto known = watches_.find(engine); known != watches_.end()) return known->second;
        const auto identity = identity_of(engine);
        if (!identity) return unexpected{identity.error()};
        if (!*identity) return nullptr;
        return adopt(engine, **identity);
    }

    /// Watches the process that an identity names. Null if that process has ended.
    [[nodiscard]] result<watch_ptr> adopt(const uuid& engine, const process_identity& identity) {
        if (const auto known = watches_.find(engine); known != watches_.end()) return known->second;
        auto pidfd = open_identified(identity, boot_id_);
        if (!pidfd) return unexpected{pidfd.error()};
        if (!*pidfd) return nullptr;
        if (watched_pids_.contains(identity.pid)) return nullptr; // another engine's
        const bool ended = has_ended(pidfd->get());
        const workload_ref ref{
            .engine_id = engine, .generation = identity.generation, .port = identity.port};
        const auto uid = uids_.is_usable(identity.uid) ? identity.uid : 0;
        auto watched = watch(ref, identity.owner, uid, identity.pid, std::move(*pidfd),
                             isolation_.cgroups().out_of_memory_kills(engine));
        // The exit of a zombie is not reported. It is watched so that the rest of its session is
        // ended.
        if (watched) (*watched)->leader_ended = (*watched)->asked = ended;
        if (watched && !ended) ports_.keep_running(ref);
        return watched;
    }

    /// Starts to watch a process. Fails if `pidfd` could not be opened, with the cause in errno.
    /// `kills` are the `out_of_memory_kills` that do not count.
    [[nodiscard]] result<watch_ptr> watch(const workload_ref& ref, const engine_owner& owner,
                                          uid_t uid, pid_t pid, descriptor pidfd,
                                          std::uint64_t kills) {
        if (!pidfd) return failed("cannot watch process " + std::to_string(pid), errno);
        watch_ptr made;
        try {
            made = std::make_shared<process_watch>(strand_, ref, owner, uid, pid, std::move(pidfd));
        } catch (const std::system_error& problem) { // the reactor takes no more descriptors
            return failed("cannot watch process " + std::to_string(pid), problem.code().value());
        }
        made->out_of_memory_kills = kills;
        watches_.insert_or_assign(ref.engine_id, made);
        watched_pids_.insert(pid);
        auto watching = run(made);
        // The coroutine may still use its cancellation state, which is in the watch, while it is
        // destroyed.
        auto finish = [made, on = strand_](const std::exception_ptr&) {
            asio::post(on, [made] {});
        };
        asio::co_spawn(strand_, std::move(watching),
                       asio::bind_cancellation_slot(made->cancel.slot(), std::move(finish)));
        if (!std::exchange(logs_are_kept_, true)) {
            auto keeping = keep_logs();
            asio::co_spawn(strand_, std::move(keeping), asio::detached);
        }
        return made;
    }

    /// Ends every process of an engine, of any generation: SIGTERM, up to `grace`, SIGKILL.
    /// Succeeds if there is none. The exit is not reported.
    asio::awaitable<result<void>> end(const uuid& engine, duration grace) {
        const auto found = find(engine);
        if (!found) co_return unexpected{found.error()};
        const watch_ptr watched = *found;
        const auto deadline = std::chrono::steady_clock::now() + grace;
        if (!watched) {
            auto ending = processes_.end_unwatched({.engine = engine,
                                                    .session = last_session_of(engine),
                                                    .held = false,
                                                    .uid = unwatched_uid_of(engine)},
                                                   deadline);
            const auto ended = co_await std::move(ending);
            if (!ended) co_return ended;
            auto removing = processes_.remove_group(engine);
            co_await std::move(removing);
            co_return ended;
        }
        watched->asked = true;
        watched->deadline = deadline; // the last caller's
        if (!watched->leader_ended) {
            auto asking = processes_.signal_all(watched, SIGTERM);
            const auto asked = co_await std::move(asking);
            if (!asked) co_return asked;
        }
        auto within_grace = wait_for_all(watched, deadline);
        if (co_await std::move(within_grace)) co_return watched->outcome;
        auto killing = processes_.signal_all(watched, SIGKILL);
        const auto signalled = co_await std::move(killing);
        if (!signalled) co_return signalled;
        // The watch itself gives up after the same time.
        const auto limit = std::chrono::steady_clock::now() + options_.kill_timeout +
                           options_.pause_timeout;
        auto killed = wait_for_all(watched, limit);
        if (co_await std::move(killed)) co_return watched->outcome;
        co_return workload_processes::stuck(engine, {leader_of(*watched)}, "end");
    }

    /// Sees that no stranger answers in place of an engine: fails with `port_taken` if another
    /// process listens on its port. If nobody listens, succeeds unless somebody has `answered` there.
    /// Succeeds if isolation is off, and if the kernel does not tell who it is, unless isolation is
    /// required.
    asio::awaitable<result<void>> check_port(const uuid& engine, std::uint16_t port,
                                             bool answered) {
        if (!isolation_.is_on()) co_return result<void>{};
        const auto found = find_listener(port);
        if (!found) co_return result<void>{}; // what cannot be asked is told at the start
        if (!*found && !answered) co_return result<void>{};
        if (!*found)
            co_return fail(errc::backend_error, "port " + std::to_string(port) +
                                                    ": who answered does not listen any more");
        const auto present = find(engine);
        if (!present) co_return unexpected{present.error()};
        const watch_ptr watched = *present;
        auto checking = processes_.check_listener(watched, **found, port,
                                                  options_.isolation != isolation_mode::required);
        co_return co_await std::move(checking);
    }

    /// Pauses or resumes every process of an engine, as `workload_processes` does.
    asio::awaitable<result<void>> set_paused(const uuid& engine, bool paused) {
        const auto found = find(engine);
        if (!found) co_return unexpected{found.error()};
        const watch_ptr watched = *found;
        if (!watched || has_ended(watched->pidfd()))
            co_return fail(errc::backend_error,
                           "engine " + to_string(engine) + ": no process runs it");
        auto pausing = processes_.set_paused(watched, paused, options_.pause_timeout);
        co_return co_await std::move(pausing);
    }

    /// Ends what is left of engines that have a control group and are not watched: those that an
    /// earlier program left, and that the list of engines has not found. To be called after that.
    asio::awaitable<void> end_leftovers() {
        if (std::exchange(leftovers_ended_, true)) co_return;
        for (const auto& engine : isolation_.cgroups().engines()) {
            if (watches_.contains(engine) || isolation_.cgroups().remove(engine)) continue;
            auto ending = end(engine, duration{0});
            const auto ended = co_await std::move(ending);
            if (ended) continue;
            leftovers_ended_ = false; // the next list tries again, and the engine's next start
            unended_.tell("what is left of an engine cannot be ended", ended.error().message);
        }
    }

    /// Where the output of each engine's last launch begins.
    [[nodiscard]] output_starts& launches() noexcept { return output_starts_; }

private:
    /// Watches one process until nothing of its workload is left, or the supervisor is closed.
    asio::awaitable<void> run(watch_ptr watched) {
        const auto self = shared_from_this();
        // The reactor may wake the wait spuriously, for an event of an earlier owner of this
        // descriptor's number.
        do {
            asio::error_code closed;
            co_await watched->stream.async_wait(asio::posix::stream_descriptor::wait_read,
                                                asio::redirect_error(asio::use_awaitable, closed));
            if (closed) co_return;
        } while (!has_ended(watched->pidfd()));
        watched->leader_ended = true;
        if (!watched->asked) {
            watched->asked = true;
            watched->deadline = std::chrono::steady_clock::now();
            workload_processes::signal_group(*watched, SIGKILL);
            exit_handler_(exit_of(*watched, isolation_.cgroups()));
        }
        auto ending = processes_.end_rest(watched);
        watched->outcome = co_await std::move(ending);
        auto sweeping = orphans_.sweep(running(), processes_);
        co_await std::move(sweeping);
        if (watched->outcome) {
            auto removing = processes_.remove_group(watched->ref.engine_id);
            co_await std::move(removing);
        }
        // Up to here the zombie has kept the number of the session from being reused.
        reap(watched->pidfd());
        forget(watched);
    }

    [[nodiscard]] running_workloads running() const {
        return {watches_, watched_pids_, isolation_.cgroups()};
    }

    /// The last session of an engine that has no leader, or 0. Its number may have been reused.
    [[nodiscard]] pid_t last_session_of(const uuid& engine) const {
        const auto identity = identity_of(engine);
        return identity && *identity && (*identity)->boot_id == boot_id_ ? (*identity)->pid : 0;
    }

    /// The user of an engine that has no leader; 0 if another engine, which runs, has it.
    [[nodiscard]] uid_t unwatched_uid_of(const uuid& engine) const {
        const auto uid = uids_.of(engine);
        for (const auto& [other, watched] : watches_)
            if (watched->uid == uid) return 0;
        return uid;
    }

    void forget(const watch_ptr& watched) {
        watched->ended = true;
        ports_.release(watched->ref.port, watched->ref.engine_id);
        logs_->ended(watched->ref.engine_id);
        for (const auto& waiting : watched->waiting)
            if (const auto timer = waiting.lock()) timer->cancel();
        const auto known = watches_.find(watched->ref.engine_id);
        if (known != watches_.end() && known->second == watched) watches_.erase(known);
        watched_pids_.erase(watched_pids_.find(watched->pid));
        if (watches_.empty()) log_timer_.cancel();
    }

    /// Has the logs looked at from time to time while any engine is watched, and sees where engines
    /// listen and what they have left behind.
    asio::awaitable<void> keep_logs() {
        const auto self = shared_from_this();
        while (!closed_ && (!watches_.empty() || orphans_.finds_any(running()))) {
            log_timer_.expires_after(options_.log_check_interval);
            asio::error_code cancelled; // by the last engine's end, or by close()
            co_await log_timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
            if (closed_) break; // the engines are left alone
            std::vector<uuid> engines;
            for (const auto& [engine, watched] : watches_) engines.push_back(engine);
            const auto launches = output_starts_.count();
            auto looking = logs_->look(std::move(engines));
            auto elsewhere = run_on(logs_->strand(), std::move(looking));
            const auto rotated = co_await std::move(elsewhere);
            for (const auto& [engine, rotation] : rotated)
                output_starts_.rotated(engine, rotation, launches);
            std::vector<watch_ptr> watches;
            for (const auto& [engine, watched] : watches_) watches.push_back(watched);
            auto looking_at_ports = second_ports_.look(std::move(watches), processes_);
            co_await std::move(looking_at_ports);
            auto sweeping = orphans_.sweep(running(), processes_);
            co_await std::move(sweeping);
        }
        logs_are_kept_ = false;
    }

    const subprocess_options options_;
    const subprocess::isolation isolation_;
    const std::string engines_;
    const std::string workloads_;
    const std::string boot_id_;
    const asio::any_io_executor executor_;
    const asio::any_io_executor strand_;
    const asio::any_io_executor removals_;
    const asio::any_io_executor copying_;
    workload_processes processes_;
    const std::shared_ptr<engine_logs> logs_;
    subprocess::trash trash_;
    const data_copies copies_;
    replaceable_handler<workload_exit> exit_handler_;
    port_locks ports_;
    std::atomic<bool> settled_{false}; ///< Written on the strand only.

    // Used on the strand only.
    std::unordered_map<uuid, watch_ptr> watches_;
    /// Twice if a number was reused before the rest of its earlier session had ended.
    std::unordered_multiset<pid_t> watched_pids_;
    engine_uids uids_;
    unended_processes unended_;
    subprocess::second_ports second_ports_;
    orphan_sweeper orphans_;
    output_starts output_starts_;
    asio::steady_timer log_timer_;
    bool logs_are_kept_ = false;
    bool leftovers_ended_ = false;
    bool closed_ = false;
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

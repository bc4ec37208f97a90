#pragma once

#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/launch.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_watch.hpp>
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

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// Knows which process leads each engine, watches it, and ends it with all that belongs to it.
///
/// Its coroutines and all its data belong to its strand. Each process has one coroutine that
/// watches it, from its start or its adoption until the leader has ended, the rest of the session
/// has been ended, and the zombie is reaped; so a stop that is given up half-way leaves nothing
/// undone. Held by shared_ptr: the watches outlive the backend for the moment that their
/// cancellation takes.
class supervisor : public std::enable_shared_from_this<supervisor> {
public:
    using exit_handler = std::function<void(const workload_exit&)>;

    supervisor(const asio::any_io_executor& executor, subprocess_options options)
        : options_{std::move(options)},
          engines_{(options_.store_path / "engines").string()},
          boot_id_{read_boot_id()},
          executor_{executor},
          strand_{asio::make_strand(executor)},
          processes_{executor, options_.kill_timeout},
          log_timer_{strand_} {}

    [[nodiscard]] const subprocess_options& options() const noexcept { return options_; }
    [[nodiscard]] const std::string& engines() const noexcept { return engines_; }
    [[nodiscard]] const std::string& boot_id() const noexcept { return boot_id_; }
    [[nodiscard]] const asio::any_io_executor& strand() const noexcept { return strand_; }
    [[nodiscard]] asio::any_io_executor own_strand() const { return asio::make_strand(executor_); }
    [[nodiscard]] std::string folder_of(const uuid& engine) const {
        return engines_ + '/' + to_string(engine);
    }
    /// Kept locked by whatever is between fork and exec.
    [[nodiscard]] std::string launch_lock() const {
        return options_.store_path.string() + "/launch-lock";
    }

    /// From any thread.
    void on_exit(exit_handler handler) { exit_handler_.set(std::move(handler)); }

    /// Ends the watches and timers, and leaves the engines alone. No handler is called once this
    /// has returned. From any thread, also from inside an exit handler.
    void close() {
        on_exit({});
        asio::dispatch(strand_, [self = shared_from_this()] {
            self->closed_ = true;
            self->log_timer_.cancel();
            const auto watches = std::exchange(self->watches_, {});
            for (const auto& [engine, watch] : watches)
                watch->cancel.emit(asio::cancellation_type::terminal);
        });
    }

    // All below: on the strand only.

    /// Waits until no start is under way that an orchestrator before this one had begun: until then
    /// an engine's identity may still be about to be written.
    asio::awaitable<result<void>> settle() {
        if (settled_) co_return result<void>{};
        const auto path = launch_lock();
        const auto lock = open_regular(path, O_RDWR | O_CREAT);
        if (!lock) co_return failed(path, errno);
        const auto until = std::chrono::steady_clock::now() + options_.launch_timeout;
        asio::steady_timer timer{strand_};
        while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK && errno != EINTR) co_return failed(path, errno);
            if (std::chrono::steady_clock::now() >= until) {
                co_return fail(errc::backend_error, path + ": a start begun earlier does not end");
            }
            timer.expires_after(std::chrono::milliseconds{1});
            co_await timer.async_wait(asio::use_awaitable);
        }
        settled_ = true;
        co_return result<void>{};
    }

    /// The watch over an engine's process; adopts one that runs unwatched. Null if none runs.
    [[nodiscard]] result<watch_ptr> find(const uuid& engine) {
        if (const auto known = watches_.find(engine); known != watches_.end()) return known->second;
        const auto identity = read_identity(folder_of(engine));
        if (!identity) return unexpected{identity.error()};
        if (!*identity) return nullptr;
        return adopt(engine, **identity);
    }

    /// Watches the process of an identity, if there still is one. Null if not.
    [[nodiscard]] result<watch_ptr> adopt(const uuid& engine, const process_identity& identity) {
        if (const auto known = watches_.find(engine); known != watches_.end()) return known->second;
        if (identity.boot_id != boot_id_) return nullptr;
        auto pidfd = open_pidfd(identity.pid);
        if (!pidfd) {
            if (errno == ESRCH || errno == EINVAL)
                return nullptr; // EINVAL: the number is a thread's now
            return failed("cannot watch process " + std::to_string(identity.pid), errno);
        }
        // In this order: who has the pid now, and started then, had it when the pidfd was opened.
        const auto stat = read_process_stat(identity.pid);
        if (!stat || stat->start_time != identity.start_time) return nullptr;
        const bool ended = has_ended(pidfd.get());
        const workload_ref ref{
            .engine_id = engine, .generation = identity.generation, .port = identity.port};
        auto watched = watch(ref, identity.owner, identity.pid, std::move(pidfd));
        // A zombie is nobody's news; it is watched so that what is left of its session is ended.
        if (watched) (*watched)->leader_ended = (*watched)->asked = ended;
        return watched;
    }

    /// Watches a process from now on.
    [[nodiscard]] result<watch_ptr> watch(const workload_ref& ref, const engine_owner& owner,
                                          pid_t pid, descriptor pidfd) {
        watch_ptr made;
        try {
            made = std::make_shared<process_watch>(strand_, ref, owner, pid, std::move(pidfd));
        } catch (const std::system_error& problem) { // the reactor takes no more descriptors
            return failed("cannot watch process " + std::to_string(pid), problem.code().value());
        }
        watches_.insert_or_assign(ref.engine_id, made);
        auto watching = run(made);
        // The coroutine may still look at its cancellation state, which is in the watch, on its way
        // out.
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

    /// Ends every process of an engine, whatever its generation: SIGTERM, up to `grace`, SIGKILL.
    /// Succeeds when there is none. The end is not reported.
    asio::awaitable<result<void>> end(const uuid& engine, duration grace) {
        const auto found = find(engine);
        if (!found) co_return unexpected{found.error()};
        const watch_ptr watched = *found;
        const auto deadline = std::chrono::steady_clock::now() + grace;
        if (!watched) {
            auto ending = processes_.end_unwatched(engine, last_session_of(engine), deadline);
            co_return co_await std::move(ending);
        }
        watched->asked = true;
        watched->deadline = deadline; // of the last who asked
        if (!watched->leader_ended) {
            auto asking = processes_.signal_all(watched, SIGTERM);
            const auto asked = co_await std::move(asking);
            if (!asked) co_return asked;
        }
        auto within_grace = wait_for_all(watched, deadline);
        if (co_await std::move(within_grace)) co_return watched->outcome;
        auto killing = processes_.signal_all(watched, SIGKILL);
        const auto told = co_await std::move(killing);
        if (!told) co_return told;
        // The watch itself gives up after the same time.
        const auto limit = std::chrono::steady_clock::now() + options_.kill_timeout +
                           options_.pause_timeout;
        auto killed = wait_for_all(watched, limit);
        if (co_await std::move(killed)) co_return watched->outcome;
        co_return fail(errc::backend_error, "process " + std::to_string(watched->pid) +
                                                " of engine " + to_string(engine) +
                                                " does not end after SIGKILL");
    }

    /// Pauses or resumes every process of an engine, and waits until /proc shows it.
    asio::awaitable<result<void>> set_paused(const uuid& engine, bool paused) {
        const auto found = find(engine);
        if (!found) co_return unexpected{found.error()};
        const watch_ptr watched = *found;
        const auto name = "engine " + to_string(engine);
        if (!watched || has_ended(watched->pidfd()))
            co_return fail(errc::backend_error, name + ": no process runs it");
        const auto until = std::chrono::steady_clock::now() + options_.pause_timeout;
        asio::steady_timer timer{strand_};
        constexpr duration most_wait{32};
        for (duration wait{1};; wait = std::min(wait * 2, most_wait)) {
            auto telling = processes_.signal_others(watched, paused);
            const auto left = co_await std::move(telling);
            if (!left) co_return unexpected{left.error()};
            if (has_ended(watched->pidfd()))
                co_return fail(errc::backend_error, name + ": its process has ended");
            if (*left == 0) co_return result<void>{};
            if (std::chrono::steady_clock::now() >= until) break;
            timer.expires_after(wait);
            co_await timer.async_wait(asio::use_awaitable);
            // Who has called vfork cannot stop before the child has called exec, which it does not
            // if it has been stopped first: let them get past that.
            if (!paused || wait < most_wait) continue;
            auto onward = processes_.signal_all(watched, SIGCONT);
            const auto said = co_await std::move(onward);
            if (!said) co_return said;
        }
        auto back = processes_.signal_all(watched, SIGCONT); // better all awake than half of it
        const auto said = co_await std::move(back);
        if (!said) co_return said;
        co_return fail(errc::backend_error,
                       name + ": its processes do not " + (paused ? "stop" : "continue"));
    }

private:
    /// The coroutine that watches one process. It ends early only when the supervisor is closed.
    asio::awaitable<void> run(watch_ptr watched) {
        const auto self = shared_from_this();
        // Asio may wake who waits for what an earlier owner of the descriptor's place was told.
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
            report(*watched);
        }
        auto ending = processes_.end_rest(watched);
        watched->outcome = co_await std::move(ending);
        // The zombie has kept the number of the session ours until here.
        reap(watched->pidfd());
        forget(watched);
    }

    /// The session that an engine which has no leader had, or 0. The number may be another's by
    /// now.
    [[nodiscard]] pid_t last_session_of(const uuid& engine) const {
        const auto identity = read_identity(folder_of(engine));
        return identity && *identity && (*identity)->boot_id == boot_id_ ? (*identity)->pid : 0;
    }

    void forget(const watch_ptr& watched) {
        watched->ended = true;
        for (const auto& waiting : watched->waiting)
            if (const auto timer = waiting.lock()) timer->cancel();
        const auto known = watches_.find(watched->ref.engine_id);
        if (known != watches_.end() && known->second == watched) watches_.erase(known);
        if (watches_.empty()) log_timer_.cancel();
    }

    void report(process_watch& watched) {
        workload_exit ended{.ref = watched.ref,
                            .owner = watched.owner,
                            .exit_code = {},
                            .signal = {},
                            .out_of_memory = false};
        if (const auto how = look_at_exit(watched.pidfd())) {
            ended.exit_code = how->code;
            ended.signal = how->signal;
        }
        exit_handler_(ended);
    }

    /// Keeps the logs of the engines within their bound for as long as there are any.
    asio::awaitable<void> keep_logs() {
        const auto self = shared_from_this();
        while (!closed_ && !watches_.empty()) {
            log_timer_.expires_after(options_.log_check_interval);
            asio::error_code woken; // when the last engine has ended, or the supervisor is closed
            co_await log_timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
            std::vector<std::string> folders;
            for (const auto& [engine, watched] : watches_) folders.push_back(folder_of(engine));
            auto bounding = bound_logs(folders);
            auto elsewhere = run_on(own_strand(), std::move(bounding));
            static_cast<void>(co_await std::move(elsewhere));
        }
        logs_are_kept_ = false;
    }

    asio::awaitable<std::size_t> bound_logs(const std::vector<std::string>& folders) {
        std::size_t begun_again = 0;
        for (const auto& folder : folders)
            begun_again += bound_log(folder, options_.log_limit_bytes) ? 1U : 0U;
        co_return begun_again;
    }

    const subprocess_options options_;
    const std::string engines_;
    const std::string boot_id_;
    const asio::any_io_executor executor_;
    const asio::any_io_executor strand_;
    workload_processes processes_;

    replaceable_handler<workload_exit> exit_handler_;

    // On the strand.
    std::unordered_map<uuid, watch_ptr> watches_;
    asio::steady_timer log_timer_;
    bool logs_are_kept_ = false;
    bool settled_ = false;
    bool closed_ = false;
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

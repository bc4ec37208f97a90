#pragma once

#include <roundhouse/detail/replaceable_handler.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// What a `memory_backend` is asked to do; for scripts.
enum class backend_operation : std::uint8_t {
    prepare,
    create,
    stop,
    pause,
    resume,
    destroy,
    swap_key,
    probe,
    list,
    logs
};

/// How a `memory_backend` behaves. The functions are called from any thread; empty ones do nothing.
struct memory_backend_script {
    duration latency{};      ///< Every operation but `probe` takes so long, in real time.
    duration prepare_time{}; ///< `prepare` takes so much longer, as a pull does.
    duration
        boot_delay{}; ///< A workload answers healthy so long after it was created, in real time.
    bool needs_port = false;
    /// An error makes the operation fail with it, before it has any effect.
    std::function<std::optional<error>(backend_operation, const workload_ref&)> fail = {};
    /// What an up and booted workload answers to a probe; healthy if empty.
    std::function<result<health>(const workload_ref&)> answer = {};
    /// What an up workload answers to a new key; `key_swap::done` if empty.
    std::function<result<key_swap>(const workload_ref&)> swap = {};
    std::function<bool(std::uint16_t)> port_usable = {}; ///< Always if empty.
    /// Why nothing can be done at present; says so, and no more.
    std::function<std::optional<std::string>()> trouble = {};
    std::function<std::string(const workload_ref&)> output = {}; ///< What `logs` answers.
};

/// Engines that are only remembered: for tests, simulations and benchmarks of what stands above a
/// backend. Thread-safe.
class memory_backend {
public:
    explicit memory_backend(memory_backend_script script = {}) : script_(std::move(script)) {}

    [[nodiscard]] std::string_view name() const noexcept { return "memory"; }
    [[nodiscard]] std::optional<std::string> trouble() const {
        return script_.trouble ? script_.trouble() : std::nullopt;
    }
    [[nodiscard]] bool needs_port() const noexcept { return script_.needs_port; }
    [[nodiscard]] bool port_usable(std::uint16_t port) const {
        return !script_.port_usable || script_.port_usable(port);
    }
    [[nodiscard]] std::string url(const uuid& engine, std::uint16_t port) const {
        if (port != 0) return "http://127.0.0.1:" + std::to_string(port);
        std::string out;
        out.reserve(32); // the whole of it
        out.append("http://engine-").append(short_id(engine)).append(":8000");
        return out;
    }

    asio::awaitable<result<void>> prepare(const workload& what) {
        auto waiting = wait(script_.prepare_time);
        co_await std::move(waiting);
        co_return co_await take_time(backend_operation::prepare, what.ref);
    }

    asio::awaitable<result<void>> create(const workload& what) {
        auto ok = co_await take_time(backend_operation::create, what.ref);
        if (!ok) co_return ok;
        const std::lock_guard lock(mutex_);
        auto& known = workloads_[what.ref.engine_id];
        if (known.state != workload_state::down && known.ref.generation > what.ref.generation)
            co_return roundhouse::fail(errc::backend_error,
                                       "A newer workload of this engine is up.");
        if (known.state != workload_state::down && known.ref.generation == what.ref.generation)
            co_return ok;
        known = {what.ref, what.owner, workload_state::up,
                 std::chrono::steady_clock::now() + script_.boot_delay};
        ++created_;
        co_return ok;
    }

    asio::awaitable<result<void>> stop(const workload_ref& what, duration) {
        co_return co_await set(backend_operation::stop, what, workload_state::down);
    }
    asio::awaitable<result<void>> pause(const workload_ref& what) {
        co_return co_await set(backend_operation::pause, what, workload_state::paused);
    }
    asio::awaitable<result<void>> resume(const workload_ref& what) {
        co_return co_await set(backend_operation::resume, what, workload_state::up);
    }

    asio::awaitable<result<void>> destroy(const workload_ref& what) {
        auto ok = co_await take_time(backend_operation::destroy, what);
        if (!ok) co_return ok;
        const std::lock_guard lock(mutex_);
        workloads_.erase(what.engine_id);
        co_return ok;
    }

    asio::awaitable<result<key_swap>> swap_key(const workload_ref& what, const std::string&,
                                               const sha256_digest&) {
        auto ok = co_await take_time(backend_operation::swap_key, what);
        if (!ok) co_return unexpected(std::move(ok.error()));
        if (state_of(what.engine_id) != workload_state::up) co_return key_swap::unknown;
        if (script_.swap) co_return script_.swap(what);
        co_return key_swap::done;
    }

    asio::awaitable<result<health>> probe(const workload_ref& what, duration) {
        if (auto error = scripted_failure(backend_operation::probe, what))
            co_return unexpected(std::move(*error));
        {
            const std::lock_guard lock(mutex_);
            const auto found = workloads_.find(what.engine_id);
            if (found == workloads_.end() || found->second.state != workload_state::up)
                co_return roundhouse::fail(errc::backend_error, "It is not up.");
            if (std::chrono::steady_clock::now() < found->second.healthy_at)
                co_return roundhouse::fail(errc::backend_error, "It is still booting.");
        }
        if (script_.answer) co_return script_.answer(what);
        co_return health{};
    }

    asio::awaitable<result<std::vector<found_workload>>> list() {
        const workload_ref all;
        auto ok = co_await take_time(backend_operation::list, all);
        if (!ok) co_return unexpected(std::move(ok.error()));
        std::vector<found_workload> out;
        const std::lock_guard lock(mutex_);
        for (const auto& [id, known] : workloads_)
            out.push_back({known.ref, known.state, true, known.owner});
        co_return out;
    }

    asio::awaitable<result<std::string>> logs(const workload_ref& what, std::size_t) {
        auto ok = co_await take_time(backend_operation::logs, what);
        if (!ok) co_return unexpected(std::move(ok.error()));
        co_return script_.output ? script_.output(what) : std::string();
    }

    void on_exit(std::function<void(const workload_exit&)> handler) {
        exit_handler_.set(std::move(handler));
    }

    void on_pause(std::function<void(const workload_pause&)> handler) {
        pause_handler_.set(std::move(handler));
    }

    /// Pauses or resumes a workload as somebody else would. Returns whether that changed anything.
    bool set_paused(const uuid& engine, bool paused) {
        workload_pause report;
        {
            const std::lock_guard lock(mutex_);
            const auto found = workloads_.find(engine);
            const auto before = paused ? workload_state::up : workload_state::paused;
            if (found == workloads_.end() || found->second.state != before) return false;
            found->second.state = paused ? workload_state::paused : workload_state::up;
            report = {found->second.ref, found->second.owner, paused};
        }
        pause_handler_(report);
        return true;
    }

    /// Ends a workload as if it had crashed. Returns whether it was up or paused.
    bool crash(const uuid& engine, int exit_code = 1) {
        workload_exit report;
        {
            const std::lock_guard lock(mutex_);
            const auto found = workloads_.find(engine);
            if (found == workloads_.end() || found->second.state == workload_state::down)
                return false;
            found->second.state = workload_state::down;
            report.ref = found->second.ref;
            report.owner = found->second.owner;
            report.exit_code = exit_code;
        }
        exit_handler_(report);
        return true;
    }

    /// How many workloads were ever made.
    [[nodiscard]] std::uint64_t created() const {
        const std::lock_guard lock(mutex_);
        return created_;
    }
    /// How many are up or paused.
    [[nodiscard]] std::size_t alive() const {
        const std::lock_guard lock(mutex_);
        std::size_t count = 0;
        for (const auto& [id, known] : workloads_)
            count += known.state != workload_state::down ? 1 : 0;
        return count;
    }
    [[nodiscard]] std::optional<workload_state> state_of(const uuid& engine) const {
        const std::lock_guard lock(mutex_);
        const auto found = workloads_.find(engine);
        if (found == workloads_.end()) return std::nullopt;
        return found->second.state;
    }

private:
    struct remembered {
        workload_ref ref;
        engine_owner owner;
        workload_state state = workload_state::down;
        std::chrono::steady_clock::time_point healthy_at;
    };

    std::optional<error> scripted_failure(backend_operation operation,
                                          const workload_ref& what) const {
        return script_.fail ? script_.fail(operation, what) : std::nullopt;
    }

    static asio::awaitable<void> wait(duration how_long) {
        if (how_long <= duration{0}) co_return;
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor);
        timer.expires_after(how_long);
        co_await timer.async_wait(asio::use_awaitable);
    }

    asio::awaitable<result<void>> take_time(backend_operation operation, const workload_ref& what) {
        auto waiting = wait(script_.latency);
        co_await std::move(waiting);
        if (auto error = scripted_failure(operation, what)) co_return unexpected(std::move(*error));
        co_return result<void>{};
    }

    asio::awaitable<result<void>> set(backend_operation operation, const workload_ref& what,
                                      workload_state state) {
        auto ok = co_await take_time(operation, what);
        if (!ok) co_return ok;
        const std::lock_guard lock(mutex_);
        const auto found = workloads_.find(what.engine_id);
        const bool there = found != workloads_.end() && found->second.state != workload_state::down;
        if (there) found->second.state = state;
        if (!there && state != workload_state::down)
            co_return roundhouse::fail(errc::backend_error, "It is not up.");
        co_return ok;
    }

    const memory_backend_script script_;
    mutable std::mutex mutex_;
    std::map<uuid, remembered> workloads_;
    std::uint64_t created_ = 0;
    detail::replaceable_handler<workload_exit> exit_handler_;
    detail::replaceable_handler<workload_pause> pause_handler_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

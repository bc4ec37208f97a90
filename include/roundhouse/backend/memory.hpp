#pragma once

#include <roundhouse/core/generation.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/replaceable_handler.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/optional_member.hpp>
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

/// The operations of a `memory_backend` that a script can make fail.
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
    logs ///< `boot_logs` too.
};

/// The behaviour of a `memory_backend`. The functions are called from any thread, with no lock
/// held; each may be empty.
struct memory_backend_script {
    duration latency{};      ///< Real time that every operation but `probe` takes.
    duration prepare_time{}; ///< Real time that `prepare` takes beyond that, as a pull does.
    duration boot_delay{};   ///< Real time from `create` until the workload answers healthy.
    bool needs_port = false;
    /// Returns an error to make the operation fail with it before it has any effect.
    std::function<std::optional<error>(backend_operation, const workload_ref&)> fail = {};
    /// The answer of a booted workload to a probe; healthy if empty.
    std::function<result<health>(const workload_ref&)> answer = {};
    /// The answer of a workload that is up to a new key. If empty, a workload takes the new key if
    /// it has the present one, and else its answer is `key_swap::unknown`.
    std::function<result<key_swap>(const workload_ref&)> swap = {};
    std::function<bool(std::uint16_t)> port_usable = {}; ///< If empty, every port is usable.
    /// The result of `trouble`. It has no effect on the operations.
    std::function<std::optional<std::string>()> trouble = {};
    std::function<std::string(const workload_ref&)> output = {}; ///< The result of `logs`.
    /// The result of `boot_logs`; that of `logs` if empty.
    std::function<std::string(const workload_ref&)> boot_output = {};
};

/// A backend whose workloads are only records in memory: for tests, simulations and benchmarks of
/// the layers above a backend. Thread-safe.
class memory_backend {
public:
    static constexpr auto optional_members = optional_member::prepare | optional_member::on_pause |
                                             optional_member::boot_logs;

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
        out.reserve(32); // the final size
        out.append("http://engine-").append(short_id(engine)).append(":8000");
        return out;
    }

    asio::awaitable<result<void>> prepare(const workload& requested) {
        auto waiting = wait(script_.prepare_time);
        co_await std::move(waiting);
        co_return co_await begin(backend_operation::prepare, requested.ref);
    }

    asio::awaitable<result<void>> create(const workload& requested) {
        auto begun = co_await begin(backend_operation::create, requested.ref);
        if (!begun) co_return begun;
        const std::lock_guard lock(mutex_);
        auto& present = workloads_[requested.ref.engine_id];
        const auto plan = core::plan_create(requested.ref, present.ref.generation, present.state);
        if (!plan) co_return unexpected(plan.error());
        if (*plan == core::create_plan::keep) co_return begun;
        present = {.ref = requested.ref,
                   .owner = requested.owner,
                   .key_hash = requested.key_hash,
                   .state = workload_state::up,
                   .healthy_at = std::chrono::steady_clock::now() + script_.boot_delay};
        ++created_;
        co_return begun;
    }

    asio::awaitable<result<void>> stop(const workload_ref& ref, duration /*grace*/) {
        co_return co_await set(backend_operation::stop, ref, workload_state::down);
    }
    asio::awaitable<result<void>> pause(const workload_ref& ref) {
        co_return co_await set(backend_operation::pause, ref, workload_state::paused);
    }
    asio::awaitable<result<void>> resume(const workload_ref& ref) {
        co_return co_await set(backend_operation::resume, ref, workload_state::up);
    }

    asio::awaitable<result<void>> destroy(const workload_ref& ref) {
        auto begun = co_await begin(backend_operation::destroy, ref);
        if (!begun) co_return begun;
        const std::lock_guard lock(mutex_);
        workloads_.erase(ref.engine_id);
        co_return begun;
    }

    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string& key,
                                               const sha256_digest& next) {
        auto begun = co_await begin(backend_operation::swap_key, ref);
        if (!begun) co_return unexpected(std::move(begun.error()));
        if (state_of(ref.engine_id) != workload_state::up) co_return key_swap::unknown;
        if (script_.swap) co_return script_.swap(ref);
        const auto present_hash = crypto::sha256(key);
        const std::lock_guard lock(mutex_);
        const auto found = workloads_.find(ref.engine_id);
        if (found == workloads_.end() || found->second.key_hash != present_hash)
            co_return key_swap::unknown;
        found->second.key_hash = next;
        co_return key_swap::done;
    }

    asio::awaitable<result<health>> probe(const workload_ref& ref, duration /*timeout*/) {
        if (auto failure = scripted_failure(backend_operation::probe, ref))
            co_return unexpected(std::move(*failure));
        {
            const std::lock_guard lock(mutex_);
            const auto found = workloads_.find(ref.engine_id);
            if (found == workloads_.end() || found->second.state != workload_state::up)
                co_return roundhouse::fail(errc::backend_error, "the workload is not up");
            if (std::chrono::steady_clock::now() < found->second.healthy_at)
                co_return roundhouse::fail(errc::backend_error, "the workload is still booting");
        }
        if (script_.answer) co_return script_.answer(ref);
        co_return health{};
    }

    asio::awaitable<result<std::vector<found_workload>>> list() {
        const workload_ref all_engines;
        auto begun = co_await begin(backend_operation::list, all_engines);
        if (!begun) co_return unexpected(std::move(begun.error()));
        std::vector<found_workload> found;
        const std::lock_guard lock(mutex_);
        for (const auto& [id, present] : workloads_)
            found.push_back({.ref = present.ref, .state = present.state, .owner = present.owner});
        co_return found;
    }

    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t /*tail*/) {
        auto begun = co_await begin(backend_operation::logs, ref);
        if (!begun) co_return unexpected(std::move(begun.error()));
        co_return script_.output ? script_.output(ref) : std::string();
    }

    asio::awaitable<result<std::string>> boot_logs(const workload_ref& ref, std::size_t tail) {
        if (!script_.boot_output) co_return co_await logs(ref, tail);
        auto begun = co_await begin(backend_operation::logs, ref);
        if (!begun) co_return unexpected(std::move(begun.error()));
        co_return script_.boot_output(ref);
    }

    /// Replaces the handler, and waits for calls of the earlier one that are under way.
    void on_exit(std::function<void(const workload_exit&)> handler) {
        exit_handler_.set(std::move(handler));
    }
    /// Replaces the handler, like `on_exit`.
    void on_pause(std::function<void(const workload_pause&)> handler) {
        pause_handler_.set(std::move(handler));
    }

    /// Pauses or resumes a workload without having been asked, and reports it from this thread.
    /// Returns false if the workload is not in the other state.
    bool set_paused(const uuid& engine, bool paused) {
        workload_pause report;
        {
            const std::lock_guard lock(mutex_);
            const auto found = workloads_.find(engine);
            const auto before = paused ? workload_state::up : workload_state::paused;
            if (found == workloads_.end() || found->second.state != before) return false;
            auto& present = found->second;
            present.state = paused ? workload_state::paused : workload_state::up;
            report = {present.ref, present.owner, paused};
        }
        pause_handler_(report);
        return true;
    }

    /// Ends a workload as a crash would, and reports it from this thread. Returns false if the
    /// workload is neither up nor paused.
    bool crash(const uuid& engine, int exit_code = 1) {
        workload_exit report;
        {
            const std::lock_guard lock(mutex_);
            const auto found = workloads_.find(engine);
            if (found == workloads_.end() || found->second.state == workload_state::down)
                return false;
            auto& present = found->second;
            present.state = workload_state::down;
            report.ref = present.ref;
            report.owner = present.owner;
            report.exit_code = exit_code;
        }
        exit_handler_(report);
        return true;
    }

    /// The number of workloads that were made since the start.
    [[nodiscard]] std::uint64_t created() const {
        const std::lock_guard lock(mutex_);
        return created_;
    }
    /// The number of workloads that are up or paused.
    [[nodiscard]] std::size_t alive() const {
        const std::lock_guard lock(mutex_);
        std::size_t count = 0;
        for (const auto& [id, present] : workloads_)
            count += present.state != workload_state::down ? 1 : 0;
        return count;
    }
    /// Empty if the engine has neither a workload nor data.
    [[nodiscard]] std::optional<workload_state> state_of(const uuid& engine) const {
        const std::lock_guard lock(mutex_);
        const auto found = workloads_.find(engine);
        if (found == workloads_.end()) return std::nullopt;
        return found->second.state;
    }

private:
    /// The last workload of an engine, and the engine's data as far as that is there.
    struct memory_workload {
        workload_ref ref;
        engine_owner owner{};
        sha256_digest key_hash{};
        workload_state state = workload_state::down;
        std::chrono::steady_clock::time_point healthy_at;
    };

    std::optional<error> scripted_failure(backend_operation operation,
                                          const workload_ref& ref) const {
        return script_.fail ? script_.fail(operation, ref) : std::nullopt;
    }

    static asio::awaitable<void> wait(duration span) {
        if (span <= duration{0}) co_return;
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor);
        timer.expires_after(span);
        co_await timer.async_wait(asio::use_awaitable);
    }

    /// Waits for the latency; then fails if the script says so.
    asio::awaitable<result<void>> begin(backend_operation operation, const workload_ref& ref) {
        auto waiting = wait(script_.latency);
        co_await std::move(waiting);
        if (auto failure = scripted_failure(operation, ref))
            co_return unexpected(std::move(*failure));
        co_return result<void>{};
    }

    asio::awaitable<result<void>> set(backend_operation operation, const workload_ref& ref,
                                      workload_state state) {
        auto begun = co_await begin(operation, ref);
        if (!begun) co_return begun;
        const std::lock_guard lock(mutex_);
        const auto found = workloads_.find(ref.engine_id);
        const bool alive = found != workloads_.end() && found->second.state != workload_state::down;
        if (alive) found->second.state = state;
        if (!alive && state != workload_state::down)
            co_return roundhouse::fail(errc::backend_error, "the workload is not up");
        co_return begun;
    }

    const memory_backend_script script_;
    mutable std::mutex mutex_;
    std::map<uuid, memory_workload> workloads_;
    std::uint64_t created_ = 0;
    detail::replaceable_handler<workload_exit> exit_handler_;
    detail::replaceable_handler<workload_pause> pause_handler_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

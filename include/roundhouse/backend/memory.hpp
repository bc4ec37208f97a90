#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/detail/replaceable_handler.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/optional_member.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {
class memory_output;
}

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
    logs, ///< `boot_logs` and `open_logs` too.
    copy_data,
    restore_data,
    drop_copy
};

/// The behaviour of a `memory_backend`. The functions are called from any thread, with no lock
/// held; each may be empty.
struct memory_backend_script {
    duration latency{};    ///< Real time that every operation but `probe` takes.
    duration boot_delay{}; ///< Real time from `create` until the workload answers healthy.
    bool needs_port = false;
    /// Real time that `prepare` takes beyond the latency, as a pull does; none if empty.
    std::function<duration(const workload&)> prepare_time = {};
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
    /// The result of `logs`; what was written to the workload's output if empty.
    std::function<std::string(const workload_ref&)> output = {};
    /// The result of `boot_logs`; that of `logs` if empty.
    std::function<std::string(const workload_ref&)> boot_output = {};
    /// The result of `limits`. Workloads are held to nothing.
    limit_support limits{.memory_mb = true, .cpus = true, .pids = true};
};

/// A backend whose workloads are only records in memory: for tests, simulations and benchmarks of
/// the layers above a backend. Thread-safe.
class memory_backend {
public:
    static constexpr auto optional_members = optional_member::prepare | optional_member::on_pause |
                                             optional_member::boot_logs |
                                             optional_member::open_logs | optional_member::limits |
                                             optional_member::data_copy;

    explicit memory_backend(memory_backend_script script = {}) : script_(std::move(script)) {}

    [[nodiscard]] std::string_view name() const noexcept { return "memory"; }
    [[nodiscard]] std::optional<std::string> trouble() const {
        return script_.trouble ? script_.trouble() : std::nullopt;
    }
    [[nodiscard]] limit_support limits() const { return script_.limits; }
    [[nodiscard]] bool needs_port() const noexcept { return script_.needs_port; }
    [[nodiscard]] bool port_usable(std::uint16_t port) const;
    [[nodiscard]] std::string url(const uuid& engine, std::uint16_t port) const {
        if (port != 0) return "http://127.0.0.1:" + std::to_string(port);
        std::string out;
        out.reserve(32); // the final size
        out.append(std::string_view("http://engine-"));
        out.append(short_id(engine)).append(std::string_view(":8000"));
        return out;
    }

    asio::awaitable<result<void>> prepare(const workload& requested);

    asio::awaitable<result<void>> create(const workload& requested);

    asio::awaitable<result<void>> stop(const workload_ref& ref, duration /*grace*/);
    asio::awaitable<result<void>> pause(const workload_ref& ref);
    asio::awaitable<result<void>> resume(const workload_ref& ref);

    asio::awaitable<result<void>> destroy(const workload_ref& ref);

    /// The data is what `write_data` wrote.
    asio::awaitable<result<bool>> copy_data(const workload_ref& ref,
                                            std::optional<std::uint64_t> max_bytes);
    asio::awaitable<result<void>> restore_data(const workload_ref& ref);
    asio::awaitable<result<void>> drop_copy(const workload_ref& ref);

    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string& key,
                                               const sha256_digest& next);

    asio::awaitable<result<health>> probe(const workload_ref& ref, duration /*timeout*/);

    asio::awaitable<result<std::vector<found_workload>>> list();

    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t tail);

    asio::awaitable<result<std::string>> boot_logs(const workload_ref& ref, std::size_t tail);

    /// Opens what was written to the workload's output; `since` is exact.
    asio::awaitable<result<log_source_ptr>> open_logs(const workload_ref& ref,
                                                      const log_query& query);

    /// Writes to the output of an engine, as its workload would. The last MiB is kept.
    void write_output(const uuid& engine, std::string_view text);

    /// Replaces the data of an engine, as its workload would. Returns false if the engine has neither
    /// a workload nor data.
    bool write_data(const uuid& engine, std::string text);
    /// What was written last; empty if nothing was, or if there is no data.
    [[nodiscard]] std::string data_of(const uuid& engine) const;
    /// Empty if there is no copy of the engine's data.
    [[nodiscard]] std::optional<std::string> copy_of(const uuid& engine) const;

    /// Replaces the handler, and waits for calls of the earlier one that are under way.
    void on_exit(std::function<void(const workload_exit&)> handler);
    /// Replaces the handler, like `on_exit`.
    void on_pause(std::function<void(const workload_pause&)> handler);

    /// Pauses or resumes a workload without having been asked, and reports it from this thread.
    /// Returns false if the workload is not in the other state.
    bool set_paused(const uuid& engine, bool paused);

    /// Ends a workload as a crash would, and reports it from this thread. Returns false if the
    /// workload is neither up nor paused.
    bool crash(const uuid& engine, int exit_code = 1);

    /// The number of workloads that were made since the start.
    [[nodiscard]] std::uint64_t created() const;
    /// The number of workloads that are up or paused.
    [[nodiscard]] std::size_t alive() const;
    /// Empty if the engine has neither a workload nor data.
    [[nodiscard]] std::optional<workload_state> state_of(const uuid& engine) const;
    /// The variables that the engine's last workload was given; none if it has no workload.
    [[nodiscard]] named_texts env_of(const uuid& engine) const;
    /// The ceilings that the engine's last workload was given.
    [[nodiscard]] engine_limits limits_of(const uuid& engine) const;

private:
    /// The last workload of an engine, and the engine's data as far as that is there.
    struct memory_workload {
        workload_ref ref;
        engine_owner owner{};
        sha256_digest key_hash{};
        named_texts env = {};
        engine_limits limits = {};
        workload_state state = workload_state::down;
        std::chrono::steady_clock::time_point healthy_at;
        /// Of all workloads of the engine; null if nobody wrote or asked for it.
        std::shared_ptr<detail::memory_output> output = {};
        std::string data = {}; ///< Of all workloads of the engine.
        std::optional<std::string> copy = std::nullopt;

        void put_down();
        detail::memory_output& own_output();
    };

    std::optional<error> scripted_failure(backend_operation operation,
                                          const workload_ref& ref) const;

    static asio::awaitable<void> wait(duration span);

    /// Waits for the latency; then fails if the script says so.
    asio::awaitable<result<void>> begin(backend_operation operation, const workload_ref& ref);

    asio::awaitable<result<void>> set(backend_operation operation, const workload_ref& ref,
                                      workload_state state);

    const memory_backend_script script_;
    mutable std::mutex mutex_;
    std::map<uuid, memory_workload> workloads_;
    std::uint64_t created_ = 0;
    detail::replaceable_handler<workload_exit> exit_handler_;
    detail::replaceable_handler<workload_pause> pause_handler_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/backend/memory.ipp>
#endif

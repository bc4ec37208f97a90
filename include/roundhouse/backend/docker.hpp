#pragma once

#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/engines.hpp>
#include <roundhouse/backend/docker/event_stream.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/backend/docker/watched.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/detail/engine_calls.hpp>
#include <roundhouse/detail/port_usable.hpp>
#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/optional_member.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/strand.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Runs each engine as a container `engine-<short id>` of a Docker daemon (API 1.41 or newer,
/// Docker 20.10), with the volume `engine-data-<short id>` at /data. The concept `backend`
/// describes the operations; SPEC §6 and docs/docker.md describe the engine's environment.
///
/// Containers outlive the backend. Exits and pauses that the backend was not asked for are reported
/// by the daemon's event stream. When that breaks, the backend opens it again; `trouble` has the
/// cause while it is not open.
///
/// All members may be called from any thread and do not block, except the constructor, which looks
/// up the name of the host in `tcp://`. `executor` must outlive the backend, and its context must
/// run until the operations have ended. Operations can be cancelled with type `terminal`.
class docker_backend {
public:
    static constexpr auto optional_members = optional_member::prepare | optional_member::discard |
                                             optional_member::on_pause | optional_member::boot_logs;

    /// Throws std::invalid_argument for a malformed address, and if `installation_id` is empty. The
    /// daemon need not be reachable.
    docker_backend(const asio::any_io_executor& executor, docker_options options)
        : executor_(executor),
          engines_(
              std::make_shared<detail::docker::engines>(executor, checked(std::move(options)))) {
        engines_->events().start();
    }

    docker_backend(const docker_backend&) = delete;
    docker_backend& operator=(const docker_backend&) = delete;

    /// Leaves the containers as they are. No handler runs any more once this has returned.
    /// Operations that are under way go on.
    ~docker_backend() { engines_->events().close(); }

    [[nodiscard]] std::string_view name() const noexcept { return "docker"; }
    [[nodiscard]] bool needs_port() const noexcept { return engines_->on_host(); }

    [[nodiscard]] std::optional<std::string> trouble() const {
        return engines_->events().trouble();
    }

    [[nodiscard]] std::string url(const uuid& engine, std::uint16_t port) const {
        if (engines_->on_host()) return "http://127.0.0.1:" + std::to_string(port);
        return "http://" + detail::docker::container_of(engine) + ':' +
               std::to_string(detail::docker::engine_port);
    }

    [[nodiscard]] bool port_usable(std::uint16_t port) const { return detail::port_usable(port); }

    /// Pulls the workload's image unless the daemon has it.
    asio::awaitable<result<void>> prepare(const workload& requested) {
        auto work = engines_->prepare(requested);
        return run(std::move(work));
    }
    asio::awaitable<result<void>> create(const workload& requested) {
        auto work = engines_->create(requested);
        return run(std::move(work));
    }
    asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace) {
        auto work = engines_->stop(ref, grace);
        return run(std::move(work));
    }
    /// Stops the container and removes it. The volume stays.
    asio::awaitable<result<void>> discard(const workload_ref& ref, duration grace) {
        auto work = engines_->discard(ref, grace);
        return run(std::move(work));
    }
    asio::awaitable<result<void>> pause(const workload_ref& ref) {
        auto work = engines_->set_paused(ref, true);
        return run(std::move(work));
    }
    asio::awaitable<result<void>> resume(const workload_ref& ref) {
        auto work = engines_->set_paused(ref, false);
        return run(std::move(work));
    }
    asio::awaitable<result<void>> destroy(const workload_ref& ref) {
        auto work = engines_->destroy(ref);
        return run(std::move(work));
    }
    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string& key,
                                               const sha256_digest& next) {
        auto work = engines_->swap_key(ref, key, next);
        return run(std::move(work));
    }
    asio::awaitable<result<health>> probe(const workload_ref& ref, duration timeout) {
        auto work = engines_->probe(ref, timeout);
        return run(std::move(work));
    }

    /// Lists the containers and volumes that have this installation's label. Exits of the
    /// containers that run are reported from now on.
    asio::awaitable<result<std::vector<found_workload>>> list() {
        auto work = engines_->list();
        return run(std::move(work));
    }

    /// The last lines of stdout and stderr, at most `log_tail_bytes` bytes; they need not be UTF-8.
    /// Empty if there is no container.
    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t tail) {
        auto work = engines_->logs(ref, tail);
        return run(std::move(work));
    }

    /// The last lines that this generation of the workload wrote, which has a container of its own.
    /// If that was started again from outside, the output of all its starts counts. Empty if there
    /// is no container of this generation.
    asio::awaitable<result<std::string>> boot_logs(const workload_ref& ref, std::size_t tail) {
        auto work = engines_->boot_logs(ref, tail);
        return run(std::move(work));
    }

    /// Replaces the handler, and waits for a call of the earlier one that is under way. The handler
    /// runs on `executor`, with no lock held. It must not throw. It may destroy the backend.
    void on_exit(std::function<void(const workload_exit&)> handler) {
        engines_->events().on_exit(std::move(handler));
    }

    /// Replaces the handler, like `on_exit`.
    void on_pause(std::function<void(const workload_pause&)> handler) {
        engines_->events().on_pause(std::move(handler));
    }

private:
    static docker_options checked(docker_options options) {
        if (options.installation_id.empty())
            throw std::invalid_argument{"docker backend: `installation_id` is empty: it "
                                        "distinguishes this installation's containers from those "
                                        "of others"};
        return options;
    }

    /// Runs an operation of `engines_` on a strand of its own.
    template <class T> asio::awaitable<T> run(asio::awaitable<T> work) {
        auto kept = keeping(engines_, std::move(work));
        return detail::run_on(asio::any_io_executor{asio::make_strand(executor_)}, std::move(kept));
    }

    /// Keeps `engines_` alive: the operation may outlive the backend.
    template <class T>
    static asio::awaitable<T>
    keeping([[maybe_unused]] std::shared_ptr<detail::docker::engines> kept,
            asio::awaitable<T> work) {
        co_return co_await std::move(work);
    }

    const asio::any_io_executor executor_;
    const std::shared_ptr<detail::docker::engines> engines_;
};

static_assert(reports_pauses<docker_backend> && prepares<docker_backend> &&
              discards<docker_backend> && separates_boot_logs<docker_backend>);

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

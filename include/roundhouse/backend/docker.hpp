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
/// Docker 20.10), with the volume `engine-data-<short id>` at /data. The concept `backend` tells
/// what the operations do; SPEC §6 and docs/docker.md tell what an engine is given.
///
/// Containers outlive the backend. Ends that nobody asked for, and pauses by somebody else, come by
/// the daemon's event stream, which is opened again for as long as the backend lives; `trouble`
/// says why it is not open.
///
/// All members may be called from any thread and do not block, but for the constructor, which looks
/// up the name of a host in `tcp://`. `executor` must outlive the backend, its context must run
/// until the operations are done. Cancellation of type `terminal` is passed on.
class docker_backend {
public:
    /// Throws std::invalid_argument for an address that cannot be one, or without a name for the
    /// installation. That the daemon cannot be reached is no failure here.
    docker_backend(const asio::any_io_executor& executor, docker_options options)
        : executor_(executor),
          engines_(
              std::make_shared<detail::docker::engines>(executor, checked(std::move(options)))) {
        engines_->events().start();
    }

    docker_backend(const docker_backend&) = delete;
    docker_backend& operator=(const docker_backend&) = delete;

    /// Leaves the containers as they are. Handlers are not called any more. Operations that are
    /// under way go on.
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

    /// Pulls the workload's image if it is not there.
    asio::awaitable<result<void>> prepare(const workload& what) {
        auto work = engines_->prepare(what);
        return run(std::move(work));
    }
    asio::awaitable<result<void>> create(const workload& what) {
        auto work = engines_->create(what);
        return run(std::move(work));
    }
    asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace) {
        auto work = engines_->stop(ref, grace);
        return run(std::move(work));
    }
    /// Like `stop`, but removes the container too. The volume stays.
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

    /// Every container and volume with this installation's label. The end of what runs is reported
    /// from now on.
    asio::awaitable<result<std::vector<found_workload>>> list() {
        auto work = engines_->list();
        return run(std::move(work));
    }

    /// The last lines of stdout and stderr, at most `log_tail_bytes` of them: not surely UTF-8.
    /// Empty where there is no container.
    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t tail) {
        auto work = engines_->logs(ref, tail);
        return run(std::move(work));
    }

    /// Replaces the handler, after the end of a call to the earlier one that is under way. It runs
    /// on `executor` and must not throw.
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
            throw std::invalid_argument{"docker backend: `instance` is empty: it tells this "
                                        "installation's containers from those of others"};
        return options;
    }

    /// Runs work of `engines_` on a strand of its own.
    template <class T> asio::awaitable<T> run(asio::awaitable<T> work) {
        auto kept = keeping(engines_, std::move(work));
        return detail::run_on(asio::any_io_executor{asio::make_strand(executor_)}, std::move(kept));
    }

    /// The work may go on when the backend is gone already.
    template <class T>
    static asio::awaitable<T>
    keeping([[maybe_unused]] std::shared_ptr<detail::docker::engines> used,
            asio::awaitable<T> work) {
        co_return co_await std::move(work);
    }

    const asio::any_io_executor executor_;
    const std::shared_ptr<detail::docker::engines> engines_;
};

static_assert(reports_pauses<docker_backend> && prepares<docker_backend> &&
              discards<docker_backend>);

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#pragma once

#include <roundhouse/backend/docker/options.hpp>
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

namespace detail::docker {
class engines;
}

/// Runs each engine as a container `engine-<short id>` of a Docker daemon (API 1.41 or newer,
/// Docker 20.10), with the volume `engine-data-<short id>` at /data. The concept `backend`
/// describes the operations; SPEC §6 and docs/docker.md describe the engine's environment.
///
/// Containers outlive the backend. Exits and pauses that the backend was not asked for are reported
/// by the daemon's event stream. When that breaks, the backend opens it again; `trouble` has the
/// cause while it is not open.
///
/// All members may be called from any thread and do not block. `executor` must outlive the backend,
/// and its context must run until the operations have ended. Operations can be cancelled with type
/// `terminal`.
class docker_backend {
public:
    static constexpr auto optional_members = optional_member::prepare | optional_member::discard |
                                             optional_member::on_pause |
                                             optional_member::boot_logs |
                                             optional_member::open_logs | optional_member::limits |
                                             optional_member::data_copy;

    /// Throws std::invalid_argument for a malformed address or registry, for certificates that
    /// cannot be used, and if `installation_id` is empty. Reads the certificates; the daemon need not
    /// be reachable.
    docker_backend(const asio::any_io_executor& executor, docker_options options);

    docker_backend(const docker_backend&) = delete;
    docker_backend& operator=(const docker_backend&) = delete;

    /// Leaves the containers as they are. No handler runs any more once this has returned.
    /// Operations that are under way go on.
    ~docker_backend();

    [[nodiscard]] std::string_view name() const noexcept { return "docker"; }
    [[nodiscard]] bool needs_port() const noexcept;
    /// All of them.
    [[nodiscard]] limit_support limits() const;

    [[nodiscard]] std::optional<std::string> trouble() const;

    [[nodiscard]] std::string url(const uuid& engine, std::uint16_t port) const;

    [[nodiscard]] bool port_usable(std::uint16_t port) const;

    /// Pulls the workload's image unless the daemon has it. Fails if its registry is not one of
    /// `docker_options::registries`.
    asio::awaitable<result<void>> prepare(const workload& requested);
    asio::awaitable<result<void>> create(const workload& requested);
    asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace);
    /// Stops the container and removes it. The volume stays.
    asio::awaitable<result<void>> discard(const workload_ref& ref, duration grace);
    asio::awaitable<result<void>> pause(const workload_ref& ref);
    asio::awaitable<result<void>> resume(const workload_ref& ref);
    asio::awaitable<result<void>> destroy(const workload_ref& ref);

    /// Copies the volume to `engine-copy-<short id>`, with the engine's container and one that is made
    /// for it and never started. `max_bytes` bounds the data as an archive, in which a sparse file has
    /// its whole size. The daemon copies owners, modes, links and times in seconds, and tells nobody
    /// when the copy is on the disk.
    asio::awaitable<result<bool>> copy_data(const workload_ref& ref,
                                            std::optional<std::uint64_t> max_bytes);
    /// Removes the engine's container and its volume, and makes the volume anew. What this was
    /// interrupted in is ended by the next `create` too.
    asio::awaitable<result<void>> restore_data(const workload_ref& ref);
    asio::awaitable<result<void>> drop_copy(const workload_ref& ref);

    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string& key,
                                               const sha256_digest& next);
    asio::awaitable<result<health>> probe(const workload_ref& ref, duration timeout);

    /// Lists the containers and volumes that have this installation's label. Exits of the
    /// containers that run are reported from now on.
    asio::awaitable<result<std::vector<found_workload>>> list();

    /// The last lines of stdout and stderr, at most `log_tail_bytes` bytes; they need not be UTF-8.
    /// Empty if there is no container.
    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t tail);

    /// The last lines that this generation of the workload wrote, which has a container of its own.
    /// If that was started again from outside, the output of all its starts counts. Empty if there
    /// is no container of this generation.
    asio::awaitable<result<std::string>> boot_logs(const workload_ref& ref, std::size_t tail);

    /// Opens the output of the engine's container, which is followed until it ends. `since` is exact.
    /// Nothing is there to be read if there is no container.
    asio::awaitable<result<log_source_ptr>> open_logs(const workload_ref& ref,
                                                      const log_query& query);

    /// Replaces the handler, and waits for a call of the earlier one that is under way. The handler
    /// runs on `executor`, with no lock held. It must not throw. It may destroy the backend.
    void on_exit(std::function<void(const workload_exit&)> handler);

    /// Replaces the handler, like `on_exit`.
    void on_pause(std::function<void(const workload_pause&)> handler);

private:
    static docker_options checked(docker_options options);

    /// Runs an operation of `engines_` on a strand of its own.
    template <class T> asio::awaitable<T> run(asio::awaitable<T> work);

    const asio::any_io_executor executor_;
    const std::shared_ptr<detail::docker::engines> engines_;
};

static_assert(reports_pauses<docker_backend> && prepares<docker_backend> &&
              discards<docker_backend> && separates_boot_logs<docker_backend> &&
              opens_logs<docker_backend> && holds_limits<docker_backend> &&
              copies_data<docker_backend>);

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/backend/docker.ipp>
#endif

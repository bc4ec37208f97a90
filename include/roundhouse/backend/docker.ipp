#pragma once

#include <roundhouse/backend/docker.hpp>
#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/engines.hpp>
#include <roundhouse/backend/docker/event_stream.hpp>
#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/detail/port_usable.hpp>
#include <roundhouse/detail/run_on.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/strand.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// Keeps the engines alive: an operation may outlive the backend.
template <class T>
asio::awaitable<T> keeping([[maybe_unused]] std::shared_ptr<engines> kept,
                           asio::awaitable<T> work) {
    co_return co_await std::move(work);
}

} // namespace detail::docker

template <class T> asio::awaitable<T> docker_backend::run(asio::awaitable<T> work) {
    auto kept = detail::docker::keeping(engines_, std::move(work));
    return detail::run_on(asio::any_io_executor{asio::make_strand(executor_)}, std::move(kept));
}

ROUNDHOUSE_DECL docker_backend::docker_backend(const asio::any_io_executor& executor,
                                               docker_options options)
    : executor_(executor),
      engines_(std::make_shared<detail::docker::engines>(executor, checked(std::move(options)))) {
    engines_->events().start();
}

ROUNDHOUSE_DECL docker_backend::~docker_backend() { engines_->events().close(); }

ROUNDHOUSE_DECL bool docker_backend::needs_port() const noexcept { return engines_->on_host(); }

ROUNDHOUSE_DECL limit_support docker_backend::limits() const { return engines_->limits(); }

ROUNDHOUSE_DECL std::optional<std::string> docker_backend::trouble() const {
    return engines_->events().trouble();
}

ROUNDHOUSE_DECL std::string docker_backend::url(const uuid& engine, std::uint16_t port) const {
    if (engines_->on_host()) return "http://127.0.0.1:" + std::to_string(port);
    return "http://" + detail::docker::container_of(engine) + ':' +
           std::to_string(detail::docker::engine_port);
}

ROUNDHOUSE_DECL bool docker_backend::port_usable(std::uint16_t port) const {
    return detail::port_usable(port);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> docker_backend::prepare(const workload& requested) {
    auto work = engines_->prepare(requested);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> docker_backend::create(const workload& requested) {
    auto work = engines_->create(requested);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> docker_backend::stop(const workload_ref& ref,
                                                                   duration grace) {
    auto work = engines_->stop(ref, grace);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> docker_backend::discard(const workload_ref& ref,
                                                                      duration grace) {
    auto work = engines_->discard(ref, grace);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> docker_backend::pause(const workload_ref& ref) {
    auto work = engines_->set_paused(ref, true);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> docker_backend::resume(const workload_ref& ref) {
    auto work = engines_->set_paused(ref, false);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> docker_backend::destroy(const workload_ref& ref) {
    auto work = engines_->destroy(ref);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<bool>>
docker_backend::copy_data(const workload_ref& ref, std::optional<std::uint64_t> max_bytes) {
    auto work = engines_->copy_data(ref, max_bytes);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
docker_backend::restore_data(const workload_ref& ref) {
    auto work = engines_->restore_data(ref);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> docker_backend::drop_copy(const workload_ref& ref) {
    auto work = engines_->drop_copy(ref);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<key_swap>>
docker_backend::swap_key(const workload_ref& ref, const std::string& key,
                         const sha256_digest& next) {
    auto work = engines_->swap_key(ref, key, next);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<health>> docker_backend::probe(const workload_ref& ref,
                                                                      duration timeout) {
    auto work = engines_->probe(ref, timeout);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::vector<found_workload>>> docker_backend::list() {
    auto work = engines_->list();
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>> docker_backend::logs(const workload_ref& ref,
                                                                          std::size_t tail) {
    auto work = engines_->logs(ref, tail);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
docker_backend::boot_logs(const workload_ref& ref, std::size_t tail) {
    auto work = engines_->boot_logs(ref, tail);
    return run(std::move(work));
}

ROUNDHOUSE_DECL asio::awaitable<result<log_source_ptr>>
docker_backend::open_logs(const workload_ref& ref, const log_query& query) {
    auto work = engines_->open_logs(ref, query);
    return run(std::move(work));
}

ROUNDHOUSE_DECL void docker_backend::on_exit(std::function<void(const workload_exit&)> handler) {
    engines_->events().on_exit(std::move(handler));
}

ROUNDHOUSE_DECL void docker_backend::on_pause(std::function<void(const workload_pause&)> handler) {
    engines_->events().on_pause(std::move(handler));
}

ROUNDHOUSE_DECL docker_options docker_backend::checked(docker_options options) {
    if (options.installation_id.empty())
        throw std::invalid_argument{"docker backend: `installation_id` is empty: it "
                                    "distinguishes this installation's containers from those "
                                    "of others"};
    for (auto& registry : options.registries) {
        auto read = detail::docker::read_registry(registry);
        if (!read)
            throw std::invalid_argument{"docker backend: `registries`: " + read.error().message};
        registry = std::move(*read);
    }
    return options;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

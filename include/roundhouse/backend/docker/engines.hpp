#pragma once

#include <roundhouse/backend/docker/address.hpp>
#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/container_log.hpp>
#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/engine_copies.hpp>
#include <roundhouse/backend/docker/event_stream.hpp>
#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/backend/docker/network.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/backend/docker/pull.hpp>
#include <roundhouse/backend/docker/volumes.hpp>
#include <roundhouse/backend/docker/watched.hpp>
#include <roundhouse/core/generation.hpp>
#include <roundhouse/detail/engine_calls.hpp>
#include <roundhouse/detail/http_client.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// The operations of the backend as calls to the daemon. The coroutines run on strands; their
/// arguments must outlive them. Thread-safe.
class engines {
public:
    engines(const asio::any_io_executor& executor, docker_options options)
        : options_(std::move(options)),
          daemon_(std::make_shared<docker::daemon>(daemon_of(options_), options_.call_timeout)),
          network_(std::make_shared<engine_network>(executor, daemon_, options_)),
          volumes_(daemon_, options_),
          copies_(daemon_, volumes_, options_),
          watched_(std::make_shared<watched_engines>()),
          events_(std::make_shared<event_stream>(executor, daemon_, watched_, options_)) {}

    [[nodiscard]] event_stream& events() const noexcept { return *events_; }
    [[nodiscard]] bool on_host() const noexcept {
        return options_.advertise == docker_advertise::host;
    }
    [[nodiscard]] limit_support limits() const { return held_limits(options_); }

    asio::awaitable<result<void>> prepare(const workload& requested) {
        const auto image = image_of(requested.version, options_.repository);
        if (!image) co_return unexpected{image.error()};
        auto ensuring = ensure_image(*daemon_, *image, options_);
        co_return co_await std::move(ensuring);
    }

    asio::awaitable<result<void>> create(const workload& requested) {
        auto networking = network_->ensure();
        if (auto done = co_await std::move(networking); !done) co_return done;
        if (!options_.runtime.empty() && daemon_->is_podman())
            co_return fail(errc::backend_error,
                           "Podman's Docker-compatible service ignores the runtime of a container: "
                           "leave ORCH_ENGINE_RUNTIME (docker_options::runtime) empty, and set "
                           "`runtime` in its containers.conf");
        auto keeping = volumes_.ensure(requested);
        auto kept = co_await std::move(keeping);
        if (!kept) co_return unexpected{kept.error()};
        if (kept->made || kept->restored) {
            auto mending = end_restoring(requested.ref);
            const auto mended = co_await std::move(mending);
            if (!mended) co_return unexpected{mended.error()};
            if (*mended) kept->made = false; // it has the engine's data now
        }
        auto running = run(requested);
        auto done = co_await std::move(running);
        // From here on the daemon may have done something, so that it is not `backend_away` any
        // more.
        if (!done) done.error().code = errc::backend_error;
        if (!done && kept->made) {
            // Nothing has used the volume yet. If the removal fails, `list` shows the volume.
            auto undoing = volumes_.remove(requested.ref.engine_id);
            static_cast<void>(co_await std::move(undoing));
        }
        co_return done;
    }

    asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace) {
        auto looking = inspect(ref.engine_id);
        auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (!*found) co_return result<void>{};
        auto stopping = end(ref.engine_id, **found, grace);
        co_return co_await std::move(stopping);
    }

    asio::awaitable<result<void>> set_paused(const workload_ref& ref, bool paused) {
        watched_engines::pausing change{*watched_, ref.engine_id, paused};
        auto looking = inspect(ref.engine_id);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        const auto state = *found ? state_of((*found)->status) : workload_state::down;
        if (state == workload_state::down) {
            events_->look_at_end(ref); // in case its end has not been reported
            co_return fail(errc::backend_error, container_of(ref.engine_id) + " does not run");
        }
        if (paused == (state == workload_state::paused)) {
            change.done();
            co_return result<void>{};
        }
        const auto* const verb = paused ? "/pause" : "/unpause";
        auto calling = daemon_->call("POST", "/containers/" + (*found)->id + verb);
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 204)
            co_return daemon::refused(paused ? "cannot pause" : "cannot unpause", *answer);
        change.done();
        co_return result<void>{};
    }

    /// Ends and removes the container; the volume stays.
    asio::awaitable<result<void>> discard(const workload_ref& ref, duration grace) {
        auto looking = inspect(ref.engine_id);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        forget_address(ref.engine_id);
        if (!*found) {
            watched_->release(ref.engine_id);
            co_return result<void>{};
        }
        auto ending = end(ref.engine_id, **found, grace);
        if (auto done = co_await std::move(ending); !done) co_return done;
        auto removing = remove_container(ref.engine_id, (*found)->id);
        co_return co_await std::move(removing);
    }

    asio::awaitable<result<void>> destroy(const workload_ref& ref) {
        auto discarding = discard(ref, options_.short_grace);
        if (auto done = co_await std::move(discarding); !done) co_return done;
        auto removing_copy = copies_.remove(ref.engine_id);
        if (auto done = co_await std::move(removing_copy); !done) co_return done;
        auto removing = volumes_.remove(ref.engine_id);
        co_return co_await std::move(removing);
    }

    asio::awaitable<result<bool>> copy_data(workload_ref ref,
                                            std::optional<std::uint64_t> max_bytes) {
        const copying now{*this, ref.engine_id};
        auto mending = end_restoring(ref);
        if (const auto mended = co_await std::move(mending); !mended)
            co_return unexpected{mended.error()};
        auto looking = inspect_ended(ref.engine_id);
        const auto present = co_await std::move(looking);
        if (!present) co_return unexpected{present.error()};
        if (!*present)
            co_return fail(errc::backend_error,
                           container_of(ref.engine_id) +
                               " does not exist, by which the engine's data is read: boot the "
                               "engine and stop it");
        auto copying_it = copies_.copy(ref.engine_id, **present, max_bytes);
        co_return co_await std::move(copying_it);
    }

    asio::awaitable<result<void>> restore_data(workload_ref ref) {
        const copying now{*this, ref.engine_id};
        auto finding = copies_.find(ref.engine_id);
        const auto source = co_await std::move(finding);
        if (!source) co_return unexpected{source.error()};
        if (!*source) co_return result<void>{};
        auto looking = inspect_ended(ref.engine_id);
        const auto present = co_await std::move(looking);
        if (!present) co_return unexpected{present.error()};
        auto beginning = copies_.begin_restoring(ref.engine_id, **source);
        if (const auto begun = co_await std::move(beginning); !begun) co_return begun;
        if (*present) {
            watched_->release(ref.engine_id);
            forget_address(ref.engine_id);
            auto removing = remove_container(ref.engine_id, (*present)->id);
            if (const auto removed = co_await std::move(removing); !removed) co_return removed;
        }
        auto refilling = copies_.refill(ref.engine_id, **source);
        co_return co_await std::move(refilling);
    }

    asio::awaitable<result<void>> drop_copy(workload_ref ref) {
        const copying now{*this, ref.engine_id};
        auto mending = end_restoring(ref);
        if (const auto mended = co_await std::move(mending); !mended)
            co_return unexpected{mended.error()};
        auto removing = copies_.remove(ref.engine_id);
        co_return co_await std::move(removing);
    }

    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string& key,
                                               const sha256_digest& next) {
        auto locating = locate(ref);
        const auto peer = co_await std::move(locating);
        if (!peer) co_return unexpected{peer.error()};
        auto offering = offer_key(*peer, ref.engine_id, key, next, options_.answers,
                                  options_.swap_timeout);
        co_return co_await std::move(offering);
    }

    asio::awaitable<result<health>> probe(const workload_ref& ref, duration timeout) {
        auto locating = locate(ref);
        const auto peer = co_await std::move(locating);
        if (!peer) co_return unexpected{peer.error()};
        auto asking = ask_health(*peer, options_.answers, timeout);
        co_return co_await std::move(asking);
    }

    asio::awaitable<result<std::vector<found_workload>>> list() {
        std::unordered_map<uuid, found_workload> found;
        auto listing_volumes = volumes_.list(found);
        if (auto listed = co_await std::move(listing_volumes); !listed)
            co_return unexpected{listed.error()};
        auto listing = daemon_->call("GET", "/containers/json?all=1&filters=" +
                                                filters_for(options_.installation_id));
        const auto containers = co_await std::move(listing);
        if (!containers) co_return unexpected{containers.error()};
        if (containers->status != 200)
            co_return daemon::refused("cannot list containers", *containers);
        std::vector<left_container> left_over;
        if (auto read = add_containers(containers->body, found, left_over); !read)
            co_return unexpected{read.error()};
        for (const auto& [name, id] : left_over) {
            auto removing = docker::remove_container(*daemon_, name, id);
            // One that stays is removed with the engine, or with its next copy.
            static_cast<void>(co_await std::move(removing));
        }
        // Workloads that ended after that answer, and before they were expected, are found here.
        auto looking = events_->look_for_ends();
        if (auto looked = co_await std::move(looking); !looked)
            co_return unexpected{looked.error()};
        std::vector<found_workload> workloads;
        for (auto& [engine, workload] : found) workloads.push_back(std::move(workload));
        co_return workloads;
    }

    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t tail) {
        auto looking = inspect(ref.engine_id);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (!*found) co_return std::string{};
        auto reading = read_logs((*found)->id, tail);
        co_return co_await std::move(reading);
    }

    asio::awaitable<result<std::string>> boot_logs(const workload_ref& ref, std::size_t tail) {
        auto looking = inspect(ref.engine_id);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        // Each generation has a container of its own, which the backend starts once.
        if (!*found || (*found)->made->ref.generation != ref.generation) co_return std::string{};
        auto reading = read_logs((*found)->id, tail);
        co_return co_await std::move(reading);
    }

    asio::awaitable<result<log_source_ptr>> open_logs(const workload_ref& ref, log_query query) {
        auto looking = inspect(ref.engine_id);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (!*found) co_return container_log::empty();
        auto opening = container_log::open(daemon_, (*found)->id, query, options_.call_timeout);
        co_return co_await std::move(opening);
    }

private:
    // Copies

    /// Says that the containers which reach an engine's volumes are in use.
    class copying {
    public:
        copying(engines& all, const uuid& engine) : all_(all), engine_(engine) {
            const std::lock_guard lock(all_.mutex_);
            all_.copying_.insert(engine_);
        }
        ~copying() {
            const std::lock_guard lock(all_.mutex_);
            all_.copying_.erase(all_.copying_.find(engine_));
        }
        copying(const copying&) = delete;
        copying& operator=(const copying&) = delete;

    private:
        engines& all_;
        const uuid engine_;
    };

    /// Ends a restoring that was interrupted. Returns whether there was one.
    asio::awaitable<result<bool>> end_restoring(workload_ref ref) {
        auto asking = copies_.is_restoring(ref.engine_id);
        const auto restoring = co_await std::move(asking);
        if (!restoring || !*restoring) co_return restoring;
        auto ending = restore_data(ref);
        if (const auto ended = co_await std::move(ending); !ended)
            co_return unexpected{ended.error()};
        co_return true;
    }

    /// The container of an engine, which must not run; empty if there is none.
    asio::awaitable<result<std::optional<container>>> inspect_ended(const uuid& engine) {
        auto looking = inspect(engine);
        auto found = co_await std::move(looking);
        if (found && *found && state_of((*found)->status) != workload_state::down)
            co_return fail(errc::backend_error,
                           container_of(engine) + " still runs: stop the engine first");
        co_return found;
    }

    // Containers

    asio::awaitable<result<std::string>> read_logs(std::string id, std::size_t tail) {
        auto calling = daemon_->call("GET",
                                     "/containers/" + id + "/logs" + to_query({.tail = tail}));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status == 404) co_return std::string{};
        if (answer->status != 200) co_return daemon::refused("cannot read the output", *answer);
        auto lines = unframed(answer->body);
        if (lines.size() > options_.log_tail_bytes)
            lines.erase(0, lines.size() - options_.log_tail_bytes);
        co_return lines;
    }

    [[nodiscard]] bool ours(const container& present, const uuid& engine) const {
        return present.made && present.made->installation_id == options_.installation_id &&
               present.made->ref.engine_id == engine;
    }

    /// The container of an engine; empty if there is none that this installation made.
    asio::awaitable<result<std::optional<container>>> inspect(const uuid& engine) {
        auto looking = inspect_container(*daemon_, engine, options_.network);
        auto found = co_await std::move(looking);
        if (found && *found && !ours(**found, engine)) found->reset();
        co_return found;
    }

    /// Stops a container, whose end is not reported.
    asio::awaitable<result<void>> end(const uuid& engine, const container& present,
                                      duration grace) {
        const auto expected = watched_->release(engine);
        if (state_of(present.status) == workload_state::down) co_return result<void>{};
        if (state_of(present.status) == workload_state::paused) {
            // A paused container does not receive the signal. If this fails, so does the stop.
            auto resuming = daemon_->call("POST", "/containers/" + present.id + "/unpause");
            static_cast<void>(co_await std::move(resuming));
        }
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(grace);
        auto calling = daemon_->call(
            "POST", "/containers/" + present.id + "/stop?t=" + std::to_string(seconds.count()), {},
            options_.call_timeout + seconds);
        const auto answer = co_await std::move(calling);
        const bool done = answer &&
                          (answer->status == 204 || answer->status == 304 || answer->status == 404);
        if (done) co_return result<void>{};
        if (expected) watched_->expect(*expected);
        if (!answer) co_return unexpected{answer.error()};
        co_return daemon::refused("cannot stop " + container_of(engine), *answer);
    }

    asio::awaitable<result<void>> remove_container(const uuid& engine, std::string id) {
        return docker::remove_container(*daemon_, container_of(engine), std::move(id));
    }

    /// Creates and starts the container, in place of one of an older generation.
    asio::awaitable<result<void>> run(const workload& requested) {
        const auto name = container_of(requested.ref.engine_id);
        for (int attempt = 0; attempt < 4; ++attempt) {
            auto calling = daemon_->call("POST", "/containers/create?name=" + name,
                                         description(options_, requested).of_container());
            const auto answer = co_await std::move(calling);
            if (!answer) co_return unexpected{answer.error()};
            if (answer->status == 201) {
                // Without an id in the answer the container is started by its name.
                const auto read = read_json(answer->body);
                auto starting = start(requested,
                                      read ? text_at((*read)->root, "/Id") : std::string{});
                co_return co_await std::move(starting);
            }
            if (answer->status != 409) { // Podman answers 500 also if the name is in use.
                auto looking = inspect_container(*daemon_, requested.ref.engine_id,
                                                 options_.network);
                const auto found = co_await std::move(looking);
                if (!found || !*found) {
                    // Podman finds here that the network has been removed, Docker at the start.
                    if (attempt > 0 || answer->body.find(options_.network) == std::string::npos)
                        co_return daemon::refused("cannot make " + name, *answer);
                    auto remaking = make_network_again();
                    if (!co_await std::move(remaking))
                        co_return daemon::refused("cannot make " + name, *answer);
                    continue;
                }
            }
            auto clearing = clear_name(requested);
            const auto cleared = co_await std::move(clearing);
            if (!cleared) co_return unexpected{cleared.error()};
            if (!*cleared) co_return result<void>{};
        }
        co_return fail(errc::backend_error, "Docker: the name " + name + " stays in use");
    }

    /// Makes the engines' network, which has been removed since it was made.
    asio::awaitable<result<void>> make_network_again() {
        network_->forget();
        return network_->ensure();
    }

    /// Removes the container that has the name of the requested one. Returns false, and leaves it,
    /// if it is the requested one and runs: then the reply to an earlier create was lost.
    asio::awaitable<result<bool>> clear_name(const workload& requested) {
        auto looking = inspect_container(*daemon_, requested.ref.engine_id, options_.network);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (!*found) co_return true;
        const auto& present = **found;
        if (!ours(present, requested.ref.engine_id))
            co_return not_ours("the container " + container_of(requested.ref.engine_id));
        const auto plan = core::plan_create(requested.ref, present.made->ref.generation,
                                            state_of(present.status));
        if (!plan) co_return unexpected{plan.error()};
        if (*plan == core::create_plan::keep) {
            watched_->expect({requested.ref, requested.owner, present.id});
            co_return false;
        }
        auto ending = end(requested.ref.engine_id, present, options_.short_grace);
        if (auto done = co_await std::move(ending); !done) co_return unexpected{done.error()};
        auto removing = remove_container(requested.ref.engine_id, present.id);
        if (auto done = co_await std::move(removing); !done) co_return unexpected{done.error()};
        co_return true;
    }

    asio::awaitable<result<void>> start(const workload& requested, std::string id) {
        forget_address(requested.ref.engine_id);
        // Before the container can end.
        watched_->expect({requested.ref, requested.owner, id});
        if (id.empty()) id = container_of(requested.ref.engine_id);
        result<void> failure;
        for (int attempt = 0; attempt < 2; ++attempt) {
            auto calling = daemon_->call("POST", "/containers/" + id + "/start");
            const auto answer = co_await std::move(calling);
            if (answer && (answer->status == 204 || answer->status == 304))
                co_return result<void>{};
            failure = answer
                          ? result<void>{daemon::refused(
                                "cannot start " + container_of(requested.ref.engine_id), *answer)}
                          : result<void>{unexpected{answer.error()}};
            if (!answer || answer->status != 404 || attempt > 0) break;
            auto remaking = make_network_again();
            if (!co_await std::move(remaking)) break;
        }
        watched_->release(requested.ref.engine_id);
        auto undoing = remove_container(requested.ref.engine_id, id);
        static_cast<void>(co_await std::move(undoing));
        co_return failure;
    }

    // Addresses

    /// Where an engine listens.
    asio::awaitable<result<http_peer>> locate(const workload_ref& ref) {
        if (on_host())
            co_return http_peer{
                asio::ip::tcp::endpoint{asio::ip::address_v4::loopback(), ref.port}};
        if (const auto known = known_address(ref)) co_return http_peer{*known};
        auto looking = inspect(ref.engine_id);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        const auto container_name = container_of(ref.engine_id);
        if (!*found) co_return fail(errc::backend_error, container_name + " does not exist");
        asio::error_code malformed;
        const auto ip = asio::ip::make_address((*found)->address, malformed);
        if (malformed)
            co_return fail(errc::backend_error, container_name + " has no address on " +
                                                    options_.network + ": it is " +
                                                    (*found)->status);
        const asio::ip::tcp::endpoint endpoint{ip, engine_port};
        const std::lock_guard lock(mutex_);
        addresses_[ref.engine_id] = {ref.generation, endpoint};
        co_return http_peer{endpoint};
    }

    struct engine_address {
        std::uint64_t generation = 0;
        asio::ip::tcp::endpoint endpoint;
    };

    std::optional<asio::ip::tcp::endpoint> known_address(const workload_ref& ref) {
        const std::lock_guard lock(mutex_);
        const auto found = addresses_.find(ref.engine_id);
        if (found == addresses_.end() || found->second.generation != ref.generation)
            return std::nullopt;
        return found->second.endpoint;
    }
    void forget_address(const uuid& engine) {
        const std::lock_guard lock(mutex_);
        addresses_.erase(engine);
    }

    // Lists

    struct left_container {
        std::string name;
        std::string id;
    };

    /// `left_over` gets the containers of copyings that were interrupted.
    result<void> add_containers(std::string_view body,
                                std::unordered_map<uuid, found_workload>& found,
                                std::vector<left_container>& left_over) {
        const auto read = read_json(body);
        if (!read) return unexpected{read.error()};
        simdjson::dom::array containers;
        if ((*read)->root.get(containers) != simdjson::SUCCESS)
            return fail(errc::backend_error, "Docker's list of containers is no array");
        for (const auto entry : containers) {
            const auto made = marks_of(options_.installation_id, entry["Labels"]);
            if (!made) continue; // the daemon has not applied the filter
            if (made->copy) {
                auto name = text_at(entry, "/Names/0");
                name.erase(0, name.starts_with('/') ? 1 : 0);
                const std::lock_guard lock(mutex_);
                if (reacher::is_left_over(name) && !copying_.contains(made->ref.engine_id))
                    left_over.push_back({std::move(name), text_at(entry, "/Id")});
                continue;
            }
            const auto state = state_of(text_at(entry, "/State"));
            found[made->ref.engine_id] = {made->ref, state, true, made->owner};
            if (state != workload_state::down)
                watched_->expect({made->ref, made->owner, text_at(entry, "/Id"),
                                  state == workload_state::paused});
        }
        return {};
    }

    const docker_options options_;
    const std::shared_ptr<docker::daemon> daemon_;
    const std::shared_ptr<engine_network> network_;
    engine_volumes volumes_;
    engine_copies copies_;
    const std::shared_ptr<watched_engines> watched_;
    const std::shared_ptr<event_stream> events_;
    std::mutex mutex_;
    std::map<uuid, engine_address> addresses_;
    std::multiset<uuid> copying_; ///< Engines with a `copying`.
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

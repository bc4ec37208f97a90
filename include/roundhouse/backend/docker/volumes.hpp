#pragma once

#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>
#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// The volumes of engines, each named after its engine. Arguments of coroutines must outlive them.
/// Thread-safe.
class engine_volumes {
public:
    /// `options` must outlive it.
    engine_volumes(std::shared_ptr<docker::daemon> daemon, const docker_options& options)
        : daemon_(std::move(daemon)), options_(options) {}

    /// True if it was made just now. One of somebody else is a failure.
    asio::awaitable<result<bool>> ensure(const workload& what) {
        auto looking = find(what.ref.engine_id);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (*found == holder::others)
            co_return not_ours("the volume " + volume_of(what.ref.engine_id));
        if (*found == holder::ours) co_return false;
        auto body = description(options_, what).of_volume();
        auto calling = daemon_->call("POST", "/volumes/create", std::move(body));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 201) co_return daemon::refused("cannot make a volume", *answer);
        co_return true;
    }

    /// One of somebody else is left alone.
    asio::awaitable<result<void>> remove(const uuid& engine) {
        auto looking = find(engine);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (*found != holder::ours) co_return result<void>{};
        auto calling = daemon_->call("DELETE", "/volumes/" + volume_of(engine));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 204 && answer->status != 404)
            co_return daemon::refused("cannot remove a volume", *answer);
        co_return result<void>{};
    }

    /// Adds the engine of every volume of this installation.
    asio::awaitable<result<void>> list(std::unordered_map<uuid, found_workload>& found) {
        auto listing = daemon_->call("GET",
                                     "/volumes?filters=" + filters_for(options_.installation_id));
        const auto answer = co_await std::move(listing);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 200) co_return daemon::refused("cannot list volumes", *answer);
        const auto read = read_json(answer->body);
        if (!read) co_return unexpected{read.error()};
        simdjson::dom::array volumes; // null where there are none
        if ((*read)->root["Volumes"].get(volumes) != simdjson::SUCCESS) co_return result<void>{};
        for (const auto one : volumes) {
            const auto made = marks_of(options_.installation_id, one["Labels"]);
            // Its label tells the generation that made it, not the last one.
            if (made)
                found[made->ref.engine_id] = {.ref = {made->ref.engine_id, 0, 0},
                                              .owner = made->owner};
        }
        co_return result<void>{};
    }

private:
    enum class holder : std::uint8_t { nobody, ours, others };

    asio::awaitable<result<holder>> find(const uuid& engine) {
        auto calling = daemon_->call("GET", "/volumes/" + volume_of(engine));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status == 404) co_return holder::nobody;
        if (answer->status != 200) co_return daemon::refused("cannot inspect a volume", *answer);
        const auto read = read_json(answer->body);
        if (!read) co_return unexpected{read.error()};
        if (text_at((*read)->root, "/Name").empty())
            co_return fail(errc::backend_error,
                           "Docker's inspection of " + volume_of(engine) + " is none");
        const auto made = marks_of(options_.installation_id, (*read)->root["Labels"]);
        co_return made && made->ref.engine_id == engine ? holder::ours : holder::others;
    }

    const std::shared_ptr<docker::daemon> daemon_;
    const docker_options& options_;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

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

/// The volumes of engines, each named after its engine. The arguments of the coroutines must
/// outlive them. Thread-safe.
class engine_volumes {
public:
    /// `options` must outlive it.
    engine_volumes(std::shared_ptr<docker::daemon> daemon, const docker_options& options)
        : daemon_(std::move(daemon)), options_(options) {}

    /// Creates the volume if it does not exist; returns whether it did so. Fails if a volume of
    /// that name was not made by this installation.
    asio::awaitable<result<bool>> ensure(const workload& requested) {
        auto looking = find(requested.ref.engine_id);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (*found == ownership::foreign)
            co_return not_ours("the volume " + volume_of(requested.ref.engine_id));
        if (*found == ownership::ours) co_return false;
        auto body = description(options_, requested).of_volume();
        auto calling = daemon_->call("POST", "/volumes/create", std::move(body));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 201) co_return daemon::refused("cannot make a volume", *answer);
        co_return true;
    }

    /// Removes the volume if this installation made it.
    asio::awaitable<result<void>> remove(const uuid& engine) {
        auto looking = find(engine);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (*found != ownership::ours) co_return result<void>{};
        auto calling = daemon_->call("DELETE", "/volumes/" + volume_of(engine));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 204 && answer->status != 404)
            co_return daemon::refused("cannot remove a volume", *answer);
        co_return result<void>{};
    }

    /// Adds the engine of each volume of this installation to `found`.
    asio::awaitable<result<void>> list(std::unordered_map<uuid, found_workload>& found) {
        auto listing = daemon_->call("GET",
                                     "/volumes?filters=" + filters_for(options_.installation_id));
        const auto answer = co_await std::move(listing);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 200) co_return daemon::refused("cannot list volumes", *answer);
        const auto read = read_json(answer->body);
        if (!read) co_return unexpected{read.error()};
        simdjson::dom::array volumes; // null if there are none
        if ((*read)->root["Volumes"].get(volumes) != simdjson::SUCCESS) co_return result<void>{};
        for (const auto entry : volumes) {
            const auto made = marks_of(options_.installation_id, entry["Labels"]);
            // Its labels have the first generation of the engine, not the last.
            if (made)
                found[made->ref.engine_id] = {.ref = {made->ref.engine_id, 0, 0},
                                              .owner = made->owner};
        }
        co_return result<void>{};
    }

private:
    enum class ownership : std::uint8_t { absent, ours, foreign };

    asio::awaitable<result<ownership>> find(const uuid& engine) {
        auto calling = daemon_->call("GET", "/volumes/" + volume_of(engine));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status == 404) co_return ownership::absent;
        if (answer->status != 200) co_return daemon::refused("cannot inspect a volume", *answer);
        const auto read = read_json(answer->body);
        if (!read) co_return unexpected{read.error()};
        if (text_at((*read)->root, "/Name").empty())
            co_return fail(errc::backend_error,
                           "Docker's inspection of " + volume_of(engine) + " has no Name");
        const auto made = marks_of(options_.installation_id, (*read)->root["Labels"]);
        co_return made && made->ref.engine_id == engine ? ownership::ours : ownership::foreign;
    }

    const std::shared_ptr<docker::daemon> daemon_;
    const docker_options& options_;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

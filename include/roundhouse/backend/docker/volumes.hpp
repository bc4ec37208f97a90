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
#include <string>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// The volumes of engines, and of the copies of their data, each named after its engine. The arguments of the coroutines must
/// outlive them. Thread-safe.
class engine_volumes {
public:
    /// `options` must outlive it.
    engine_volumes(std::shared_ptr<docker::daemon> daemon, const docker_options& options)
        : daemon_(std::move(daemon)), options_(options) {}

    /// How a volume was found, or made.
    struct kept_volume {
        bool made = false;
        bool restored = false; ///< It was made for a copy to be put back into.
    };

    /// Creates the volume of an engine's data if it does not exist. Fails if a volume of that name was
    /// not made by this installation.
    asio::awaitable<result<kept_volume>> ensure(const workload& requested) {
        const auto& ref = requested.ref;
        return ensure(ref.engine_id, volume_of(ref.engine_id),
                      {options_.installation_id, ref, requested.owner});
    }

    /// The same for a volume of this name, with these labels.
    asio::awaitable<result<kept_volume>> ensure(uuid engine, std::string name, marks labels) {
        auto looking = find(engine, name);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (found->whose == ownership::foreign) co_return not_ours("the volume " + name);
        if (found->whose == ownership::ours) co_return kept_volume{.restored = found->restored};
        auto calling = daemon_->call("POST", "/volumes/create", describe_volume(name, labels));
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 201) co_return daemon::refused("cannot make a volume", *answer);
        co_return kept_volume{.made = true};
    }

    /// Removes the volume if this installation made it.
    asio::awaitable<result<void>> remove(const uuid& engine) {
        return remove(engine, volume_of(engine));
    }

    /// The same for the volume with the copy of its data, which no container may use any more.
    asio::awaitable<result<void>> remove_copy(const uuid& engine) {
        return remove(engine, copy_volume_of(engine));
    }

    /// Whether there is a volume for a copy of the engine's data that this installation made.
    asio::awaitable<result<bool>> has_copy(const uuid& engine) {
        auto looking = find(engine, copy_volume_of(engine));
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        co_return found->whose == ownership::ours;
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

    struct found_volume {
        ownership whose = ownership::absent;
        bool restored = false; ///< It was made for a copy to be put back into.
    };

    asio::awaitable<result<void>> remove(uuid engine, std::string name) {
        auto looking = find(engine, name);
        const auto found = co_await std::move(looking);
        if (!found) co_return unexpected{found.error()};
        if (found->whose != ownership::ours) co_return result<void>{};
        auto calling = daemon_->call("DELETE", "/volumes/" + name);
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 204 && answer->status != 404)
            co_return daemon::refused("cannot remove a volume", *answer);
        co_return result<void>{};
    }

    asio::awaitable<result<found_volume>> find(uuid engine, std::string name) {
        auto calling = daemon_->call("GET", "/volumes/" + name);
        const auto answer = co_await std::move(calling);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status == 404) co_return found_volume{};
        if (answer->status != 200) co_return daemon::refused("cannot inspect a volume", *answer);
        const auto read = read_json(answer->body);
        if (!read) co_return unexpected{read.error()};
        if (text_at((*read)->root, "/Name").empty())
            co_return fail(errc::backend_error, "Docker's inspection of " + name + " has no Name");
        const auto made = marks_of(options_.installation_id, (*read)->root["Labels"]);
        if (!made || made->ref.engine_id != engine)
            co_return found_volume{.whose = ownership::foreign};
        co_return found_volume{.whose = ownership::ours, .restored = made->restored};
    }

    const std::shared_ptr<docker::daemon> daemon_;
    const docker_options& options_;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
